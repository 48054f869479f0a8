"""geohier predict --exits: tiles that leave early, as they are reported."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from colour_scenes import SHAPE, read
from small_models import COLOURS, Echo


@pytest.fixture
def halves(echo: Echo, write_scene: Callable[..., Path]) -> Path:
    """A scene of one class on the left, and of two in turn, pixel by pixel, on the right."""
    echo.card = replace(echo.card, scale=(0.25, 1.0), margins_px={95: 1})
    scores = np.zeros((3, *SHAPE), "uint8")
    scores[0, :, :30] = 9
    turns = np.indices(SHAPE).sum(axis=0) % 2
    scores[1, :, 30:], scores[2, :, 30:] = 9 * turns[:, 30:], 9 - 9 * turns[:, 30:]
    return write_scene(scores, "halves.tif", descriptions=COLOURS)


def test_tiles_that_left_early_are_reported(
    predict: Callable, halves: Path, tmp_path: Path
) -> None:
    said = predict("--exits", "4,2", "--sure", 0.9, of=halves).out
    assert "; 6 of 15 tiles left early (6 at 1/4, 0 at 1/2): 10% of the compute saved" in said
    found = predict("--exits", "4,2", "--sure", 0.9, "--json", of=halves).json
    assert found["status"] == "up to date"
    assert found["exits"]["tiles"] == {"4": 6, "2": 0, "1": 9}
    record = (tmp_path / "map.tif.run.json").read_text()
    assert '"tiles_at_factor_4": 6' in record
    assert f'"compute_saved": {found["exits"]["compute_saved"]}' in record
    labels = read(tmp_path / "map.tif")
    assert (labels[:, :30] == 0).all()
    assert (labels[:, 31:] == np.where(np.indices(SHAPE).sum(axis=0) % 2, 1, 2)[:, 31:]).all()


def test_a_share_of_sure_pixels_may_be_enough(predict: Callable, halves: Path) -> None:
    command = ("--exits", "2", "--sure-share", 0.3, "--json")
    assert predict(*command, of=halves).json["exits"]["tiles"] == {"2": 9, "1": 6}


def test_what_leaves_saves_compute(predict: Callable, halves: Path) -> None:
    said = predict("--exits", 4, "--sure", 0, of=halves).out
    assert "15 of 15 tiles left early (15 at 1/4): 93% of the compute saved" in said


def test_looks_that_nothing_comes_of_are_said_to_cost(predict: Callable, halves: Path) -> None:
    said = predict("--exits", 2, "--sure", 1.1, of=halves).out
    assert "0 of 15 tiles left early (0 at 1/2): 23% more compute than without exits" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--exits", "2,4"), "exits 2,4: give each once and the coarsest first, such as 4,2"),
        (("--exits", "half"), "--exits 'half': give whole numbers, the coarsest first, as in 4,2"),
        (("--exits", "2", "--sure", "nan"), "sure nan is no probability"),
        (("--exits", "2", "--sure-share", 0), "sure share 0: give a share above 0"),
        (("--sure", 0.9), "--sure is for --exits, which are missing"),
        (("--sure-share", 0.9), "--sure-share is for --exits, which are missing"),
    ],
)
def test_exits_that_make_no_sense_are_refused_in_one_line(
    predict: Callable, words: tuple[object, ...], says: str
) -> None:
    result = predict(*words, code=2)
    assert says in result.err
    assert len(result.err.splitlines()) == 1


def test_a_model_that_was_not_trained_on_ground_as_coarse_is_refused(
    predict: Callable, echo: Echo, halves: Path
) -> None:
    echo.card = replace(echo.card, scale=(0.8, 1.25))
    says = "exit 2 looks at ground 2 times as coarse, the model was trained on 1.25 times at most"
    assert says in predict("--exits", 2, of=halves, code=4).err
    predict("--exits", 2, "--force-gsd", of=halves)
