"""geohier ablate, as it is typed: real trainings of a second each."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
from broken_runs import broken_off
from cli.conftest import Run

from geohier.training.task import SegmentationTask


@pytest.fixture
def words(roofs_config: Path) -> list[object]:
    """What is typed to compare an axis, of which a value is the config's own, and nothing."""
    Path("axes.yaml").write_text("model.dropout: [0.1, 0.6]\nnothing: {model.decoder: fpn}\n")
    return [
        "ablate",
        roofs_config,
        "--axes",
        "axes.yaml",
        "--set",
        "training.examples=0",
        "--out",
        "compared",
    ]


@pytest.fixture
def short(roofs_config: Path) -> list[object]:
    """What is typed to compare one value, with one seed."""
    few = ("--seeds", 1, "--set", "training.epochs=1", "--set", "training.examples=0")
    return ["ablate", roofs_config, "--axes", "model.dropout=0.6", *few, "--out", "compared"]


def without_clock(found: dict[str, Any]) -> dict[str, Any]:
    for row in found["variants"]:
        for timed in ("seconds_per_step", "megapixels"):
            assert row["figures"].pop(timed) > 0
    return found


def test_variants_are_compared_with_the_config_and_one_that_is_it_differs_by_nothing(
    words: list[object], run: Run
) -> None:
    done = run(*words, "--seeds", 2)
    assert done.code == 0, done.err
    assert [line.split(":")[0] for line in done.err.splitlines()] == [
        "note",
        "note",
        *(f"cell {number}/6" for number in range(1, 7)),
    ]
    head, *rows = done.out.splitlines()[:4]
    assert head.split()[:3] == ["variant", "IoU", "difference"]
    assert [row.split()[0] for row in rows] == ["baseline", "model.dropout=0.6", "nothing"]
    assert rows[2].split()[2:6] == ["+0.0000", "+0.0000", "to", "+0.0000"]
    assert "whose difference is chance: nothing." in done.out
    assert "val was not looked at" in done.out
    assert Path("compared/ablation.png").read_bytes().startswith(b"\x89PNG")
    assert not list(Path("compared").glob("cells/*/checkpoints"))

    again = run(*words, "--seeds", 2, "--resume", "--quiet", "--json")
    assert (again.code, again.err) == (0, "")
    assert again.json == json.loads(Path("compared/ablation.json").read_text())
    baseline, changed, nothing = again.json["variants"]
    assert baseline["difference"] is None
    assert nothing["difference"] == {"each": {"0": 0, "1": 0}, "mean": 0, "low": 0, "high": 0}
    gains = {seed: changed["scores"][seed] - baseline["scores"][seed] for seed in "01"}
    assert changed["difference"]["each"] == gains
    assert changed["difference"]["low"] <= changed["mean"] - baseline["mean"]
    for row in again.json["variants"]:
        assert row["figures"]["steps"] == 4
        assert row["figures"]["parameters"] == baseline["figures"]["parameters"]
    with Path("compared/ablation.csv").open() as file:
        table = list(csv.DictReader(file))
    for line, row in zip(table, again.json["variants"], strict=True):
        assert line["variant"] == row["variant"]
        assert float(line["choose_iou"]) == row["mean"]
        assert float(line["choose_iou.1"]) == row["scores"]["1"]
    with Path("compared/levels.csv").open() as file:
        levels = list(csv.DictReader(file))
    assert [one["level"] for one in levels] == [*"0123"] * 3
    assert levels[0]["effective_rank"] == str(baseline["levels"][0]["effective_rank"])
    assert [one | {"variant": ""} for one in levels[:4]] == [
        one | {"variant": ""} for one in levels[8:]
    ]
    assert levels[0]["cka_with_next"]
    assert not levels[3]["cka_with_next"]


def test_an_ablation_that_was_killed_goes_on_to_the_same_scores(
    short: list[object], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    short[short.index("training.epochs=1")] = "training.epochs=2"
    whole = run(*short, "--json")
    assert whole.code == 0, whole.err
    short[-1] = "broken"
    with broken_off(SegmentationTask, "in an epoch", 1):
        run(*short)
    listed = run(*short, "--dry-run", "--json").json["cells"]
    assert [one["state"] for one in listed] == ["underway", "to do"]

    resumed = run(*short, "--json", "--resume")
    assert resumed.code == 0, resumed.err
    assert without_clock(resumed.json) == without_clock(whole.json)
    assert whole.json["variants"][1]["difference"]["low"] is None

    def no_more(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("geohier.training.fit.fit", no_more)
    listed = run(*short, "--dry-run", "--json").json["cells"]
    assert {one["state"] for one in listed} == {"done"}
    assert run(*short, "--resume").code == 0


def test_val_judges_only_if_it_is_asked_and_trains_nothing_anew(
    short: list[object], run: Run
) -> None:
    by_choose = run(*short, "--json")
    assert by_choose.code == 0, by_choose.err
    models = sorted(Path("compared").glob("cells/*/model/*"))
    before = [path.read_bytes() for path in models]

    done = run(*short, "--judge", "val", "--resume")
    assert done.code == 0, done.err
    assert "mean of the classes on val, of a single seed. Val judges: choose no" in done.out
    assert [path.read_bytes() for path in models] == before
    found = json.loads(Path("compared/ablation.json").read_text())
    assert found["judge"] == "val"
    baseline, changed = found["variants"]
    assert changed["blocks"]["low"] <= changed["difference"]["mean"] <= changed["blocks"]["high"]
    scored = run(
        *("evaluate", "--model", "compared/cells/baseline-0/model", "--data", short[1], "--json")
    )
    assert math.isclose(baseline["mean"], scored.json["pooled"]["macro_iou"], abs_tol=1e-6)
    assert not list(Path("compared").glob("cells/*/val"))


def test_a_cell_that_cannot_be_trained_is_told_and_the_others_go_on(
    short: list[object], run: Run
) -> None:
    done = run(*short, "--axes", "training.learning_rate=1.0e+30", "--json")
    assert done.code == 6
    assert "cell 3/3: training.learning_rate=1.0e+30, seed 0: failed: " in done.err
    _, changed, failed = done.json["variants"]
    assert list(failed["problems"]) == ["0"]
    assert (failed["mean"], failed["difference"], failed["figures"]) == (None, None, {})
    assert changed["difference"] is not None


@pytest.mark.parametrize(
    ("extra", "code", "says"),
    [
        (["--axes", "model.decoder=fpm"], 2, "--axes model.decoder: model.decoder: give 'fpn'"),
        (["--axes", "model.decodr=fpn"], 2, "did you mean decoder?"),
        (["--axes", "none.yml"], 2, "none.yml: cannot be read"),
        (["--set", "data.root=none"], 3, "none"),
        (["--seeds", "0"], 2, "--seeds"),
        (["--judge", "test"], 2, "--judge"),
    ],
)
def test_mistakes_end_in_one_line_before_anything_is_trained(
    words: list[object], run: Run, extra: list[str], code: int, says: str
) -> None:
    refused = run(*words, "--quiet", *extra)
    assert refused.code == code, refused.err
    assert says in refused.err
    assert len(refused.err.splitlines()) == 1
    assert not list(Path().glob("compared/cells/*/model"))


def test_a_folder_that_holds_something_else_is_left_alone(short: list[object], run: Run) -> None:
    short.append("--quiet")
    Path("compared").mkdir()
    Path("compared/notes.txt").write_text("mine")
    assert "holds something already: go on with --resume" in run(*short).err
    assert "holds no ablation to resume" in run(*short, "--resume").err
    assert "holds no ablation to resume" in run(*short, "--dry-run").err
    Path("compared/notes.txt").unlink()
    assert run(*short).code == 0
    other = run(*short, "--resume", "--set", "augment.gain=0")
    assert other.code == 2
    assert "was started with another config: augment.gain was" in other.err
    done = Path("compared/cells/baseline-0/cell.json")
    text = done.read_text()
    done.write_text("{")
    damaged = run(*short, "--resume")
    assert damaged.code == 2
    assert "cell.json is damaged" in damaged.err
    done.unlink()
    assert run(*short, "--resume").code == 0
    assert done.read_text() == text
