"""What is wrong, or odd, about labelled scenes: from what was read of them to lines for people."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np

from geohier.config.schema import TrainConfig
from geohier.data.catalog import Catalog, LabelledScene, Split
from geohier.data.class_gaps import class_gaps
from geohier.data.labelled import LabelledPixels
from geohier.data.labels import LabelTable, check_classes, check_values
from geohier.data.leakage import CURE, Nearness, leakage_text
from geohier.data.units import check_range, check_units
from geohier.data.unlabelled import without_ground_of
from geohier.errors import InputError
from geohier.raster.source import SourceBand
from geohier.studies.scene_survey import SceneSurvey

MOST_LINES = 5
"""Findings of one kind that are told one by one."""

FAR_OFF = 10.0
"""Values that are so many times as large, or small, as the others' are of another unit."""

MANY_SPECKS = 0.2
"""Share of a class's objects that are a single pixel from which on it is worth a line."""

FEW = 10

SPLITS: tuple[Split, ...] = ("train", "val")

type Found = tuple[LabelledPixels, SceneSurvey]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line for people; an error says that the data cannot be used as they are."""

    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was read of a config's scenes.

    Args:
        config: the config.
        catalog: all scenes.
        names: the bands that the model would read.
        declared: what the first train scene says of each.
        table: classes and label values.
        surveyed: scenes that could be read, with what they hold.
        values: pixels of each label value of those, windows aside.
        steps: their pixels per pixel at data.gsd_m, down and right.
        failures: scenes that cannot be used, and why.
        unlabelled: whether the images were looked at alone.
    """

    config: TrainConfig
    catalog: Catalog
    names: tuple[str, ...]
    declared: tuple[SourceBand, ...]
    table: LabelTable
    surveyed: tuple[Found, ...]
    values: tuple[Counter[float], ...]
    steps: tuple[tuple[float, float], ...]
    failures: tuple[tuple[LabelledScene, str], ...]
    unlabelled: bool = False

    def of(self, split: Split) -> list[Found]:
        """Return the scenes of one split."""
        return [found for found in self.surveyed if found[0].scene.split == split]

    def class_px(self, split: Split) -> Counter[str]:
        """Return the labelled pixels of each class of a split."""
        total: Counter[str] = Counter()
        for _, survey in self.of(split):
            for one, count in zip(self.config.data.classes, survey.class_px, strict=True):
                total[one.name] += int(count)
        return total

    @property
    def gsd_m(self) -> float | None:
        """data.gsd_m, or the median GSD of the scenes; None where one has no CRS."""
        own = [survey.gsd_m for _, survey in self.surveyed]
        known = [gsd for gsd in own if gsd is not None]
        if not known or len(known) < len(own):
            return None
        return self.config.data.gsd_m or median(known)

    @property
    def chip_m(self) -> float | None:
        """Side of a chip on the ground, in metres."""
        if self.gsd_m is None:
            return None
        return self.gsd_m * self.config.model.downsample * self.config.chips.size_px


def find(
    evidence: Evidence, near: Sequence[Nearness], *, buffer_m: float, allow_overlap: bool
) -> tuple[Finding, ...]:
    """Return what a user should know, errors first, each kind of thing in a few lines."""
    allowed = allow_overlap or evidence.config.data.allow_overlap
    checks = [
        _grouped([text for _, text in evidence.failures], is_error=True),
        _grouped(_units(evidence), is_error=True),
        _values(evidence),
        _places(evidence),
        _notes(evidence),
    ]
    if evidence.unlabelled:
        checks.append(_for_pretraining(evidence))
    else:
        checks += [*_of_labels(evidence), _leaks(near, buffer_m, allowed=allowed)]
    found = [finding for check in checks for finding in check]
    return tuple(sorted(found, key=lambda one: not one.is_error))


def _of_labels(evidence: Evidence) -> list[Iterator[Finding]]:
    return [
        _grouped(_labels(evidence), is_error=True),
        _classes(evidence),
        _splits(evidence),
        _specks(evidence),
    ]


def _for_pretraining(evidence: Evidence) -> Iterator[Finding]:
    """Tell which images pretraining leaves out, and why."""
    train, val = ([one for one, _ in evidence.of(split)] for split in SPLITS)
    if not train:
        return
    try:
        _, notes = without_ground_of(train, val, evidence.config.data)
    except InputError as error:
        yield Finding(str(error), is_error=True)
    else:
        yield from map(Finding, notes)


def _grouped(lines: Sequence[str], *, is_error: bool = False) -> Iterator[Finding]:
    """Tell the first lines of one kind, and how many more there are."""
    yield from (Finding(line, is_error) for line in lines[:MOST_LINES])
    if len(lines) > MOST_LINES:
        more = len(lines) - MOST_LINES
        yield Finding(f"{more} more scenes have the same or a like problem", is_error)


def _refusals(checks: Sequence[Callable[[], None]]) -> list[str]:
    """Return what the checks raise."""
    lines = []
    for check in checks:
        try:
            check()
        except InputError as error:
            lines.append(str(error))
    return lines


def _labels(evidence: Evidence) -> list[str]:
    """Return the label values that are no class, file by file, and a want of classes."""
    table, masks = evidence.table, {}
    for (one, _), values in zip(evidence.surveyed, evidence.values, strict=True):
        masks[one.scene.mask] = values
    unknown = _refusals(
        [partial(check_values, values, table, mask) for mask, values in masks.items()]
    )
    total: Counter[float] = Counter()
    for (one, _), values in zip(evidence.surveyed, evidence.values, strict=True):
        if one.scene.split == "train":
            total.update(values)
    if not unknown and total:
        return _refusals([partial(check_classes, total, table, evidence.config.data.root)])
    return unknown


def _units(evidence: Evidence) -> list[str]:
    """Return scenes whose bands are scaled otherwise, or hold what the first one's cannot."""
    names, declared = evidence.names, evidence.declared
    scenes = evidence.surveyed
    scaled = [partial(check_units, one, names, declared) for one, _ in scenes]
    fit = [
        partial(check_range, one, names, declared, survey.low, survey.high)
        for one, survey in scenes
    ]
    return _refusals([*scaled, *fit])


def _classes(evidence: Evidence) -> Iterator[Finding]:
    train, val = evidence.class_px("train"), evidence.class_px("val")
    if not train.total():
        return
    for gap in class_gaps(train, {name: val[name] for name in train}):
        yield Finding(gap.text, is_error=gap.only_in_val)


def _splits(evidence: Evidence) -> Iterator[Finding]:
    if not evidence.catalog.val:
        yield Finding("there is no val scene: nothing judges the model (geohier data split)")
    for split in ("train", "val"):
        found = evidence.of(split)
        empty = [one.scene.id for one, survey in found if not survey.labelled]
        if found and len(empty) == len(found):
            yield Finding(
                f"{split} is empty: none of its {len(found)} scenes has a labelled pixel that is "
                "valid: check the labels, their windows and data.ignore",
                is_error=True,
            )
        elif empty:
            yield Finding(f"{len(empty)} of {len(found)} {split} scenes hold no label ({empty[0]})")


def _leaks(near: Sequence[Nearness], buffer_m: float, *, allowed: bool) -> Iterator[Finding]:
    leaks = sorted((one for one in near if one.is_leak(buffer_m)), key=lambda one: one.distance)
    if leaks:
        cure = "allowed" if allowed else CURE
        yield Finding(f"{leakage_text(leaks)}: {cure}", is_error=not allowed)
    for same, what in ((True, "share one image"), (False, "lie less than a chip apart")):
        kind = [one for one in near if one.same_image == same and not one.is_leak(buffer_m)]
        if kind:
            closest = min(kind, key=lambda one: one.distance)
            count = f"{len(kind)} pair{'s' * (len(kind) > 1)} of train and val scenes"
            yield Finding(f"{count} {what}; the closest labels are {closest.distance_text}")


def _values(evidence: Evidence) -> Iterator[Finding]:
    """Tell of scenes whose values are of another order than those of the others."""
    tops = [
        (one, np.percentile(np.abs(survey.sample), 98, axis=1))
        for one, survey in evidence.surveyed
        if survey.sample.shape[1]
    ]
    if not tops:
        return
    usual = np.median([top for _, top in tops], axis=0)
    far = [
        one for one, top in tops if (top > FAR_OFF * usual).all() or (FAR_OFF * top < usual).all()
    ]
    yield from _grouped(
        [
            f"{one.scene.image}: all bands are {FAR_OFF:g} times as bright, or as dark, as those "
            "of most scenes: check its units"
            for one in far
        ]
    )


def _specks(evidence: Evidence) -> Iterator[Finding]:
    for at, one in enumerate(evidence.config.data.classes):
        total = sum(survey.sizes_px[at].total() for _, survey in evidence.surveyed)
        specks = sum(survey.sizes_px[at][1] for _, survey in evidence.surveyed)
        if specks > max(MANY_SPECKS * total, FEW):
            yield Finding(
                f"{specks} of {total} objects of {one.name} are a single pixel: noise in the "
                "labels, or objects too small for this imagery"
            )


def _places(evidence: Evidence) -> Iterator[Finding]:
    lost = [one.scene.id for one, survey in evidence.surveyed if survey.gsd_m is None]
    if lost:
        yield Finding(
            f"{len(lost)} of {len(evidence.surveyed)} scenes do not say where they lie "
            f"({lost[0]}): sizes in metres are not known, and leakage is judged by equal files "
            "alone"
        )


def _notes(evidence: Evidence) -> Iterator[Finding]:
    """Tell how images and labels are read: each kind of note once, with how many are like it."""
    kinds: dict[str, list[str]] = {}
    for one, _ in evidence.surveyed:
        for note in one.notes:
            line = note if "/" in note else f"{one.scene.id}: {note}"
            kinds.setdefault(re.sub(r"\S*/\S+|[\d.]+", "", note), []).append(line)
    for alike in kinds.values():
        more = f" (and {len(alike) - 1} more like it)" if len(alike) > 1 else ""
        yield Finding(f"{alike[0]}{more}")
