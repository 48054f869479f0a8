"""Predictions on disk against labels on disk."""

from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import transform_geom
from shapely.geometry import box, shape

from geohier.errors import ConfigError, GeohierError, InputError, LabelError
from geohier.evaluation.segmentation import ConfusionMatrix
from geohier.studies import comparison
from geohier.studies.evaluate import Evaluation, Pair, evaluate_rasters
from geohier.studies.legend import LabelRules, parse_classes

Write = Callable[..., Path]
GRID = Affine(10, 0, 500_000, 0, -10, 5_000_000)
ROTATED = Affine.translation(500_000, 5_000_000) @ Affine.rotation(20) @ Affine.scale(10, -10)


def score(prediction: Path, labels: Path, **options: object) -> Evaluation:
    pair = Pair(name="scene", prediction=prediction, labels=labels)
    return evaluate_rasters([pair], LabelRules(**options))  # type: ignore[arg-type]


def confusion(result: Evaluation) -> list[list[int]]:
    counts: list[list[int]] = result.scores.pooled_confusion.values.tolist()
    return counts


def random_pair(shape: tuple[int, int], classes: int = 2) -> tuple[NDArray, NDArray]:
    rng = np.random.default_rng(0)
    prediction, truth = rng.integers(0, classes, size=(2, *shape), dtype="uint8")
    truth[rng.random(shape) < 0.2] = 255
    prediction[rng.random(shape) < 0.1] = 255
    return prediction, truth


@pytest.mark.parametrize("transform", [GRID, ROTATED, Affine(10, 0, 5e5, 0, 10, 5e6)])
def test_rasters_on_one_grid_are_compared_pixel_by_pixel(
    write_classes: Write, write_scene: Write, transform: Affine
) -> None:
    """Larger than two blocks, and in no multiple of them."""
    prediction, truth = random_pair((700, 1100))
    expected = ConfusionMatrix.of(prediction, truth, classes=2)
    result = score(
        write_classes(prediction, transform=transform),
        write_scene(truth[None], "labels.tif", transform=transform),
    )
    assert confusion(result) == expected.counts.tolist()
    assert result.scores.pooled_unpredicted.values.tolist() == expected.unpredicted.tolist()
    assert result.iou[-1].n == 6
    assert len(result.blocks["scene"]) == 6


def test_wide_rasters_are_read_in_swaths_and_many_blocks_are_merged(
    write_classes: Write, write_scene: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction, truth = random_pair((600, 2000))
    files = write_classes(prediction), write_scene(truth[None], "labels.tif")
    before = score(*files)
    monkeypatch.setattr(comparison, "SWATH_PX", 1024)
    assert score(*files).scores.equals(before.scores)
    monkeypatch.setattr(comparison, "LARGEST_COUNTS", 5 * 2 * 2)
    merged = score(*files)
    assert merged.scores.equals(before.scores)
    assert len(merged.blocks["scene"]) <= 5
    assert merged.blocks["scene"].sum() == before.blocks["scene"].sum()


def test_labels_on_a_finer_grid_are_taken_from_the_nearest_pixel(
    write_classes: Write, write_scene: Write
) -> None:
    prediction, truth = random_pair((40, 60))
    finer = truth.repeat(2, axis=0).repeat(2, axis=1)[:, 20:]
    result = score(
        write_classes(prediction),
        write_scene(
            finer[None],
            "labels.tif",
            transform=GRID @ Affine.scale(0.5) @ Affine.translation(20, 0),
        ),
    )
    beyond = truth.copy()
    beyond[:, :10] = 255
    assert confusion(result) == ConfusionMatrix.of(prediction, beyond, classes=2).counts.tolist()
    assert any("another grid" in note for note in result.notes["scene"])


def test_ground_beyond_the_labels_is_unlabelled_and_not_class_0(
    write_classes: Write, write_scene: Write
) -> None:
    """Labels of another CRS over the middle of the prediction, without a nodata value."""
    prediction = np.ones((60, 60), "uint8")
    middle = GRID @ Affine.translation(20, 20)
    (x,), (y,) = rasterio.warp.transform("EPSG:32631", "EPSG:4326", [middle.c], [middle.f])
    degrees = Affine(1.2e-4, 0, x, 0, -9e-5, y)
    labels = write_scene(
        np.ones((1, 20, 20), "uint8"), "labels.tif", transform=degrees, crs="EPSG:4326"
    )
    (_, wrong), (never, right) = confusion(score(write_classes(prediction), labels))
    assert (wrong, never) == (0, 0)
    assert 300 <= right <= 500


def test_nodata_of_the_labels_is_unlabelled_unless_it_is_a_class(
    write_classes: Write, write_scene: Write
) -> None:
    truth = np.array([[[7, 7, 1, 0]]], "uint8")
    prediction = write_classes(np.array([[0, 1, 1, 0]]))
    seven = score(prediction, write_scene(truth, "seven.tif", nodata=7))
    assert confusion(seven) == [[1, 0], [0, 1]]
    zero = write_scene(np.array([[[0, 0, 1, 0]]], "uint8"), "zero.tif", nodata=0)
    result = score(prediction, zero)
    assert confusion(result) == [[2, 1], [0, 1]]
    assert any("declares 0 as nodata" in note for note in result.notes["scene"])


def test_a_class_that_is_declared_nodata_counts_on_another_grid_too(
    write_classes: Write, write_scene: Write
) -> None:
    truth = np.zeros((1, 8, 8), "uint8")
    finer = write_scene(truth, "labels.tif", nodata=0, transform=GRID @ Affine.scale(0.5))
    assert confusion(score(write_classes(np.zeros((4, 4))), finer)) == [[16, 0], [0, 0]]


def test_masks_of_0_and_255_need_255_to_be_named(write_classes: Write, write_scene: Write) -> None:
    truth = np.array([[[0, 255, 255, 0]]], "uint8")
    prediction, labels = write_classes(np.array([[0, 1, 0, 0]])), write_scene(truth, "labels.tif")
    assert any("only one class" in note for note in score(prediction, labels).notes["scene"])
    named = score(prediction, labels, classes=parse_classes("ground=0,building=255"))
    assert confusion(named) == [[2, 0], [1, 1]]


def test_classes_are_matched_by_name_where_the_names_agree(
    write_classes: Write, write_scene: Write
) -> None:
    """Classes given in another order than the prediction's: the label values follow the names."""
    prediction = write_classes(np.array([[0, 1, 1]]))
    labels = write_scene(np.array([[[5, 9, 5]]], "uint8"), "labels.tif")
    result = score(prediction, labels, classes=parse_classes("building=9,ground=5"))
    assert confusion(result) == [[1, 1], [0, 1]]
    assert result.scores["class"].values.tolist() == ["ground", "building"]


@pytest.mark.parametrize("suffix", ["geojson", "gpkg", "fgb"])
def test_polygons_are_burnt_where_their_pixels_centres_are(
    write_classes: Write, tmp_path: Path, suffix: str
) -> None:
    """A square of 4 x 3 px in degrees, on a rotated raster."""
    square = box(10, 20, 14, 23)
    corners = [ROTATED @ corner for corner in square.exterior.coords]
    ground = shape(
        transform_geom(
            "EPSG:32631", "EPSG:4326", {"type": "Polygon", "coordinates": [corners]}, precision=9
        )
    )
    path = tmp_path / f"labels.{suffix}"
    geopandas.GeoDataFrame(geometry=[ground], crs="EPSG:4326").to_file(path)
    truth = np.zeros((50, 40), "uint8")
    truth[20:23, 10:14] = 1

    result = score(write_classes(truth, transform=ROTATED), path)

    assert confusion(result) == [[2000 - 12, 0], [0, 12]]


@pytest.mark.parametrize(
    ("column", "values"), [("kind", ["Ground", "building"]), ("id", [0, 1]), ("level", [0.0, 1.0])]
)
def test_polygons_carry_their_class_in_a_column(
    write_classes: Write, tmp_path: Path, column: str, values: list[object]
) -> None:
    path = tmp_path / "labels.gpkg"
    left, right = (box(*GRID @ (c, 10), *GRID @ (c + 5, 0)) for c in (0, 5))
    geopandas.GeoDataFrame({column: values}, geometry=[left, right], crs=32631).to_file(path)
    prediction = write_classes(np.ones((10, 20)))
    assert confusion(score(prediction, path, attribute=column)) == [[0, 50], [0, 50]]
    rest = score(prediction, path, attribute=column, outside="building")
    assert confusion(rest) == [[0, 50], [0, 150]]


def test_one_bad_scene_does_not_stop_the_others(
    write_classes: Write, write_scene: Write, tmp_path: Path
) -> None:
    truth = write_scene(np.array([[[0, 1]]], "uint8"), "labels.tif")
    good = Pair(name="good", prediction=write_classes(np.array([[0, 1]])), labels=truth)
    bad = Pair(name="bad", prediction=tmp_path / "none.tif", labels=truth)
    result = evaluate_rasters([bad, good])
    assert result.scores.scene.values.tolist() == ["good"]
    assert "no such file" in result.failures["bad"]
    with pytest.raises(InputError):
        evaluate_rasters([bad])


def test_what_has_no_score_is_null_in_json(write_classes: Write, write_scene: Write) -> None:
    ground = np.zeros((1, 4, 4), "uint8")
    found = score(write_classes(ground[0]), write_scene(ground, "labels.tif")).to_json()
    assert found["pooled"]["classes"]["building"]["iou"] is None
    assert found["pooled"]["iou_range_95"]["building"] == [None, None]
    assert found["scenes"]["scene"]["macro_iou"] == 1.0


def _other_place(write: Write, tmp: Path) -> Path:
    return write(np.ones((1, 4, 4), "uint8"), "l.tif", transform=GRID @ Affine.translation(900, 0))


def _unknown_value(write: Write, tmp: Path) -> Path:
    return write(np.full((1, 4, 4), 9, "uint8"), "l.tif")


def _two_bands(write: Write, tmp: Path) -> Path:
    return write(np.ones((2, 4, 4), "uint8"), "l.tif")


def _other_size_without_crs(write: Write, tmp: Path) -> Path:
    return write(np.ones((1, 5, 4), "uint8"), "l.tif", crs=None)


def _nothing_labelled(write: Write, tmp: Path) -> Path:
    return write(np.full((1, 4, 4), 255, "uint8"), "l.tif")


def _text(write: Write, tmp: Path) -> Path:
    (tmp / "l.tif").write_text("no labels at all")
    return tmp / "l.tif"


def _broken_geojson(write: Write, tmp: Path) -> Path:
    (tmp / "l.geojson").write_text('{"type": "FeatureCollection", "features": [')
    return tmp / "l.geojson"


def _points(write: Write, tmp: Path) -> Path:
    geopandas.GeoDataFrame(geometry=[box(0, 0, 1, 1).centroid], crs=32631).to_file(tmp / "l.gpkg")
    return tmp / "l.gpkg"


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (_other_place, LabelError, "l.tif lies outside the image: check its CRS"),
        (_unknown_value, LabelError, r"l.tif has label 9 \(16 px at least\), but the classes have"),
        (_two_bands, LabelError, "has 2 bands: labels are one band"),
        (_other_size_without_crs, LabelError, "is 5 x 4 px, what it labels 4 x 4 px"),
        (_nothing_labelled, LabelError, "no labelled pixel"),
        (_text, InputError, "is not a raster"),
        (_broken_geojson, InputError, "l.geojson"),
        (_points, ConfigError, "holds points: say how large the discs are"),
    ],
)
def test_labels_that_do_not_fit_say_why_in_one_line(
    write_classes: Write,
    write_scene: Write,
    tmp_path: Path,
    labels: Callable[[Write, Path], Path],
    error: type[GeohierError],
    message: str,
) -> None:
    with pytest.raises(error, match=message) as caught:
        score(write_classes(np.ones((4, 4))), labels(write_scene, tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("classes", "given", "message"),
    [
        ((), "", "does not say which classes"),
        (("a", "b", "c"), "one=0,two=1", "has 3 classes .* --classes names 2"),
        (("a", "b"), "one=0,two=0", "a label value stands for two classes"),
    ],
)
def test_classes_that_do_not_fit_are_refused(
    write_classes: Write, write_scene: Write, classes: tuple[str, ...], given: str, message: str
) -> None:
    prediction = write_classes(np.zeros((4, 4)), classes=classes)
    labels = write_scene(np.zeros((1, 4, 4), "uint8"), "labels.tif")
    named = parse_classes(given) if given else ()
    with pytest.raises(ConfigError, match=message):
        score(prediction, labels, classes=named)


def test_probabilities_are_no_prediction(write_scene: Write) -> None:
    labels = write_scene(np.zeros((1, 4, 4), "uint8"), "labels.tif")
    floats = write_scene(np.zeros((2, 4, 4), "float32"), "probabilities.tif")
    with pytest.raises(InputError, match="one band of class numbers"):
        score(floats, labels, classes=parse_classes("a=0,b=1"))


def test_options_for_polygons_are_refused_with_rasters(
    write_classes: Write, write_scene: Write
) -> None:
    labels = write_scene(np.zeros((1, 4, 4), "uint8"), "labels.tif")
    with pytest.raises(ConfigError, match=r"is a raster: attribute, outside, .* are for polygons"):
        score(write_classes(np.zeros((4, 4))), labels, attribute="kind")


@pytest.mark.parametrize("text", ["a,a", "a=x", "=1", "a=0,,b=1"])
def test_classes_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--classes"):
        parse_classes(text)


@pytest.mark.shared
def test_outlines_and_their_masks_give_one_score(shared_data: Path, write_classes: Write) -> None:
    """Real building outlines in degrees, on a drone scene in Web Mercator."""
    folder = shared_data / "hot_buildings"
    with rasterio.open(folder / "masks" / "banepa_b.tif") as mask:
        place = {"crs": mask.crs, "transform": mask.transform}
        prediction = write_classes(np.roll(mask.read(1), 5, axis=1), **place)
    by_mask = score(prediction, folder / "masks" / "banepa_b.tif")
    by_outline = score(prediction, folder / "labels" / "banepa_b.geojson")
    off = np.abs(by_mask.scores.pooled_confusion - by_outline.scores.pooled_confusion).sum()
    assert off < 1e-4 * by_mask.scores.pooled_confusion.sum()
    assert by_mask.iou[1].n == 16
