"""geohier tune, as it is typed: real trainings of a second each."""

from pathlib import Path

import pytest
from cli.conftest import Run

pytest.importorskip("optuna", reason="the extra tune is not installed")


@pytest.fixture
def words(roofs_config: Path) -> list[object]:
    """What is typed to search around a tiny config."""
    Path("space.yaml").write_text("training.learning_rate: {low: 1e-4, high: 0.1}\n")
    return ["tune", roofs_config, "--space", "space.yaml", "--out", "search", "--trials"]


def test_trials_end_in_a_table_and_in_a_config_that_trains(words: list[object], run: Run) -> None:
    done = run(*words, 2)
    assert done.code == 0, done.err
    assert [line.split(":")[0] for line in done.err.splitlines()] == ["trial 1/2", "trial 2/2"]
    head, *rows, best, next_step = done.out.splitlines()
    assert head.split() == ["trial", "ended", "IoU", "epochs", "training.learning_rate"]
    scores = [float(row.split()[2]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert best.startswith(
        f"search/best.yaml: trial {rows[0].split()[0]}, mean IoU {scores[0]:.3f}"
    )
    assert next_step == "geohier train search/best.yaml --out RUN"
    assert (Path("search") / "trials" / "001" / "model").is_dir()

    again = run(*words, 2, "--resume", "--json")
    assert (again.code, again.err) == (0, "")
    said = again.json
    assert [one["number"] for one in said["trials"]] == [0, 1]
    assert said["score"] == max(one["score"] for one in said["trials"])

    trained = run("train", said["config"], "-o", "best", "--quiet", "--json")
    assert trained.code == 0, trained.err
    assert trained.json["choose"]["mean_iou"] == said["score"]


@pytest.mark.parametrize(
    ("space", "extra", "code", "says"),
    [
        ("training.learning_rat: [1, 2]", [], 2, "did you mean learning_rate?"),
        ("training.learning_rate: [a, b]", [], 2, "give a number, found"),
        ("training.learning_rate: [0.1, 0.2]", ["--set", "data.root=none"], 3, "none"),
        ("training.learning_rate: [0.1, 0.2]", ["--set", "training.learning_rate=1"], 2, "--set"),
    ],
)
def test_mistakes_end_in_one_line(
    words: list[object], run: Run, space: str, extra: list[str], code: int, says: str
) -> None:
    Path("space.yaml").write_text(space)
    refused = run(*words, 2, *extra)
    assert refused.code == code, refused.err
    assert says in refused.err
    assert len(refused.err.splitlines()) == 1
