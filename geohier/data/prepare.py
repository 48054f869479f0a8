"""From a config to everything that training reads: scenes, splits, statistics, hashes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import psutil

from geohier.config.schema import DataConfig, TrainConfig
from geohier.data.catalog import read_catalog
from geohier.data.class_gaps import class_gaps
from geohier.data.fit_labels import FitLabels
from geohier.data.label_rules import LabelRules
from geohier.data.label_share import keep_share
from geohier.data.labelled import LabelledPixels
from geohier.data.labels import IGNORE_INDEX, LabelTable, check_classes, check_values
from geohier.data.leakage import refuse_leakage
from geohier.data.normalise import file_hash, measure_bands, own_statistics
from geohier.data.sampling import Field, RandomPlaces
from geohier.data.scene_bands import choose_bands, find_bands
from geohier.data.splits import block_split, blocks_of
from geohier.data.units import check_sampled_range, check_units
from geohier.errors import InputError
from geohier.geo.bands import BandSet, NormaliseBy
from geohier.geo.gsd import gsd_m, pixel_size_m
from geohier.geo.window import Window

MEMORY_SHARE = 0.25
"""Share of the free memory that train scenes may be kept in."""

FARTHEST = 16
"""Largest factor between a scene's GSD and the config's: beyond it nothing is recognised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """Everything that training reads.

    Args:
        train: scenes to learn from.
        val: scenes that judge, in the same bands.
        fit: part of each train scene that is fitted on.
        choose: part of each train scene that makes choices.
        bands: the model's bands, with their statistics over the fit area.
        normalised_by: the statistics that normalise each train scene: those, or its own.
        table: classes and label values.
        label_counts: pixels of each label value in the train masks.
        hashes: SHA-256 of each image and mask, by scene id and split.
        gaps: classes that judge but cannot be learnt, a line each.
    """

    train: tuple[LabelledPixels, ...]
    val: tuple[LabelledPixels, ...]
    fit: tuple[Field, ...]
    choose: tuple[Field, ...]
    bands: BandSet
    normalised_by: tuple[BandSet, ...]
    table: LabelTable
    label_counts: Mapping[float, int]
    hashes: Mapping[str, Mapping[str, str]]
    gaps: tuple[str, ...] = ()

    @property
    def most_dates(self) -> int | None:
        """Most dates of a train scene, to which all are filled up; None where images have none."""
        return max(len(one.choice.dates) for one in self.train) or None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of how images and labels are read, each thing once."""
        own = (note for one in self.train + self.val for note in one.notes)
        return (*self.gaps, *dict.fromkeys(own))

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Labelled pixels of each class in the fit area, which is read for it."""
        labels, total = FitLabels(self.train, self.fit), np.zeros(len(self.table.classes), np.int64)
        for scene in range(len(self.train)):
            for window, used in labels.windows(scene):
                if used:
                    found = labels.read(scene, window)
                    total += np.bincount(found[found != IGNORE_INDEX], minlength=len(total))
        return tuple(total.tolist())

    @property
    def gsd_m(self) -> tuple[float, float] | None:
        """Smallest and largest GSD of the chips in metres, None without georeference."""
        return gsd_range_m(self.train, self.fit)


def gsd_range_m(
    scenes: Sequence[LabelledPixels], fields: Sequence[Field]
) -> tuple[float, float] | None:
    """Return the smallest and largest GSD of the chips of scenes, None without georeference.

    Args:
        scenes: scenes.
        fields: where chips are cut from each.
    """
    seen = []
    for one, field in zip(scenes, fields, strict=True):
        own = gsd_m(one.geobox)
        if own is not None:
            seen.append(own * (field.step[0] * field.step[1]) ** 0.5)
    return (min(seen), max(seen)) if seen else None


def prepare(config: TrainConfig) -> TrainingData:
    """Find, check and measure the labelled scenes of a config.

    Raises:
        InputError: a scene is missing or cannot be used, has other units than the first, or ground
            is labelled in both splits.
        LabelError: labels do not fit the image, or the classes.
        BandMismatchError: a scene lacks a band.
    """
    catalog = read_catalog(config.data)
    table = LabelTable(config.data.classes, config.data.ignored)
    second = config.model.hierarchy.second.bands
    names, declared = choose_bands(catalog.train[0], config.data.bands, second)
    rules = LabelRules.of(config.data)
    find = partial(
        find_bands, names=names, declared=declared, dates=config.reads_dates, second=second
    )
    train, val = (
        tuple(_looked_through(LabelledPixels(one, find(one), table, rules)) for one in scenes)
        for scenes in (catalog.train, catalog.val)
    )
    for one in (*train, *val):
        check_units(one, names, declared)
        check_sampled_range(one, names, declared)
    counts = survey(train, table, config.data)
    judged = survey(val, table, None)
    if not config.data.allow_overlap:
        refuse_leakage(train, val)
    keep_in_memory(train)
    fit, choose = _fields(train, config)
    places = RandomPlaces(fit, config.chips.size_px)
    bands = measure_bands(train, places, names, declared, seed=config.training.seed)
    return TrainingData(
        train=train,
        val=val,
        fit=fit,
        choose=choose,
        bands=bands,
        normalised_by=tuple(_statistics(one, bands, config.data.normalise) for one in train),
        table=table,
        label_counts=counts,
        hashes={f"{s.scene.split}/{s.scene.id}": _hashes(s) for s in (*train, *val)},
        gaps=_gaps(counts, judged, table),
    )


def _looked_through(one: LabelledPixels) -> LabelledPixels:
    """Return a scene whose labels were counted while it was open: with many, few stay so."""
    one.label_values()
    return one


def _gaps(
    learnt: Mapping[float, int], judged: Mapping[float, int], table: LabelTable
) -> tuple[str, ...]:
    """Return a line on each class that val holds and train does not."""
    train, val = (
        {one.name: sum(found.get(value, 0) for value in one.values) for one in table.classes}
        for found in (learnt, judged)
    )
    return tuple(gap.text for gap in class_gaps(train, val) if gap.only_in_val)


def _statistics(one: LabelledPixels, bands: BandSet, by: NormaliseBy) -> BandSet:
    return own_statistics(bands, one.moments()) if by == "scene" else bands


def survey(
    scenes: Sequence[LabelledPixels], table: LabelTable, config: DataConfig | None
) -> Counter[float]:
    """Count the label values of all masks and check them against the classes.

    With a config, the scenes are those to learn from: together they must hold two classes.

    Raises:
        LabelError: a value is neither a class nor ignored, or fewer than two classes are there.
    """
    total: Counter[float] = Counter()
    for one in scenes:
        counts = one.label_values()
        total.update(counts)
        check_values(counts, table, one.scene.mask)
    if config is not None:
        check_classes(total, table, config.root)
    return total


def keep_in_memory(scenes: Iterable[LabelledPixels], share: float = MEMORY_SHARE) -> None:
    """Keep as many scenes as a share of the free memory holds, small ones first."""
    left = psutil.virtual_memory().available * share
    for one in sorted(scenes, key=lambda one: one.nbytes):
        left -= one.nbytes
        if left < 0:
            return
        one.keep()


def _fields(
    scenes: tuple[LabelledPixels, ...], config: TrainConfig
) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    """Share out the labelled blocks of all scenes between fit and choose."""
    training = config.training
    blocks = {
        one.scene.id: tuple(
            block
            for block in blocks_of(*one.shape, training.block_px, one.scene.windows)
            if one.has_labels(block)
        )
        for one in scenes
    }
    splits = block_split(
        blocks, share=training.choose_share, buffer_px=training.buffer_px, seed=training.seed
    )
    kept = {name: split.fit for name, split in splits.items()}
    if training.label_share < 1:
        kept = keep_share(kept, share=training.label_share, seed=training.seed)
    fit = tuple(field_of(one, kept[one.scene.id], config) for one in scenes)
    choose = tuple(field_of(one, splits[one.scene.id].choose, config) for one in scenes)
    return fit, choose


def field_of(one: LabelledPixels, parts: tuple[Window, ...], config: TrainConfig) -> Field:
    """Return parts of a scene as ground that chips are cut from, at the config's GSD.

    Raises:
        InputError: the scene's GSD is unknown, or far from the wanted one.
    """
    down, right = scene_step(one, config.data.gsd_m)
    coarser = config.model.downsample
    return Field(
        height=one.shape[0],
        width=one.shape[1],
        parts=parts,
        step=(coarser * down, coarser * right),
    )


def scene_step(one: LabelledPixels, wanted_m: float | None) -> tuple[float, float]:
    """Return the pixels of a scene per chip pixel, down and right.

    Raises:
        InputError: the scene's GSD is unknown, or far from the wanted one.
    """
    if wanted_m is None:
        return 1.0, 1.0
    size_m = pixel_size_m(one.geobox)
    if size_m is None:
        raise InputError(
            f"{one.scene.image}: has no CRS, so its GSD is unknown, but data.gsd_m is "
            f"{wanted_m:g}: set data.gsd_m to null or georeference the scene"
        )
    step = (wanted_m / size_m[0], wanted_m / size_m[1])
    if not 1 / FARTHEST <= step[0] <= FARTHEST:
        raise InputError(
            f"{one.scene.image}: has a GSD of {size_m[0]:g} m, but data.gsd_m is {wanted_m:g}: "
            f"they differ more than {FARTHEST} times"
        )
    return step


def _hashes(one: LabelledPixels) -> dict[str, str]:
    return {"image": file_hash(*one.image_files), "mask": file_hash(one.scene.mask)}
