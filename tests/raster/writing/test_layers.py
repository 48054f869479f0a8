from pathlib import Path

import pytest

from geohier.errors import ConfigError
from geohier.raster.layers import (
    confidence_layer,
    labels_layer,
    layer_path,
    probabilities_layer,
)


@pytest.mark.parametrize(
    ("count", "dtype", "nodata"), [(255, "uint8", 255), (256, "uint16", 65535)]
)
def test_nodata_is_never_a_class(count: int, dtype: str, nodata: int) -> None:
    layer = labels_layer([f"class {k}" for k in range(count)])

    assert (layer.dtype, layer.nodata) == (dtype, nodata)
    assert nodata not in range(count)


def test_classes_without_colours_get_distinct_ones_that_nobody_has_yet() -> None:
    given = [None] * 299 + ["#E69F00"]

    colors = labels_layer([str(k) for k in range(300)], given).class_colors

    assert colors is not None
    assert len(set(colors)) == 300
    assert colors[-1] == "#e69f00"


@pytest.mark.parametrize("colors", [["red", None], ["#12345", None], ["#123456"]])
def test_a_colour_that_is_none_is_refused(colors: list[str | None]) -> None:
    with pytest.raises(ConfigError, match="colour"):
        labels_layer(["a", "b"], colors)


def test_the_largest_step_of_a_continuous_layer_is_one() -> None:
    layer = probabilities_layer(["a", "b"])

    assert 250 * layer.scale == pytest.approx(1)
    assert layer.nodata > 250
    assert layer.descriptions == ("a", "b")


def test_layers_lie_beside_the_labels() -> None:
    target = Path("out/map.v2.tif")

    assert layer_path(target, labels_layer(["a", "b"])) == target
    assert layer_path(target, confidence_layer()) == Path("out/map.v2_confidence.tif")
