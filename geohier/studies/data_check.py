"""What a config's labelled scenes hold, and what is wrong with them, before anything is trained."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np

from geohier.config.schema import TrainConfig
from geohier.data.catalog import LabelledScene, Split, read_catalog
from geohier.data.label_rules import LabelRules
from geohier.data.labelled import LabelledPixels
from geohier.data.labels import LabelTable
from geohier.data.leakage import Nearness, nearnesses
from geohier.data.prepare import scene_step
from geohier.data.scene_bands import choose_bands, find_bands
from geohier.data.strips import OnPixels, labelled_strips
from geohier.data.unlabelled import IMAGE, UnlabelledPixels, image_catalog
from geohier.errors import InputError
from geohier.geo.levels import LevelLadder
from geohier.studies.data_findings import SPLITS, Evidence, find
from geohier.studies.data_report import (
    PERCENTILES,
    BandStatistics,
    DataReport,
    ObjectReport,
    SplitReport,
)
from geohier.studies.object_sizes import SizeTable
from geohier.studies.scale_advice import advise, nominal_strides, share_by_level
from geohier.studies.scene_survey import SceneSurvey, survey_scene

SAMPLE_PX = 2**20
"""Pixels per split from which means and percentiles are computed."""


def check_data(
    config: TrainConfig,
    *,
    buffer_m: float = 0.0,
    allow_overlap: bool = False,
    unlabelled: bool = False,
    on_pixels: OnPixels = lambda done, total: None,
) -> DataReport:
    """Look at all labelled scenes of a config and say what they hold and what is wrong.

    Each scene is read once, strip by strip, and a second time where its labels must be compared
    with those of another split.

    Args:
        config: what would be trained with.
        buffer_m: labels of two splits that are closer than this, in metres, are a leak too.
        allow_overlap: tell of leaks, but take them for no error.
        unlabelled: look at the images alone, as pretraining does; all that is image is of one
            class then, whatever the config says of labels.
        on_pixels: told how many pixels are done, and how many there are.

    Raises:
        InputError: there are no scenes, or the first one cannot be used.
        ConfigError: config and labels do not fit each other.
    """
    if unlabelled:
        config = _of_images(config)
    evidence = _gather(config, on_pixels, unlabelled=unlabelled)
    near = [] if unlabelled else _near(evidence, buffer_m)
    findings = find(evidence, near, buffer_m=buffer_m, allow_overlap=allow_overlap)
    model = config.model
    strides = nominal_strides(
        model.decoder, model.encoder_depth, model.downsample, model.hierarchy.levels
    )
    sizes = {} if unlabelled else _sizes(evidence)
    return DataReport(
        splits={split: _split(evidence, split) for split in SPLITS if evidence.of(split)},
        objects=_objects(evidence, sizes, LevelLadder(strides=strides)),
        gsd_m=evidence.gsd_m,
        strides=strides,
        advice=advise(sizes, config.model),
        nearnesses=tuple(near),
        findings=findings,
        views=evidence.surveyed,
        classes=config.data.classes,
    )


def _near(evidence: Evidence, buffer_m: float) -> list[Nearness]:
    """Return the pairs of train and val scenes whose labels lie together, or close."""
    scenes = ([one for one, _ in evidence.of(split)] for split in SPLITS)
    return nearnesses(*scenes, within_m=max(buffer_m, evidence.chip_m or 0.0))


def _of_images(config: TrainConfig) -> TrainConfig:
    """Return a config in which all that is image is of one class, whatever the labels say."""
    data = config.data.model_copy(update={"classes": (IMAGE,), "ignore": None})
    return config.model_copy(update={"data": data})


def _gather(config: TrainConfig, on_pixels: OnPixels, *, unlabelled: bool) -> Evidence:
    """Open and read all scenes; those that cannot be used are kept with the reason."""
    catalog = image_catalog(config.data) if unlabelled else read_catalog(config.data)
    table = LabelTable(config.data.classes, config.data.ignored)
    second = config.model.hierarchy.second.bands
    names, declared = choose_bands(catalog.train[0], config.data.bands, second)
    rules = LabelRules(classes={}) if unlabelled else LabelRules.of(config.data)
    opened: list[tuple[LabelledPixels, Counter[float], tuple[float, float]]] = []
    failures: list[tuple[LabelledScene, str]] = []
    for scene in catalog.scenes:
        try:
            choice = find_bands(scene, names, declared, dates=config.reads_dates, second=second)
            one = (
                UnlabelledPixels(scene, choice)
                if unlabelled
                else LabelledPixels(scene, choice, table, rules)
            )
            opened.append((one, one.label_values(), scene_step(one, config.data.gsd_m)))
        except InputError as error:
            failures.append((scene, str(error)))
    surveyed, broken = _survey([one for one, _, _ in opened], config, on_pixels)
    kept = {id(one) for one, _ in surveyed}
    return Evidence(
        config=config,
        catalog=catalog,
        names=names,
        declared=declared,
        table=table,
        surveyed=surveyed,
        values=tuple(values for one, values, _ in opened if id(one) in kept),
        steps=tuple(step for one, _, step in opened if id(one) in kept),
        failures=tuple(failures + broken),
        unlabelled=unlabelled,
    )


def _survey(
    scenes: Sequence[LabelledPixels], config: TrainConfig, on_pixels: OnPixels
) -> tuple[tuple[tuple[LabelledPixels, SceneSurvey], ...], list[tuple[LabelledScene, str]]]:
    """Return what the scenes hold, and which of them cannot be read."""
    tally = _Tally(on_pixels, scenes)
    shares = {split: _sampled_share(scenes, split) for split in SPLITS}
    classes = len(config.data.classes)
    found, broken = [], []
    for at, one in enumerate(scenes):
        share = shares[one.scene.split]
        try:
            with closing(one):
                survey = survey_scene(one, classes, sampled=share, seed=at, on_pixels=tally.add)
            found.append((one, survey))
        except InputError as error:
            broken.append((one.scene, str(error)))
    return tuple(found), broken


class _Tally:
    """Counts pixels over several scenes."""

    def __init__(self, on_pixels: OnPixels, scenes: Sequence[LabelledPixels]) -> None:
        strips = [strip for one in scenes for strip in labelled_strips(one)]
        self.total = max(1, sum(strip.height * strip.width for strip in strips))
        self.done = 0
        self.on_pixels = on_pixels
        self.add(0)

    def add(self, pixels: int) -> None:
        self.done += pixels
        self.on_pixels(self.done, self.total)


def _sampled_share(scenes: Sequence[LabelledPixels], split: Split) -> float:
    """Return the share of a split's pixels that makes up a sample of it."""
    pixels = 0
    for one in scenes:
        if one.scene.split == split:
            parts = [part.height * part.width for part in one.scene.windows]
            pixels += sum(parts) or one.shape[0] * one.shape[1]
    return min(1.0, SAMPLE_PX / max(1, pixels))


def _split(evidence: Evidence, split: Split) -> SplitReport:
    surveys = [survey for _, survey in evidence.of(split)]
    class_px = sum(survey.class_px for survey in surveys)
    names = [one.name for one in evidence.config.data.classes]
    return SplitReport(
        scenes=len(surveys),
        labelled_scenes=sum(survey.labelled > 0 for survey in surveys),
        pixels=sum(survey.pixels for survey in surveys),
        valid=sum(survey.valid for survey in surveys),
        class_px=dict(zip(names, np.asarray(class_px).tolist(), strict=True)),
        bands=tuple(_bands(evidence, surveys)),
    )


def _bands(evidence: Evidence, surveys: Sequence[SceneSurvey]) -> Iterator[BandStatistics]:
    sample = np.concatenate([survey.sample for survey in surveys], axis=1)
    if sample.shape[1] == 0:
        return
    for at, (name, declared) in enumerate(zip(evidence.names, evidence.declared, strict=True)):
        values = sample[at].astype(np.float64)
        low, middle, high = np.percentile(values, (2, 50, 98)).tolist()
        yield BandStatistics(
            name=name,
            dtype=declared.dtype,
            mean=float(values.mean()),
            std=float(values.std()),
            percentiles=(low, middle, high),
            low=min(float(survey.low[at]) for survey in surveys),
            high=max(float(survey.high[at]) for survey in surveys),
        )


def _sizes(evidence: Evidence, *, metres: bool = False) -> dict[str, SizeTable]:
    """Return the objects of each class, in pixels at data.gsd_m or in metres."""
    found = {}
    for at, one in enumerate(evidence.config.data.classes):
        areas: Counter[float] = Counter()
        runs = 0.0
        for (_, survey), step in zip(evidence.surveyed, evidence.steps, strict=True):
            unit = 1 / (step[0] * step[1])
            if metres:
                unit = (survey.gsd_m or np.nan) ** 2
            for size, count in survey.sizes_px[at].items():
                areas[size * unit] += count
            runs += float(survey.runs[at]) * unit**0.5
        whole = sum(area * count for area, count in areas.items())
        found[one.name] = SizeTable.of(areas, width=2 * whole / max(runs, 1e-9))
    return found


def _objects(
    evidence: Evidence, sizes: dict[str, SizeTable], ladder: LevelLadder
) -> dict[str, ObjectReport]:
    placed = all(survey.gsd_m is not None for _, survey in evidence.surveyed)
    metres = _sizes(evidence, metres=True) if placed else {}
    return {
        name: ObjectReport(
            count=table.count,
            one_pixel=sum(survey.sizes_px[at][1] for _, survey in evidence.surveyed),
            diameters_m=metres[name].percentiles(*PERCENTILES) if placed else None,
            diameters_px=table.percentiles(*PERCENTILES),
            width_px=table.width,
            level_shares=share_by_level(table, ladder),
        )
        for at, (name, table) in enumerate(sizes.items())
        if table.count
    }
