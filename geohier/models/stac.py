"""A model card as a STAC item with the fields of the Machine Learning Model extension, and back.

What the extension has a field for stands there, so that other tools can read it; the rest stands
in fields that start with `geohier:`. Two equal cards give equal items: no clock time, no path.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from geohier.errors import GeohierError, ModelError
from geohier.geo.bands import Band, BandSet, NormaliseBy
from geohier.geo.class_tree import ClassTree
from geohier.models.card import ClassLabel, ModelCard, PointRule

FORMAT = 1
"""Version of the card: raised when an older geohier could no longer read it."""

TREE = "geohier:class_tree"
POINTS = "geohier:points"
DATES = "geohier:dates"
MAY_MISS = "geohier:may_miss"
SCALE = "geohier:scale"
"""Fields that are only there where they say something: groups of the classes, dates of a stack, and
how much smaller and larger objects were than the images show them, in training."""

EXTENSIONS = [
    "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
]

ALWAYS = datetime(1900, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""The extension's advice for a model that is not bound to a time."""

type Json = dict[str, Any]


def item_of(card: ModelCard, *, architecture: str, parameters: int, weights: str) -> Json:
    """Return the STAC item of a card.

    Args:
        card: the card.
        architecture: name of the network, such as `fpn-resnet18`.
        parameters: numbers that the network learned.
        weights: file name of the weights, beside the item.
    """
    import pystac  # only needed when a model is saved
    from pystac.extensions.mlm import MLMExtension

    start, end = ALWAYS
    item = pystac.Item(
        id=architecture,
        geometry=None,
        bbox=None,
        datetime=None,
        start_datetime=start,
        end_datetime=end,
        properties={"bands": [_band_fields(band) for band in card.bands], **_own_fields(card)},
        stac_extensions=list(EXTENSIONS),
    )
    MLMExtension.ext(item, add_if_missing=True).apply(
        name=architecture,
        architecture=architecture,
        tasks=[_task(card)],
        input=[_input(card)],
        output=[_output(card)],
        framework="pytorch",
        framework_version=card.versions.get("torch"),
        total_parameters=parameters,
        pretrained=False,
        accelerator_constrained=False,
    )
    item.add_asset("weights", _asset(weights))
    fields: Json = item.to_dict(include_self_link=False, transform_hrefs=False)
    return fields


def card_of(item: Mapping[str, Any]) -> ModelCard:
    """Return the card that a STAC item of `item_of` stands for.

    Raises:
        ModelError: the item lacks a field, or one makes no sense.
    """
    try:
        found = item["properties"]
        _check_format(found["geohier:format"])
        return _card(found)
    except KeyError as error:
        raise ModelError(f"the card lacks the field {error}: train or copy it again") from error
    except ModelError:
        raise
    except (GeohierError, AttributeError, IndexError, TypeError, ValueError) as error:
        raise ModelError(f"the card makes no sense: {error}") from error


def _check_format(found: object) -> None:
    if found != FORMAT:
        raise ModelError(
            f"the card has format {found}, this geohier reads {FORMAT}: "
            "use the version of geohier that made the model"
        )


def _card(found: Mapping[str, Any]) -> ModelCard:
    gsd_m = found["geohier:gsd_m"]
    output = found["mlm:output"][0]
    classes = tuple(_class(fields) for fields in output["classification:classes"])
    return ModelCard(
        bands=BandSet(tuple(_band(fields) for fields in found["bands"])),
        classes=classes,
        tree=_tree(found.get(TREE), classes),
        points=_points(found.get(POINTS)),
        stride=int(found["geohier:stride"]),
        strides=tuple(int(stride) for stride in found["geohier:strides"]),
        gsd_m=None if gsd_m is None else (float(gsd_m[0]), float(gsd_m[1])),
        tile_size_px=found["geohier:tile_size_px"],
        margins_px={int(share): int(px) for share, px in found["geohier:margins_px"].items()},
        tile_dependent=bool(found["geohier:tile_dependent"]),
        normalise=_normalise(found.get("geohier:normalise", "train")),
        scaled=bool(found["geohier:scaled"]),
        trained_on=dict(found["geohier:trained_on"]),
        scores=dict(found["geohier:scores"]),
        versions={str(name): str(version) for name, version in found["geohier:versions"].items()},
        scale=_scale(found.get(SCALE)),
        dates=None if found.get(DATES) is None else int(found[DATES]),
        may_miss=tuple(str(name) for name in found.get(MAY_MISS, ())),
    )


def _tree(found: object, classes: Sequence[ClassLabel]) -> ClassTree | None:
    return None if found is None else ClassTree.from_json(found, [one.name for one in classes])


def _scale(found: Sequence[float] | None) -> tuple[float, float] | None:
    return None if found is None else (float(found[0]), float(found[1]))


def _points(found: Any) -> PointRule | None:  # noqa: ANN401
    if found is None:
        return None
    return PointRule(
        ground=int(found["ground"]),
        thresholds={str(name): float(score) for name, score in found["thresholds"].items()},
        apart_px=float(found["apart_px"]),
        smooth_px=float(found["smooth_px"]),
        match_m=float(found["match_m"]),
    )


def _normalise(found: object) -> NormaliseBy:
    match found:
        case "train" | "scene":
            return found
    raise ModelError(f"the card normalises by {found}: this geohier knows train and scene")


def _own_fields(card: ModelCard) -> Json:
    return {
        "geohier:format": FORMAT,
        "geohier:stride": card.stride,
        "geohier:strides": list(card.strides),
        "geohier:gsd_m": None if card.gsd_m is None else list(card.gsd_m),
        "geohier:tile_size_px": card.tile_size_px,
        "geohier:margins_px": {str(share): px for share, px in sorted(card.margins_px.items())},
        "geohier:tile_dependent": card.tile_dependent,
        "geohier:normalise": card.normalise,
        "geohier:scaled": card.scaled,
        "geohier:trained_on": dict(card.trained_on),
        "geohier:scores": dict(card.scores),
        "geohier:versions": dict(card.versions),
        **({} if card.tree is None else {TREE: card.tree.to_json()}),
        **({} if card.scale is None else {SCALE: list(card.scale)}),
        **({} if card.points is None else {POINTS: asdict(card.points)}),
        **({} if card.dates is None else {DATES: card.dates}),
        **({MAY_MISS: list(card.may_miss)} if card.may_miss else {}),
    }


def _input(card: ModelCard) -> Any:  # noqa: ANN401  # pystac is imported where it is used
    from pystac.extensions import mlm
    from pystac.extensions.raster import DataType

    side = _side(card)
    reads = mlm.ModelInput.create(
        name="image",
        bands=_band_inputs(card.bands),
        input=mlm.InputStructure.create(
            shape=[-1, len(card.bands) if card.dates is None else -1, side, side],
            dim_order=["batch", "channel", "height", "width"],
            data_type=DataType.FLOAT32,
        ),
    )
    # the extension asks for one scaling per band, pystac's property holds a single one
    reads.properties["value_scaling"] = [
        mlm.ValueScaling.create(
            mlm.ValueScalingType.Z_SCORE, mean=band.mean, stddev=band.std
        ).to_dict()
        for band in card.bands
    ]
    return reads


def _band_inputs(bands: BandSet) -> Any:  # noqa: ANN401
    """Return names, or where bands are computed, names with the formulas."""
    from pystac.extensions.mlm import ModelBand

    if not any(band.formula for band in bands):
        return list(bands.names)
    return [
        ModelBand.create(name=one.name, format=one.formula and "geohier", expression=one.formula)
        for one in bands
    ]


def _output(card: ModelCard) -> Any:  # noqa: ANN401
    from pystac.extensions import mlm
    from pystac.extensions.classification import Classification
    from pystac.extensions.raster import DataType

    side = _side(card)
    return mlm.ModelOutput.create(
        name="logits",
        tasks=[_task(card)],
        result=mlm.ResultStructure.create(
            shape=[-1, len(card.classes), side, side],
            dim_order=["batch", "channel", "height", "width"],
            data_type=DataType.FLOAT32,
        ),
        classes=[
            Classification(_class_fields(value, label)) for value, label in enumerate(card.classes)
        ],
    )


def _task(card: ModelCard) -> Any:  # noqa: ANN401
    from pystac.extensions.mlm import TaskType

    return TaskType.SEMANTIC_SEGMENTATION if card.points is None else TaskType.OBJECT_DETECTION


def _side(card: ModelCard) -> int:
    """Return the side of images that the model takes, -1 for any."""
    return card.tile_size_px or -1 if card.tile_dependent else -1


def _asset(weights: str) -> Any:  # noqa: ANN401
    import pystac

    return pystac.Asset(
        href=f"./{weights}",
        media_type="application/octet-stream; application=safetensors",
        roles=["mlm:model", "mlm:weights"],
        extra_fields={"mlm:artifact_type": "safetensors.torch.save_file"},
    )


def _band_fields(band: Band) -> Json:
    return {
        "name": band.name,
        "data_type": band.dtype,
        "nodata": _spelt(band.nodata),
        "statistics": {"mean": band.mean, "stddev": band.std},
        "raster:scale": band.scale,
        "raster:offset": band.offset,
        "geohier:percentile_2": band.low,
        "geohier:percentile_98": band.high,
        **({} if band.formula is None else {"geohier:formula": band.formula}),
    }


def _band(fields: Mapping[str, Any]) -> Band:
    return Band(
        name=str(fields["name"]),
        dtype=str(fields["data_type"]),
        mean=float(fields["statistics"]["mean"]),
        std=float(fields["statistics"]["stddev"]),
        low=_number(fields["geohier:percentile_2"]),
        high=_number(fields["geohier:percentile_98"]),
        scale=float(fields["raster:scale"]),
        offset=float(fields["raster:offset"]),
        nodata=_number(fields["nodata"]),
        formula=None if fields.get("geohier:formula") is None else str(fields["geohier:formula"]),
    )


def _spelt(value: float | None) -> float | str | None:
    """Return a nodata value as STAC spells it: JSON has no word for nan and inf."""
    if value is None or math.isfinite(value):
        return value
    return str(float(value))


def _number(value: float | str | None) -> float | None:
    return None if value is None else float(value)


def _class_fields(value: int, label: ClassLabel) -> Json:
    return {
        "value": value,
        "name": re.sub(r"[^0-9A-Za-z_-]", "_", label.name),
        "title": label.name,
        "color_hint": label.color.removeprefix("#").upper(),
        "geohier:color": label.color,
        "geohier:label_values": list(label.label_values),
    }


def _class(fields: Mapping[str, Any]) -> ClassLabel:
    return ClassLabel(
        name=str(fields["title"]),
        color=str(fields["geohier:color"]),
        label_values=tuple(int(value) for value in fields["geohier:label_values"]),
    )
