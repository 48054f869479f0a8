"""A probe: a head that is fitted on a handful of places, judged on others, and maps the raster."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import torch
from hypothesis import given
from hypothesis import strategies as st
from labelled_fields import KINDS, point, points_of_all, truth, values, write_places

from geohier import open_result
from geohier.errors import ConfigError, LabelError
from geohier.inference.options import PredictOptions
from geohier.raster.reader import open_raster
from geohier.studies.feature_raster import FeatureRaster
from geohier.studies.probe import Probe, fit_probe, map_probe
from geohier.studies.probe_estimate import Estimate, leave_out
from geohier.studies.probe_fit import Examples, HeadOptions, fit_head, fit_linear

Write = Callable[..., Path]
HEADS = [
    HeadOptions(),
    HeadOptions(head="prototype"),
    HeadOptions(head="prototype", distance="cosine"),
    HeadOptions(head="neighbours", k=3),
    HeadOptions(head="neighbours", k=1, distance="cosine"),
]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    shapes, kinds = points_of_all()
    return write_places(tmp_path / "points.geojson", shapes, "EPSG:4326", kind=kinds)


def mapped(probe: Probe, target: Path) -> np.ndarray:
    map_probe(probe, target)
    with rasterio.open(target) as file:
        return file.read(1)


@pytest.mark.parametrize("options", HEADS, ids=lambda one: f"{one.head}-{one.distance}")
def test_classes_that_features_tell_apart_are_mapped_without_a_mistake(
    write_scene: Write, labels: Path, tmp_path: Path, options: HeadOptions
) -> None:
    scene = values()
    scene[:, 20:25, 40:50] = 255
    with open_raster(write_scene(scene, nodata=255)) as source:
        probe = fit_probe(source, labels, "kind", options)
        found = mapped(probe, tmp_path / "map.tif")
    expected = np.where((scene == 255).any(axis=0), 255, truth())
    np.testing.assert_array_equal(found, expected)
    assert probe.estimate.accuracy == 1
    assert 14 <= probe.estimate.n <= 15
    result = open_result(tmp_path / "map.tif")
    assert result.attrs["class_names"] == list(KINDS)
    assert len(set(result.attrs["class_colors"])) == 3


@pytest.mark.parametrize("options", HEADS[:4], ids=lambda one: f"{one.head}-{one.distance}")
@given(
    seed=st.integers(0, 99),
    factors=st.tuples(*[st.sampled_from([-8.0, 0.5, 1.0, 300.0])] * 3),
    shifts=st.tuples(*[st.sampled_from([-70.0, 0.0, 5.0])] * 3),
)
def test_the_units_of_a_band_change_nothing(
    write_scene: Write, options: HeadOptions, seed: int, factors: tuple, shifts: tuple
) -> None:
    rows, columns = np.random.default_rng(seed).integers(0, (60, 90), (12, 2)).T
    kinds = truth()[rows, columns]
    shares = []
    for gain, shift in (((1, 1, 1), (0, 0, 0)), (factors, shifts)):
        scene = values(seed) * np.reshape(gain, (3, 1, 1)) + np.reshape(shift, (3, 1, 1))
        with open_raster(write_scene(scene.astype("float64"))) as source:
            raster = FeatureRaster.of(source)
        found = Examples(
            features=raster.standardised(scene[:, rows, columns]),
            classes=kinds,
            places=np.arange(12),
            count=3,
        )
        pixels = torch.from_numpy(raster.standardised(scene.reshape(3, -1))).T[None, :, :, None]
        shares.append(fit_head(found, options)(pixels).softmax(1))
    differ = (shares[0] - shares[1]).abs().amax(1)
    assert (differ > 0.01).float().mean() < 0.001  # a neighbour at the same distance may be another


def test_a_map_is_the_same_to_the_byte_and_goes_on_where_it_is_done(
    write_scene: Write, labels: Path, tmp_path: Path
) -> None:
    scene, done = write_scene(values()), []
    for name in ("one.tif", "other.tif", "other.tif"):
        with open_raster(scene) as source:
            probe = fit_probe(source, labels, "kind")
            done.append(map_probe(probe, tmp_path / name))
    assert (tmp_path / "one.tif").read_bytes() == (tmp_path / "other.tif").read_bytes()
    assert [one.up_to_date for one in done] == [False, False, True]


def test_layers_beside_the_map_and_an_area_are_as_predict_has_them(
    write_scene: Write, labels: Path, tmp_path: Path
) -> None:
    area = write_places(tmp_path / "area.gpkg", [shapely.box(0, 0, 45, 60)])
    with open_raster(write_scene(values())) as source:
        probe = fit_probe(source, labels, "kind", HeadOptions(head="neighbours", k=5))
        map_probe(probe, tmp_path / "map.tif", PredictOptions(probabilities=True, aoi=area))
    result = open_result(tmp_path / "map.tif")
    assert (result.labels[:, 45:] == 255).all()
    shares = result.probabilities[:, :, :45].values
    assert set((shares * 5).round(2).ravel()) <= {0, 1, 2, 3, 4, 5}
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=0.01)


def test_numbers_of_classes_go_with_the_map(
    write_scene: Write, labels: Path, tmp_path: Path
) -> None:
    shapes, kinds = points_of_all()
    numbers = [10 * (KINDS.index(kind) + 1) for kind in kinds]
    path = write_places(tmp_path / "numbers.gpkg", shapes, code=numbers)
    with open_raster(write_scene(values())) as source:
        card = fit_probe(source, path, "code").card
    assert [one.name for one in card.classes] == ["10", "20", "30"]
    assert [one.label_values for one in card.classes] == [(10,), (20,), (30,)]


def test_a_class_without_a_pixel_in_the_raster_is_left_out(
    write_scene: Write, tmp_path: Path
) -> None:
    shapes, kinds = points_of_all()
    path = write_places(tmp_path / "more.gpkg", [*shapes, point(-40, 5)], kind=[*kinds, "aardvark"])
    with open_raster(write_scene(values())) as source:
        probe = fit_probe(source, path, "kind")
        found = mapped(probe, tmp_path / "map.tif")
    np.testing.assert_array_equal(found, truth())
    assert [one.name for one in probe.card.classes] == list(KINDS)
    assert "classes without a pixel in the raster: aardvark" in probe.notes


def test_one_class_alone_is_refused(write_scene: Write, tmp_path: Path) -> None:
    path = write_places(tmp_path / "one.gpkg", [point(1, 1), point(2, 70)], kind=["a", "a"])
    with (
        open_raster(write_scene(values())) as source,
        pytest.raises(LabelError, match="all labelled pixels are a: a map needs two classes"),
    ):
        fit_probe(source, path, "kind")


def test_the_labels_are_not_written_over(write_scene: Write, labels: Path) -> None:
    other_name = labels.with_name("labels.tif")
    other_name.hardlink_to(labels)
    with open_raster(write_scene(values())) as source:
        probe = fit_probe(source, labels, "kind")
        for taken in (other_name, source.files[0]):
            with pytest.raises(ConfigError, match="is read for this result"):
                map_probe(probe, taken, PredictOptions(overwrite=True), labels=labels)


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"head": "linear", "k": 3}, "k is for the head neighbours, not for linear"),
        ({"head": "prototype", "l2": 1.0}, "l2 is for the head linear, not for prototype"),
        ({"distance": "cosine"}, "distance is for the head prototype or neighbours"),
        ({"head": "neighbours", "k": 0}, "k must be 1"),
        ({"l2": 0.0}, "l2 must be above 0"),
    ],
)
def test_options_that_no_head_reads_are_refused(said: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        HeadOptions(**said)


def examples(seed: int, sizes: list[int], count: int = 2, spread: float = 1.0) -> Examples:
    """Return places of so many alike pixels each, whose classes say nothing about features."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(0, spread, (len(sizes), 4))
    places = np.repeat(np.arange(len(sizes)), sizes)
    features = (middles[places] + rng.normal(0, 0.01, (len(places), 4))).astype("float32")
    kinds = np.resize(np.arange(count), len(sizes))
    return Examples(features=features, classes=kinds[places], places=places, count=count)


@given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(st.integers(1, 9), min_size=2, max_size=9))
def test_each_class_counts_the_same_and_in_it_each_place(seed: int, sizes: list[int]) -> None:
    found = examples(seed, sizes)
    assert found.weights.sum() == pytest.approx(1)
    per_place = np.bincount(found.places, found.weights)
    for one in (0, 1):
        own = per_place[np.resize([0, 1], len(sizes)) == one]
        np.testing.assert_allclose(own, 0.5 / len(own))


def test_a_smaller_l2_fits_closer_and_the_minimum_is_reached() -> None:
    found = examples(0, [3] * 12, count=3)
    features, classes = torch.from_numpy(found.features), torch.from_numpy(found.classes)
    lengths = []
    for l2 in (1.0, 0.1, 0.001):
        weights = torch.from_numpy(found.weights)
        weight, bias = fit_linear(features, classes, weights, 3, l2)
        shares = (features.double() @ weight.T + bias).softmax(1)
        gap = weights[:, None] * (shares - torch.eye(3)[classes])
        torch.testing.assert_close(gap.T @ features.double(), -l2 * weight, atol=1e-6, rtol=0)
        torch.testing.assert_close(
            gap.sum(0), torch.zeros(3, dtype=torch.float64), atol=1e-6, rtol=0
        )
        lengths.append(float(weight.norm()))
        head = fit_head(found, HeadOptions(l2=l2))
        torch.testing.assert_close(head.weight, weight.float())
    assert lengths == sorted(lengths)


def test_a_prototype_is_the_mean_of_the_places_of_a_class() -> None:
    found = examples(0, [1, 2, 30, 4])
    means = [found.features[found.places == at].mean(axis=0) for at in range(4)]
    head = fit_head(found, HeadOptions(head="prototype"))
    wanted = np.stack([(means[0] + means[2]) / 2, (means[1] + means[3]) / 2])
    np.testing.assert_allclose(head.prototypes.numpy(), wanted, atol=1e-5)


def test_what_is_judged_was_left_out_as_a_whole() -> None:
    """Alike pixels of one place would tell each other: the classes are those of a coin."""
    found = examples(3, [20] * 40, spread=5)
    estimate = leave_out(found, HeadOptions(head="neighbours", k=1))
    assert (estimate.n, estimate.folds) == (40, 10)
    assert 0.2 < estimate.accuracy < 0.8
    np.testing.assert_allclose(estimate.confusion.sum(axis=1), [20, 20])


def test_each_place_counts_once_however_large_and_a_single_one_is_not_judged() -> None:
    found = examples(1, [1, 50, 2, 7, 9], count=3)
    estimate = leave_out(found, HeadOptions())
    assert estimate.n == 4
    np.testing.assert_allclose(estimate.confusion.sum(axis=1), [2, 2, 0])
    assert np.isnan(estimate.recall[2])
    single = leave_out(examples(1, [4, 4]), HeadOptions())
    assert (single.n, single.folds) == (0, 0)
    assert np.isnan(single.accuracy)
    assert np.isnan(single.range_95).all()


def test_the_range_is_that_of_wilson() -> None:
    """9 of 10 right: 0.596 to 0.982 (Brown, Cai and DasGupta 2001, formula 4)."""
    nine = Estimate(confusion=np.array([[5.0, 1], [0, 4]]), folds=5)
    assert nine.range_95 == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert nine.accuracy == 0.9
    assert nine.recall.tolist() == [5 / 6, 1]
    assert nine.precision.tolist() == [1, 0.8]
    assert Estimate(confusion=np.eye(2), folds=1).range_95[1] == 1
