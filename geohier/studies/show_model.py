"""A network as its hierarchy: what each level sees, and what each part costs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from geohier.config.load import load_config
from geohier.config.schema import TrainConfig
from geohier.data.catalog import read_catalog
from geohier.data.scene import open_scene
from geohier.data.scene_bands import choose_bands
from geohier.errors import ConfigError, InputError
from geohier.geo.gsd import gsd_m
from geohier.geo.levels import LevelLadder
from geohier.models.cost import Cost, measure_cost
from geohier.models.directory import load_model
from geohier.models.level_features import measure_levels
from geohier.models.level_fields import measure_level_fields
from geohier.models.manifest import is_model
from geohier.models.parts import parts_of
from geohier.models.segmentation import (
    Downsampled,
    at_image_resolution,
    build_segmenter,
    level_ladder,
)
from geohier.models.sensor import lacks_sensor

SHARE = 95
"""Per cent of the gradient that lies within what is called a receptive field."""

BANDS = 3
"""Bands of a network whose data are not here and whose config names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelView:
    """One level of a network; pixels are those of the image.

    Args:
        stride_px: pixels per cell.
        channels: numbers that each cell holds.
        cells: cells along the side of a chip.
        object_px: smallest and largest object that is best seen here; None: without end.
        field_px: side of the square that holds 95 % of what a cell looks at; None: not measured.
    """

    stride_px: int
    channels: int
    cells: int
    object_px: tuple[float, float | None]
    field_px: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """A network.

    Args:
        name: of its config or directory.
        decoder: what merges the levels.
        encoder: name of the encoder.
        bands: bands that it reads.
        classes: classes that it answers with.
        chip_px: side of its chips, in pixels of the image.
        gsd_m: metres of a pixel of the image on the ground; None if nobody knows.
        levels: finest first.
        costs: of its parts, and of all.
        objects_m: 10th, 50th and 90th percentile of the diameters of each class's objects, m.
        notes: what a user should know.
    """

    name: str
    decoder: str
    encoder: str
    bands: int
    classes: int
    chip_px: int
    gsd_m: float | None
    levels: tuple[LevelView, ...]
    costs: Mapping[str, Cost]
    objects_m: Mapping[str, tuple[float, ...]]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Data:
    """What there is to know of a network's data."""

    bands: int
    gsd_m: float | None
    notes: tuple[str, ...] = ()


def show_model(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    fields: bool = False,
    objects: bool = False,
) -> ModelView:
    """Describe the network of a config, or of a model directory.

    Args:
        path: config or model directory.
        overrides: `key=value`, laid over the config.
        fields: measure how far each level looks; of a config, with random weights.
        objects: read the labels, and say how large the objects of each class are.

    Raises:
        ConfigError: the config is wrong, or its network cannot be built.
        ModelError: the model directory cannot be used.
        InputError: objects are asked for, but the scenes cannot be used.
    """
    if path.is_dir() and not is_model(path):
        raise ConfigError(f"{path} is no model directory: give one, or a YAML config")
    if is_model(path):
        if overrides or objects:
            raise ConfigError(f"{path} is a model: --set and --objects are for configs")
        loaded = load_model(path)
        gsd = None if loaded.card.gsd_m is None else sum(loaded.card.gsd_m) / 2
        known = _Data(bands=len(loaded.card.bands), gsd_m=gsd)
        return _view(path.resolve(), loaded.module, loaded.config, known, fields=fields)
    config = load_config(path, overrides, needs_classes=False)
    known = _data_of(config)
    network = build_segmenter(config.model, known.bands, len(config.data.classes))
    if fields and lacks_sensor(network):
        raise ConfigError(
            f"{path}: {config.model.encoder} sees nothing before training has told it wavelengths "
            "or the size of a pixel: give the model directory, or leave out --receptive-field"
        )
    seen = at_image_resolution(network, config.model).eval()
    view = _view(path, seen, config, known, fields=fields)
    return replace(view, objects_m=_objects(config)) if objects else view


def _data_of(config: TrainConfig) -> _Data:
    """Return what the first scene tells, if it is there."""
    stated = config.data
    try:
        scene = read_catalog(stated).train[0]
        names, _ = choose_bands(scene, stated.bands)
        with open_scene(scene.raster(), allow_ungeoreferenced=True) as source:
            own = gsd_m(source.geobox)
    except InputError:
        return _Data(
            bands=len(stated.bands or ()) or BANDS,
            gsd_m=stated.gsd_m,
            notes=() if stated.bands else (f"the scenes are not here: {BANDS} bands are taken",),
        )
    return _Data(bands=len(names), gsd_m=stated.gsd_m or own)


def _view(
    path: Path, network: nn.Module, config: TrainConfig, known: _Data, *, fields: bool
) -> ModelView:
    inner = network.network if isinstance(network, Downsampled) else network
    larger = config.model.downsample
    coarsest = level_ladder(inner, known.bands).coarsest
    levels = measure_levels(network, known.bands, larger * coarsest)
    chip = larger * -(-config.chips.size_px // coarsest) * coarsest
    strides = tuple(stride for stride, _ in levels)
    sizes = LevelLadder(strides=strides).object_sizes_px()
    looks: list[int | None] = [None] * len(levels)
    if fields:
        own = tuple(stride // larger for stride in strides)
        found = measure_level_fields(inner, known.bands, own)
        looks = [larger * (2 * one.margins_px[SHARE] + 1) for one in found]
    return ModelView(
        name=path.name,
        decoder=config.model.decoder,
        encoder=config.model.encoder,
        bands=known.bands,
        classes=len(config.data.classes),
        chip_px=chip,
        gsd_m=known.gsd_m,
        levels=tuple(
            LevelView(
                stride_px=stride,
                channels=channels,
                cells=chip // stride,
                object_px=(low, None if high == float("inf") else high),
                field_px=look,
            )
            for (stride, channels), (low, high), look in zip(levels, sizes, looks, strict=True)
        ),
        costs=measure_cost(network, known.bands, chip, parts_of(network)),
        objects_m={},
        notes=known.notes,
    )


def _objects(config: TrainConfig) -> dict[str, tuple[float, ...]]:
    from geohier.studies.data_check import check_data

    found = check_data(config).objects
    return {
        name: one.diameters_m
        for name, one in found.items()
        if one.diameters_m is not None and one.count
    }
