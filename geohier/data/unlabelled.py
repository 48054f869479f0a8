"""From a config to the images that a network may learn from without labels.

Whatever lies on the ground of a val scene is left out, of whatever date: what judges a model later
must not have been seen before, not even without its labels.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geohier.config.classes import ClassConfig
from geohier.config.schema import DataConfig, ImageMaskPair, LabelsConfig, TrainConfig
from geohier.data.catalog import SPLIT_FILE, Catalog, LabelledScene, read_catalog
from geohier.data.footprints import on_same_ground
from geohier.data.label_rules import LabelRules
from geohier.data.label_source import LabelSource
from geohier.data.labelled import LabelledPixels
from geohier.data.labels import LabelTable
from geohier.data.normalise import file_hash, measure_bands, own_statistics
from geohier.data.pairs import find_images
from geohier.data.prepare import field_of, gsd_range_m, keep_in_memory
from geohier.data.sampling import Field, RandomPlaces
from geohier.data.scene_bands import choose_bands, find_bands
from geohier.data.splits import block_split, blocks_of
from geohier.data.units import check_sampled_range, check_units
from geohier.errors import ConfigError, InputError
from geohier.geo.bands import BandSet
from geohier.geo.window import Window
from geohier.raster.band_choice import BandChoice

IMAGE = ClassConfig(name="image", values=(0,), color="#d9d9d9")
"""The one class of pixels that may be learnt from."""

MOST_NAMED = 3
"""Scenes that a note names."""


class UnlabelledPixels(LabelledPixels):
    """The pixels of a scene whose labels nobody reads: it need not have any.

    Each valid pixel within the scene's windows is of the one class `image`.

    Args:
        scene: the images.
        choice: which of their bands the model reads.
    """

    def __init__(self, scene: LabelledScene, choice: BandChoice) -> None:
        super().__init__(scene, choice, LabelTable((IMAGE,), ()), LabelRules(classes={}))

    def open_labels(self, grid: GeoBox) -> AbstractContextManager[LabelSource]:
        """Return what stands for labels: all is image."""
        return nullcontext(_Everywhere())


class _Everywhere:
    """Labels of a scene in which every pixel is image."""

    notes: tuple[str, ...] = ()

    def read(self, window: Window) -> NDArray[np.generic]:
        """Return zeros, the label value of the class."""
        return np.zeros((window.height, window.width), np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingData:
    """Everything that learning without labels reads.

    Args:
        scenes: scenes to learn from.
        fit: part of each that is learnt from.
        choose: part of each that judges the epochs; the same ground at all dates of one grid.
        bands: the model's bands, with their statistics over the fit area.
        normalised_by: the statistics that normalise each scene: those, or its own.
        twins: for each scene, the others on the same ground, whose pixels can be told from its own
            by an affine map.
        hashes: SHA-256 of each image, by scene id and split.
        notes: what a user should know.
    """

    scenes: tuple[LabelledPixels, ...]
    fit: tuple[Field, ...]
    choose: tuple[Field, ...]
    bands: BandSet
    normalised_by: tuple[BandSet, ...]
    twins: tuple[tuple[int, ...], ...]
    hashes: Mapping[str, Mapping[str, str]]
    notes: tuple[str, ...]

    @property
    def gsd_m(self) -> tuple[float, float] | None:
        """Smallest and largest GSD of the chips in metres, None without georeference."""
        return gsd_range_m(self.scenes, self.fit)


def prepare_unlabelled(config: TrainConfig) -> PretrainingData:
    """Find, check and measure the images of a config's train scenes; labels are not looked at.

    Raises:
        InputError: an image is missing, cannot be used or has other units than the first, or none
            is left.
        BandMismatchError: a scene lacks a band.
    """
    _refuse_groups(config)
    catalog = image_catalog(config.data)
    names, declared = choose_bands(catalog.train[0], config.data.bands)
    find = partial(find_bands, names=names, declared=declared)
    listed, val = (
        tuple(UnlabelledPixels(one, find(one)) for one in some)
        for some in (catalog.train, catalog.val)
    )
    scenes, notes = without_ground_of(listed, val, config.data)
    for one in scenes:
        check_units(one, names, declared)
        check_sampled_range(one, names, declared)
    keep_in_memory(scenes)
    fit, choose = _fields(scenes, config)
    places = RandomPlaces(fit, config.chips.size_px)
    bands = measure_bands(scenes, places, names, declared, seed=config.training.seed)
    per_scene = config.data.normalise == "scene"
    return PretrainingData(
        scenes=scenes,
        fit=fit,
        choose=choose,
        bands=bands,
        normalised_by=tuple(
            own_statistics(bands, one.moments()) if per_scene else bands for one in scenes
        ),
        twins=_twins(scenes) if config.pretraining.contrast else tuple(() for _ in scenes),
        hashes={f"train/{s.scene.id}": {"image": file_hash(*s.image_files)} for s in scenes},
        notes=(*notes, *dict.fromkeys(note for one in scenes for note in one.notes)),
    )


def _refuse_groups(config: TrainConfig) -> None:
    if config.reads_dates:
        raise ConfigError(
            "pretraining looks at one image at a time: set model.hierarchy.time.kind to none and "
            "leave out data.dates; the encoder that it leaves serves networks of dates too"
        )
    if config.model.hierarchy.second.bands:
        raise ConfigError(
            "pretraining looks at one sensor: set model.hierarchy.second to {} and name the first "
            "one's bands in data.bands; the encoder that it leaves serves networks of two too"
        )


def image_catalog(config: DataConfig) -> Catalog:
    """Return the scenes of a config, whose labels need not be there: images stand for them.

    A folder of images is enough, or one with train/ and val/ in which they lie.
    """
    listed = config.train or config.catalog or config.torchgeo
    if not listed and config.root.is_dir() and not (config.root / SPLIT_FILE).is_file():
        pairs = {split: _as_pairs(folder) for split, folder in _folders(config.root).items()}
        config = config.model_copy(update=pairs)
    labels = LabelsConfig(column=config.image_columns[0])
    return read_catalog(config.model_copy(update={"labels": labels}))


def _folders(root: Path) -> dict[str, Path]:
    """Return where the images of each split lie."""
    if not (root / "train").is_dir():
        return {"train": root}
    return {split: root / split for split in ("train", "val") if (root / split).is_dir()}


def _as_pairs(folder: Path) -> tuple[ImageMaskPair, ...]:
    images = (path.absolute() for path in find_images(folder))
    return tuple(ImageMaskPair(image=path, mask=path) for path in images)


def without_ground_of(
    scenes: Sequence[LabelledPixels], val: Sequence[LabelledPixels], config: DataConfig
) -> tuple[tuple[LabelledPixels, ...], list[str]]:
    """Return the scenes whose footprint meets that of no val scene, and a note on the others.

    Raises:
        InputError: none is left.
    """
    meeting = {at for at, _ in on_same_ground(scenes, val)}
    left = tuple(one for at, one in enumerate(scenes) if at not in meeting)
    out = [scenes[at].scene.id for at in sorted(meeting)]
    if not left:
        raise InputError(
            f"{config.catalog or config.root}: no imagery is left to pretrain on: all {len(out)} "
            "train scenes lie on the ground of val scenes: give others, or split by "
            "`geohier data split`"
        )
    notes = [f"{len(val)} val scenes are left out"] if val else []
    if out:
        more = ", ..." if len(out) > MOST_NAMED else ""
        notes.append(
            f"{len(out)} of {len(scenes)} train scenes are left out, since they lie on the ground "
            f"of val scenes: {', '.join(out[:MOST_NAMED])}{more}"
        )
    return left, notes


def _fields(
    scenes: Sequence[LabelledPixels], config: TrainConfig
) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    """Share out the blocks between fit and choose, alike for all scenes of one grid."""
    training = config.training
    grids: dict[object, list[LabelledPixels]] = {}
    for one in scenes:
        grids.setdefault(_grid_of(one), []).append(one)
    blocks = {some[0].scene.id: _blocks(some, training.block_px) for some in grids.values()}
    splits = block_split(
        blocks, share=training.choose_share, buffer_px=training.buffer_px, seed=training.seed
    )
    shared = [splits[grids[_grid_of(one)][0].scene.id] for one in scenes]
    fit = tuple(field_of(one, of.fit, config) for one, of in zip(scenes, shared, strict=True))
    choose = tuple(field_of(one, of.choose, config) for one, of in zip(scenes, shared, strict=True))
    return fit, choose


def _grid_of(one: LabelledPixels) -> object:
    """Return what tells whether two scenes have the same pixels of the ground."""
    return one.scene.id if one.geobox.crs is None else (one.geobox, one.scene.windows)


def _blocks(scenes: Sequence[LabelledPixels], block_px: int) -> tuple[Window, ...]:
    """Return the blocks of one grid in which any of its scenes has pixels."""
    first = scenes[0]
    blocks = blocks_of(*first.shape, block_px, first.scene.windows)
    return tuple(block for block in blocks if any(one.has_labels(block) for one in scenes))


def _twins(scenes: Sequence[LabelledPixels]) -> tuple[tuple[int, ...], ...]:
    """Return for each scene the others of its CRS on the same ground."""
    pairs = [
        (at, by)
        for at, by in on_same_ground(scenes, scenes)
        if at != by and scenes[at].geobox.crs == scenes[by].geobox.crs
    ]
    return tuple(tuple(by for one, by in pairs if one == at) for at in range(len(scenes)))
