"""Layers of a result: what each is called, how its numbers are stored, and where its file lies.

One rule for every layer: class rasters hold the class's number and 255 where there is no answer
(65535 above 255 classes); continuous ones hold 0 to 250 for 0.0 to 1.0, and 255 for no answer.
Features hold 0 to 250 by the scale and offset of each band.
"""

import colorsys
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from geohier.errors import ConfigError

LABELS = "labels"
"""Name of the layer that every map has."""

FEATURES = "features"
"""Name of the one layer of a result that holds what a model sees in place of classes."""

MIDDLES = "middles"
"""Name of the one layer of a result that says how likely pixels are the middle of an object."""

MAIN = (LABELS, FEATURES, MIDDLES)
"""Layers of which every result has one: it lies at the result's own path."""

CONTINUOUS = ("confidence", "entropy", "probabilities")
"""Names of the layers that may lie beside labels."""

STEPS = 250
"""Steps from 0.0 to 1.0 in a continuous layer."""

NODATA: Mapping[str, int] = {"uint8": 255, "uint16": 65535}
"""Stored number where there is no answer, by data type."""

LABEL_VALUES_TAG = "geohier_label_values"
"""Tag of a class raster: for each class, the values that stand for it in the training masks."""

CLASS_TREE_TAG = "geohier_class_tree"
"""Tag of a class raster: for each class, the groups that it is in, if the classes have a tree."""

LEVELS_TAG = "geohier_levels"
"""Tag of a raster of features: number, stride and channels of each level that is in it."""

PALETTE = (
    "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7",
    "#882255", "#44aa99", "#999933", "#332288", "#ddcc77", "#aa4499", "#117733", "#88ccee",
    "#661100", "#bbbbbb",
)  # fmt: skip
"""Colours that stay apart under colour blindness: Okabe and Ito's first, then Paul Tol's muted."""


type Encoding = tuple[float, float]
"""Scale and offset of a band: what is stored times scale, plus offset, is what is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One kind of answer per pixel, and how a file holds it.

    Args:
        name: `labels`, `confidence`, `entropy`, `probabilities`, `features` or `middles`.
        dtype: NumPy name of the stored numbers.
        count: bands.
        nodata: stored number where there is no answer.
        scale: what one step of the stored number is worth; a stored 0 is worth 0.
        encodings: scale and offset of each band, where each has its own.
        descriptions: name of each band.
        resampling: how overviews are made.
        class_names: class `k` of a class raster is `class_names[k]`; None for continuous layers.
        class_colors: `#rrggbb` of each class.
    """

    name: str
    dtype: Literal["uint8", "uint16"]
    count: int
    nodata: int
    scale: float = 1.0
    encodings: tuple[Encoding, ...] | None = None
    descriptions: tuple[str, ...]
    resampling: Literal["NEAREST", "AVERAGE"]
    class_names: tuple[str, ...] | None = None
    class_colors: tuple[str, ...] | None = None

    @property
    def bytes_per_pixel(self) -> int:
        """Size of one pixel of all bands, before compression."""
        return self.count * (1 if self.dtype == "uint8" else 2)

    def encoding(self, band: int) -> Encoding:
        """Scale and offset of a band, counted from 1."""
        return (self.scale, 0.0) if self.encodings is None else self.encodings[band - 1]


def labels_layer(names: Sequence[str], colors: Sequence[str | None] | None = None) -> Layer:
    """Return the class raster of these classes; a class without a colour gets one.

    Raises:
        ConfigError: a colour is not `#rrggbb`, or names and colours differ in number.

    Example:
        >>> labels_layer(["land", "water"]).class_colors
        ('#e69f00', '#56b4e9')
    """
    dtype = labels_dtype(len(names))
    return Layer(
        name=LABELS,
        dtype=dtype,
        count=1,
        nodata=NODATA[dtype],
        descriptions=(LABELS,),
        resampling="NEAREST",
        class_names=tuple(names),
        class_colors=_colors(len(names), colors),
    )


def labels_dtype(classes: int) -> Literal["uint8", "uint16"]:
    """Return the data type that holds the numbers of so many classes, and nodata beside them."""
    return "uint8" if classes <= NODATA["uint8"] else "uint16"


def confidence_layer() -> Layer:
    """Return the probability of the class that won."""
    return _continuous("confidence", ("confidence",))


def entropy_layer() -> Layer:
    """Return the entropy of the probabilities, divided by the logarithm of the class count."""
    return _continuous("entropy", ("entropy",))


def probabilities_layer(names: Sequence[str]) -> Layer:
    """Return the probability of each class, one band per class."""
    return _continuous("probabilities", tuple(names))


def middles_layer(names: Sequence[str]) -> Layer:
    """Return how likely a pixel is the middle of an object, one band per class of objects."""
    return _continuous(MIDDLES, tuple(names))


def features_layer(names: Sequence[str], encodings: Sequence[Encoding] | None = None) -> Layer:
    """Return the features of these names; until they are measured, without their encodings."""
    given = None if encodings is None else tuple((scale, offset) for scale, offset in encodings)
    return replace(_continuous(FEATURES, tuple(names)), encodings=given)


def layers_of(
    names: Sequence[str], classes: Sequence[str], colors: Sequence[str | None] | None = None
) -> tuple[Layer, ...]:
    """Return the layers of these names (`LABELS` and those in `CONTINUOUS`) for some classes.

    Raises:
        ConfigError: a colour is not `#rrggbb`, or classes and colours differ in number.

    Example:
        >>> [layer.count for layer in layers_of(["labels", "probabilities"], ["land", "water"])]
        [1, 2]
    """
    made = (
        labels_layer(classes, colors),
        confidence_layer(),
        entropy_layer(),
        probabilities_layer(classes),
    )
    by_name = {layer.name: layer for layer in made}
    return tuple(by_name[name] for name in names)


def layer_path(target: Path, layer: Layer | str) -> Path:
    """Return where a layer's file lies: labels or features at `target`, others beside it.

    Example:
        >>> layer_path(Path("out/map.tif"), confidence_layer()).name
        'map_confidence.tif'
    """
    name = layer if isinstance(layer, str) else layer.name
    return target if name in MAIN else target.with_name(f"{target.stem}_{name}.tif")


def _continuous(name: str, descriptions: tuple[str, ...]) -> Layer:
    return Layer(
        name=name,
        dtype="uint8",
        count=len(descriptions),
        nodata=NODATA["uint8"],
        scale=1 / STEPS,
        descriptions=descriptions,
        resampling="AVERAGE",
    )


def _colors(count: int, given: Sequence[str | None] | None) -> tuple[str, ...]:
    given = [None] * count if given is None else given
    if len(given) != count:
        raise ConfigError(f"{count} classes have {len(given)} colours: give one for each class")
    for color in given:
        if color is not None and not re.fullmatch(r"#[0-9a-fA-F]{6}", color):
            raise ConfigError(f"colour {color!r} is not of the form #rrggbb")
    taken = {color.lower() for color in given if color}
    fresh = (color for color in _distinct_colors() if color not in taken)
    return tuple(color.lower() if color else next(fresh) for color in given)


def _distinct_colors() -> Iterator[str]:
    """Yield the palette, then ever new hues at three lightnesses."""
    yield from PALETTE
    seen = set(PALETTE)
    step = 0
    while True:
        step += 1
        hue, value = (step * 0.6180339887) % 1, (0.95, 0.7, 0.45)[step % 3]
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.4 + 0.15 * (step % 5), value)
        color = f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
        if color not in seen:
            seen.add(color)
            yield color
