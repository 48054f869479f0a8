"""Pictures of examples, drawn while tiny runs go on."""

import io
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from broken_runs import broken_off
from hypothesis import given
from hypothesis import strategies as st
from roof_scenes import MakeConfig

from geohier.config.classes import ClassConfig
from geohier.config.load import config_hash
from geohier.data.labels import IGNORE_INDEX
from geohier.models.manifest import SUMS
from geohier.training.example_picture import GAP_PX, Example, ExamplePicture
from geohier.training.examples import _Candidate, _most_telling
from geohier.training.fit import train
from geohier.training.log import read_rows
from geohier.training.task import SegmentationTask

GROUND, ROOF = (255, 0, 0), (0, 0, 255)
CLASSES = (
    ClassConfig(name="ground", values=(0,), color="#ff0000"),
    ClassConfig(name="roof", values=(1,), color="#0000ff"),
)


def pixels(png: bytes) -> np.ndarray:
    """Return the red, green and blue of a picture, `(H, W, 3)`."""
    return (matplotlib.image.imread(io.BytesIO(png))[..., :3] * 255).round().astype(int)


def names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "examples").iterdir())


def test_the_same_chips_are_drawn_after_a_few_epochs_and_after_the_best(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    train(make_config(training={"epochs": 3}), tmp_path / "run", quiet=True)
    assert names(tmp_path / "run") == ["best.png", "epoch-001.png", "epoch-002.png"]
    first, *others = (pixels(path.read_bytes()) for path in (tmp_path / "run/examples").iterdir())
    third = (first.shape[1] - GAP_PX) // 3
    for one in others:
        assert one.shape == first.shape
        assert (one[:, : 2 * third] == first[:, : 2 * third]).all()


def test_examples_change_nothing_of_what_is_learnt(make_config: MakeConfig, tmp_path: Path) -> None:
    course = {"dropout": 0.5, "drop_path": 0.1}
    with_them, without = (
        make_config(model=course, training={"examples": count, "ema_decay": 0.9, "epochs": 2})
        for count in (2, 0)
    )
    drawn, plain = (
        train(config, tmp_path / name, quiet=True)
        for config, name in ((with_them, "drawn"), (without, "plain"))
    )
    assert (drawn / SUMS).read_text().split()[0] == (plain / SUMS).read_text().split()[0]
    scores = [[row["choose_iou"] for row in read_rows(one.parent)] for one in (drawn, plain)]
    assert scores[0] == scores[1]
    assert not (tmp_path / "plain" / "examples").exists()
    assert config_hash(with_them) == config_hash(without)


def test_a_run_that_was_broken_off_and_goes_on_draws_the_same(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(training={"epochs": 2})
    train(config, tmp_path / "whole", quiet=True)
    with broken_off(SegmentationTask, "in an epoch", epoch=1):
        train(config, tmp_path / "broken", quiet=True)
    train(config, tmp_path / "broken", quiet=True, resume=True)
    assert names(tmp_path / "broken") == names(tmp_path / "whole")
    for name in names(tmp_path / "whole"):
        drawn, again = (tmp_path / run / "examples" / name for run in ("whole", "broken"))
        assert drawn.read_bytes() == again.read_bytes()


def test_labels_and_prediction_have_the_colours_of_their_classes() -> None:
    labels = torch.zeros(32, 32, dtype=torch.int64)
    labels[:, 16:] = 1
    labels[16:] = IGNORE_INDEX
    found = torch.ones(32, 32, dtype=torch.int64)
    image = torch.linspace(-1, 1, 32).expand(1, 32, 32).clone()
    image[:, :4] = 0
    png = ExamplePicture(CLASSES, ["nir"]).draw(
        [Example(image=image, labels=labels, found=found)] * 2
    )
    picture = pixels(png)
    lower = picture[-GAP_PX - 32 : -GAP_PX]
    first, second, third = (
        lower[:, left : left + 32] for left in range(GAP_PX, 3 * (32 + GAP_PX), 32 + GAP_PX)
    )
    assert (first[:4] == 255).all()
    assert (np.diff(first[8], axis=0) >= 0).all()
    assert (second[:16, :16] == GROUND).all()
    assert (second[:16, 16:] == ROOF).all()
    assert (second[16:] == 255).all()
    assert (third == ROOF).all()
    legend = picture[: -2 * (32 + GAP_PX)].reshape(-1, 3)
    assert {GROUND, ROOF} <= set(map(tuple, legend.tolist()))


@pytest.mark.parametrize("count", [1, 3, 4, 16])
@pytest.mark.parametrize("bands", [1, 3])
def test_a_picture_is_small_even_where_chips_are_nothing_but_noise(count: int, bands: int) -> None:
    noise = torch.Generator().manual_seed(count)
    examples = []
    for _ in range(count):
        labels = torch.randint(0, 2, (512, 512), generator=noise)
        image = torch.randn(bands, 512, 512, generator=noise)
        examples.append(Example(image=image, labels=labels, found=labels))
    assert len(ExamplePicture(CLASSES, [""] * bands).draw(examples)) < 300_000


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.01, 1)), max_size=12), st.integers(1, 5)
)
def test_examples_are_of_as_many_scenes_as_there_are_and_their_best(
    chips: list[tuple[str, float]], count: int
) -> None:
    blank = torch.zeros(1, 2, 2)
    candidates = [_Candidate(scene, worth, blank, blank[0]) for scene, worth in chips]
    chosen = _most_telling(candidates, count)
    assert len(chosen) == min(count, len(chips))
    scenes = {scene for scene, _ in chips}
    assert len({one.scene for one in chosen}) == min(count, len(scenes))
    assert not chosen or chosen[0].worth == max(worth for _, worth in chips)
    for one in chosen[: len(scenes)]:
        assert one.worth == max(worth for scene, worth in chips if scene == one.scene)
