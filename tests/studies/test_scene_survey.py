"""One pass over a scene, and which parts of which scenes are drawn."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from geohier.data import strips
from geohier.data.labelled import Cut
from geohier.geo.window import Window
from geohier.raster.band_choice import BandChoice
from geohier.studies.data_picture import choose_scenes
from geohier.studies.scene_survey import CLOSE_VIEW_PX, VIEW_PX, survey_scene


def scene(labels: np.ndarray, *, split: str = "train", windows: tuple[Window, ...] = ()) -> Any:  # noqa: ANN401
    """Return what stands for `LabelledPixels`: band 0 counts the rows, band 1 is 7 everywhere."""
    rows = np.broadcast_to(np.arange(len(labels), dtype="uint16")[:, None], labels.shape)
    values = np.stack([rows, np.full_like(rows, 7)])
    valid = np.ones(labels.shape, bool)
    valid[:, 0] = False

    def read(window: Window) -> Cut:
        part = np.s_[:, *window.slices]
        seen = np.where(valid, labels, 255)[window.slices]
        return Cut(values=values[part], seen=valid[None][part], labels=seen)

    return SimpleNamespace(
        choice=BandChoice(indexes=(0, 1)),
        pixels_of=lambda cut, where: cut.values[:, cut.valid & where],
        scene=SimpleNamespace(id="a", split=split, windows=windows),
        shape=labels.shape,
        bands=(0, 1),
        dtype=np.dtype("uint16"),
        geobox=GeoBox(labels.shape, Affine(2, 0, 500_000, 0, -2, 5_000_000), "EPSG:32631"),
        read=read,
    )


def test_a_survey_does_not_depend_on_the_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (900, 700)).astype("uint8")
    labels[labels == 2] = 255
    whole = survey_scene(scene(labels), 2, sampled=1.0, seed=0)
    monkeypatch.setattr(strips, "STRIP_BYTES", 700 * 4 * 31)
    cut = survey_scene(scene(labels), 2, sampled=1.0, seed=0)
    for found in (whole, cut):
        assert (found.pixels, found.valid) == (900 * 700, 900 * 699)
        assert found.class_px.tolist() == [(labels[:, 1:] == at).sum() for at in (0, 1)]
        assert (found.low.tolist(), found.high.tolist()) == ([0, 7], [899, 7])
        assert found.sample.shape == (2, found.valid)
        assert found.gsd_m == pytest.approx(2, rel=1e-3)
    assert cut.sizes_px == whole.sizes_px
    assert cut.runs.tolist() == whole.runs.tolist()
    np.testing.assert_array_equal(cut.sample, whole.sample)


def test_a_sample_is_drawn_and_windows_bound_what_counts() -> None:
    part = Window(row_off=100, col_off=10, height=50, width=40)
    labels = np.full((300, 200), 255, "uint8")
    labels[100:150, 10:50] = 1
    found = survey_scene(scene(labels, windows=(part,)), 2, sampled=0.25, seed=1)
    assert found.pixels == found.valid == 2000
    assert (found.low[0], found.high[0]) == (100, 149)
    assert found.sample.shape[1] == pytest.approx(500, abs=80)


def test_a_picture_goes_where_most_classes_are_and_closer_where_labels_are_sparse() -> None:
    dense = np.zeros((2048, 1536), "uint8")
    dense[1600:1700, 1100:1200] = 1
    view = survey_scene(scene(dense), 2, sampled=0, seed=0).view
    assert view == Window(row_off=1536, col_off=1024, height=VIEW_PX, width=VIEW_PX)
    sparse = np.full((2048, 1536), 255, "uint8")
    sparse[1600:1610, 1100:1110] = 1
    view = survey_scene(scene(sparse), 2, sampled=0, seed=0).view
    assert view is not None
    assert (view.height, view.width) == (CLOSE_VIEW_PX, CLOSE_VIEW_PX)
    assert view.row_off <= 1600 <= 1610 <= view.row_stop
    assert view.col_off <= 1100 <= 1110 <= view.col_stop
    nothing = np.full((64, 64), 255, "uint8")
    assert survey_scene(scene(nothing), 2, sampled=0, seed=0).view is None


def test_pictures_show_both_splits_and_the_rare_class() -> None:
    common = np.zeros((64, 64), "uint8")
    rare = common.copy()
    rare[:8, :8] = 1
    scenes = [scene(common) for _ in range(20)] + [scene(rare)]
    scenes += [scene(common, split="val") for _ in range(5)]
    found = [(one, survey_scene(one, 2, sampled=0, seed=0)) for one in scenes]
    chosen = choose_scenes(found)
    assert len(chosen) == 6
    assert [one.scene.split for one, _ in chosen].count("val") == 2
    assert any(one is scenes[20] for one, _ in chosen)
