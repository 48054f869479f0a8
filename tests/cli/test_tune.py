"""geohier tune, as it is typed: real trainings of a second each."""

from functools import partial
from pathlib import Path

import pytest
import yaml
from cli.conftest import Run
from roof_scenes import roofs, write_pair

from geohier.models.receptive_field import measure_receptive_field

pytest.importorskip("optuna")


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is typed to search around a tiny config."""
    small = partial(measure_receptive_field, largest_px=128)
    monkeypatch.setattr("geohier.training.fit.measure_receptive_field", small)
    write_pair(tmp_path / "scenes" / "train", "a", *roofs(0))
    write_pair(tmp_path / "scenes" / "val", "b", *roofs(1))
    values = {
        "data": {"root": "scenes", "classes": {0: "ground", 1: "roof"}},
        "model": {"encoder": "test_resnet", "pyramid_channels": 16, "segmentation_channels": 32},
        "chips": {"size_px": 64, "batch_size": 2, "per_epoch": 4},
        "training": {"epochs": 2, "block_px": 64, "buffer_px": 0, "workers": 0},
    }
    (tmp_path / "roofs.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "space.yaml").write_text("training.learning_rate: {low: 1e-4, high: 0.1}\n")
    monkeypatch.chdir(tmp_path)
    return ["tune", "roofs.yaml", "--space", "space.yaml", "--out", "search", "--trials"]


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
