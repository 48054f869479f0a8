"""Splits by blocks of ground, of scenes on disk."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from geohier.config.schema import DataConfig
from geohier.data.catalog import read_catalog
from geohier.data.ground_blocks import ground_grids
from geohier.data.labelled import inside
from geohier.data.resplit import Fold, Resplit, folder_config, resplit, write_split_files
from geohier.errors import ConfigError, OutputExistsError
from geohier.geo.window import Window

Write = Callable[..., Path]


def grid(height: int, width: int, *, east: float = 0, south: float = 0, step: float = 10) -> GeoBox:
    place = Affine(step, 0, 500_000 + east, 0, -step, 5_000_000 - south)
    return GeoBox((height, width), place, "EPSG:32631")


def covered(fold: Fold, split: str, name: str, shape: tuple[int, int]) -> np.ndarray:
    """Return which pixels of a scene are in a split."""
    whole = Window(row_off=0, col_off=0, height=shape[0], width=shape[1])
    found = np.zeros(shape, bool)
    for scene in fold.scenes:
        if (scene.id, scene.split) == (name, split):
            found |= inside(whole, scene.windows or (whole,))
    return found


@given(
    st.integers(1, 80),
    st.integers(1, 80),
    st.integers(4, 40),
    st.lists(st.tuples(st.integers(-60, 60), st.integers(-60, 60), st.sampled_from((10, 20)))),
)
def test_blocks_of_ground_cover_each_pixel_of_each_scene_once(
    height: int, width: int, block_px: int, others: list[tuple[int, int, int]]
) -> None:
    boxes = [grid(height, width)]
    for right, down, step in others[:3]:
        boxes.append(grid(height, width, east=10 * right, south=10 * down, step=step))
    grids = ground_grids(boxes, block_px=block_px, buffer_px=0)
    assert sorted(at for one in grids for at in one.scenes) == list(range(len(boxes)))
    canvas = Window(row_off=0, col_off=0, height=height, width=width)
    for one in grids:
        for at in one.scenes:
            total = sum(inside(canvas, [window]).astype(int) for _, window in one.blocks_in(at))
            assert np.all(total == 1)


def test_the_same_ground_is_the_same_block_at_every_date() -> None:
    """The second date starts 37 pixels farther east and has pixels twice as large."""
    boxes = [grid(256, 256), grid(128, 128, east=370, step=20)]
    (one,) = ground_grids(boxes, block_px=64, buffer_px=0)
    first, second = (dict(one.blocks_in(at)) for at in (0, 1))
    for number in set(first) & set(second):
        corner = boxes[0].transform @ (first[number].col_off, first[number].row_off)
        other = boxes[1].transform @ (second[number].col_off, second[number].row_off)
        assert corner == pytest.approx(other, abs=20)
    assert len(set(first) & set(second)) > 9


def test_scenes_whose_grids_cannot_be_one_are_one_block() -> None:
    turned = GeoBox((64, 64), grid(64, 64).transform @ Affine.rotation(30), "EPSG:32631")
    alone, far = ground_grids(
        [grid(64, 64), turned, grid(64, 64, east=9e4)], block_px=16, buffer_px=0
    )
    assert (alone.scenes, alone.shape) == ((0, 1), (1, 1))
    assert (far.scenes, far.shape) == ((2,), (4, 4))


@pytest.fixture
def add(tmp_path: Path, write_scene: Write) -> Callable[..., None]:
    """Return a function that writes a scene of three classes and its mask."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    rng = np.random.default_rng(0)

    def write(name: str, shape: tuple[int, int] = (120, 150), *, east: float = 0) -> None:
        place = {"transform": grid(*shape, east=east).transform}
        mask = (rng.random(shape) < 0.2).astype("uint8")
        mask[rng.random(shape) < 0.05] = 2
        mask[60:90, 60:] = 255
        write_scene(rng.integers(0, 255, (2, *shape), dtype="uint8"), f"images/{name}.tif", **place)
        write_scene(mask[None], f"masks/{name}.tif", **place)

    return write


def split(folder: Path, **options: object) -> tuple[DataConfig, Resplit]:
    config = folder_config(folder)
    chosen = {"shares": [1 / 3] * 3, "block_px": 30, "buffer_px": 7, "seed": 0, **options}
    return config, resplit(config, **chosen)  # type: ignore[arg-type]


SHAPE = (120, 150)


@pytest.mark.parametrize(("buffer_px", "seed"), [(0, 0), (7, 1), (15, 2)])
def test_folds_are_disjoint_a_buffer_apart_and_judge_each_labelled_pixel_once(
    add: Callable[..., None], tmp_path: Path, buffer_px: int, seed: int
) -> None:
    """Across the edge between two adjoining sheets too, which are one piece of ground."""
    add("west")
    add("east", east=1500)
    add("later")
    config, found = split(tmp_path, buffer_px=buffer_px, seed=seed)
    judged = {name: np.zeros(SHAPE, int) for name in ("west", "east", "later")}
    for fold in found.folds:
        val = {name: covered(fold, "val", name, SHAPE) for name in judged}
        train = {name: covered(fold, "train", name, SHAPE) for name in judged}
        for name in judged:
            judged[name] += val[name]
        np.testing.assert_array_equal(val["west"], val["later"])
        ground = np.hstack([val["west"], val["east"]])
        learnt = np.hstack([train["west"] | train["later"], train["east"]])
        rows, columns = np.nonzero(ground)
        near = np.zeros_like(ground)
        for row, column in zip(rows, columns, strict=True):
            top, left = max(0, row - buffer_px), max(0, column - buffer_px)
            near[top : row + buffer_px + 1, left : column + buffer_px + 1] = True
        np.testing.assert_array_equal(learnt, ~near)
    labelled = np.ones(SHAPE, bool)
    labelled[60:90, 60:] = False
    for counts in judged.values():
        assert (counts[labelled] == 1).all()
        assert counts.max() == 1
    for fold, (name, total) in itertools.product(found.folds, found.class_px.items()):
        assert fold.val_px[name] == pytest.approx(total / 3, rel=0.25), name
    assert sum(fold.val_blocks for fold in found.folds) == found.blocks
    assert config.classes[2].values == (2,)


def test_what_is_written_is_read_as_the_split(add: Callable[..., None], tmp_path: Path) -> None:
    add("a")
    add("b", east=9e4)
    config, found = split(tmp_path, shares=[0.25])
    target = tmp_path / "new" / "split.csv"
    write_split_files(found, config, [target], overwrite=False)
    moved = config.model_copy(update={"root": target.parent, "train": ()})
    scenes = read_catalog(moved).scenes
    assert [(s.id, s.split, s.windows) for s in scenes] == [
        (s.id, s.split, s.windows) for s in found.folds[0].scenes
    ]
    assert {s.image.resolve() for s in scenes} == {
        tmp_path / "images" / f"{name}.tif" for name in "ab"
    }
    again = split(tmp_path, shares=[0.25])[1]
    assert again == found
    with pytest.raises(OutputExistsError, match="is there already"):
        write_split_files(found, config, [target], overwrite=False)
    write_split_files(split(tmp_path, shares=[0.25], seed=5)[1], config, [target], overwrite=True)
    assert read_catalog(moved).scenes != scenes


def test_excluded_scenes_stay_in_the_file_but_in_no_block(
    add: Callable[..., None], tmp_path: Path
) -> None:
    add("a")
    add("b", east=9e4)
    config = folder_config(tmp_path).model_copy(update={"exclude": ("b",)})
    fold = resplit(config, shares=[0.25], block_px=30, buffer_px=0, seed=0).folds[0]
    assert [(s.id, s.split) for s in fold.scenes if s.id == "b"] == [("b", "train")]
    target = tmp_path / "split" / "split.csv"
    write_split_files(
        Resplit(folds=(fold,), blocks=0, class_px={}), config, [target], overwrite=False
    )
    moved = config.model_copy(update={"root": target.parent, "train": ()})
    assert {scene.id for scene in read_catalog(moved).scenes} == {"a"}


def test_an_excluded_name_leaves_out_every_scene_that_has_it(
    add: Callable[..., None], tmp_path: Path
) -> None:
    """Here one of train and one of val, which have other labels."""
    add("a")
    add("b", east=9e4)
    config = folder_config(tmp_path)
    a, b = config.train
    other = b.model_copy(update={"mask": a.mask})
    config = config.model_copy(update={"train": (a, b), "val": (other,), "exclude": ("b",)})
    fold = resplit(config, shares=[0.25], block_px=30, buffer_px=0, seed=0).folds[0]
    assert {scene.id for scene in fold.scenes} == {"a", "b"}
    target = tmp_path / "split" / "split.csv"
    found = Resplit(folds=(fold,), blocks=0, class_px={})
    write_split_files(found, config, [target], overwrite=False)
    moved = config.model_copy(update={"root": target.parent, "train": (), "val": ()})
    assert {scene.id for scene in read_catalog(moved).scenes} == {"a"}


def test_buffers_that_leave_nothing_and_too_few_blocks_are_refused(
    add: Callable[..., None], tmp_path: Path
) -> None:
    add("a")
    with pytest.raises(ConfigError, match="leave nothing to train on"):
        split(tmp_path, buffer_px=500)
    with pytest.raises(ConfigError, match="1 blocks hold labels, but 3 parts"):
        split(tmp_path, block_px=500)
