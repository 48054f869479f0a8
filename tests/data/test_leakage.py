"""Ground that is labelled in two splits."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from odc.geo.geobox import GeoBox
from scipy import ndimage

from geohier.config.schema import TrainConfig
from geohier.data import outline
from geohier.data.leakage import nearnesses
from geohier.data.outline import Circle, labelled_outline, meeting
from geohier.data.prepare import prepare
from geohier.errors import InputError
from geohier.geo.window import Window

PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)


class Scene(SimpleNamespace):
    """Stands for `LabelledPixels`, which are told apart by their identity."""

    __hash__ = object.__hash__


def scene(
    labelled: np.ndarray, place: Affine = PLACE, name: str = "a", crs: str = "EPSG:32631"
) -> Any:  # noqa: ANN401
    """Return what is labelled where an array is true."""
    labels = np.where(labelled, 0, 255).astype("uint8")
    return Scene(
        scene=SimpleNamespace(id=name, windows=()),
        shape=labels.shape,
        bands=(0,),
        dtype=np.dtype("uint8"),
        geobox=GeoBox(labels.shape, place, crs),
        image_files=(Path(f"{name}.tif"),),
        read=lambda window: SimpleNamespace(labels=labels[window.slices]),
    )


masks = arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(masks, st.data())
def test_labels_overlap_where_they_share_a_pixel_and_else_their_distance_is_that_of_the_nearest(
    first: np.ndarray, data: st.DataObject
) -> None:
    other = data.draw(arrays.arrays(np.bool_, first.shape))
    found = nearnesses([scene(first)], [scene(other, name="b")], within_m=1e4)
    if not first.any() or not other.any():
        assert found == []
        return
    (near,) = found
    assert near.overlap == bool((first & other).any())
    apart = min(
        10 * np.hypot(max(abs(r - a) - 1, 0), max(abs(c - b) - 1, 0))
        for r, c in np.argwhere(first)
        for a, b in np.argwhere(other)
    )
    # 10 m on the map are 10.004 m on the ground here
    assert near.distance == pytest.approx(apart, rel=2e-3, abs=1e-6)
    assert near.is_leak(0) == near.overlap
    assert near.is_leak(apart + 1)


@given(masks, st.integers(-14, 14), st.integers(-14, 14))
def test_another_grid_of_the_same_place_hides_nothing(
    labelled: np.ndarray, down: int, right: int
) -> None:
    """The same labels on an image that starts elsewhere, in pixels half as large."""
    moved = PLACE @ Affine.translation(right, down) @ Affine.scale(0.5)
    window = np.zeros((28, 28), bool)
    for row, column in np.argwhere(labelled):
        top, left = 2 * (row - down), 2 * (column - right)
        if 0 <= top < 28 and 0 <= left < 28:
            window[top : top + 2, left : left + 2] = True
    found = nearnesses([scene(labelled)], [scene(window, moved, "b")], within_m=0)
    assert any(near.overlap for near in found) == bool(window.any())


@given(masks)
def test_an_outline_covers_the_labelled_pixels_and_no_others(labelled: np.ndarray) -> None:
    pieces = labelled_outline(scene(labelled))
    assert sum(piece.area for piece in pieces) == labelled.sum()
    assert len(pieces) == max(ndimage.label(labelled)[1], int(labelled.all()))


def test_labels_like_noise_are_drawn_coarsely_but_not_beyond_their_windows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outline, "MOST_EDGES", 100)
    noise = np.zeros((64, 64), bool)
    noise[:, :40] = np.random.default_rng(0).random((64, 40)) < 0.5
    one = scene(noise)
    one.scene.windows = (Window(row_off=0, col_off=0, height=64, width=40),)
    pieces = labelled_outline(one)
    assert len(pieces) == 1
    assert pieces[0].bounds == (0, 0, 40, 64)


def test_what_is_near_across_the_antimeridian_is_near() -> None:
    west = GeoBox((10, 10), Affine(0.001, 0, 179.99, 0, -0.001, 10), "EPSG:4326")
    east = GeoBox((10, 10), Affine(0.001, 0, -180, 0, -0.001, 10), "EPSG:4326")
    far = GeoBox((10, 10), Affine(0.001, 0, 0, 0, -0.001, 10), "EPSG:4326")
    circles = [Circle.around(one) for one in (west, east, far)]
    assert meeting(circles[:1], circles[1:], 0).tolist() == [[0, 0]]
    assert meeting(circles[:1], [], 0).tolist() == []


def test_training_stops_where_val_judges_what_was_learned_unless_that_is_allowed(
    add_scene: Callable[..., None],
    make_config: Callable[..., TrainConfig],
    rng: np.random.Generator,
    data_folder: Path,
) -> None:
    image = rng.integers(1, 255, (3, 96, 96), dtype="uint8")
    mask = rng.integers(0, 2, (96, 96), dtype="uint8")
    add_scene("a", image, mask, windows="0 0 96 50")
    table = data_folder / "split.csv"
    table.write_text(table.read_text() + "a,val,images/a.tif,masks/a.tif,0 49 96 40\n")
    with pytest.raises(InputError, match=r"a \(train\) and a \(val\) label the same ground"):
        prepare(make_config())
    assert prepare(make_config({"allow_overlap": True})).val
