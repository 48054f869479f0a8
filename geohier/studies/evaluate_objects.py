"""Scores of a model that finds objects, on labelled scenes."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geohier.config.schema import DataConfig, TrainConfig
from geohier.data.catalog import LabelledScene, Split
from geohier.data.label_rules import LabelRules
from geohier.data.label_source import LabelSource, open_labels
from geohier.data.labels import LabelTable
from geohier.data.middles import middles_of
from geohier.data.scene import open_scene
from geohier.errors import ConfigError, GeohierError
from geohier.geo.gsd import pixel_size_m
from geohier.geo.window import row_strips
from geohier.inference.middles import objects_of
from geohier.inference.objects import find_objects, middles_path
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import predict_raster
from geohier.models.card import ModelCard
from geohier.models.directory import LoadedModel
from geohier.raster.access import open_dataset, raster_io
from geohier.raster.layers import NODATA
from geohier.studies.evaluate import file_stem
from geohier.studies.evaluate_model import classes_of, folder_of, scenes_of
from geohier.studies.object_scores import (
    Floats,
    ObjectEvaluation,
    SceneObjects,
    score_objects,
)

LEAST = 0.02
"""Score from which objects have a say in the average precision."""


def evaluate_objects(
    model: LoadedModel,
    config: TrainConfig,
    split: Split = "val",
    *,
    out: Path | None = None,
    options: PredictOptions | None = None,
    within_m: float | None = None,
    on_scene: Callable[[str], None] = lambda name: None,
) -> ObjectEvaluation:
    """Find the objects of every scene of a split and score them.

    Args:
        model: one that finds objects.
        config: says which scenes there are and what their labels mean.
        split: `val`, or `train`.
        out: folder that keeps the objects, a GeoPackage for each scene; a temporary one if None.
        options: how to predict; their thresholds take the place of the model's.
        within_m: how near a right object is to the true one, in metres (pixels where scenes have no
            GSD); that of the model's training if None.
        on_scene: called with the name of each scene before it is predicted.

    Raises:
        InputError: the split has no scene.
        ConfigError: the classes of the model and of the config differ.
        GeohierError: no scene could be predicted and scored.
    """
    card, options = model.card, options or PredictOptions()
    assert card.points is not None
    within = card.points.match_m if within_m is None else within_m
    if not 0 < within < np.inf:
        raise ConfigError(f"a radius of {within:g} m: give one above 0")
    table = _table(card, config.data)
    rules = LabelRules.of(config.data)
    found: dict[int, list[SceneObjects]] = {at: [] for at in objects_of(card)}
    failed = dict[str, GeohierError]()
    with folder_of(out) as folder:
        for scene in scenes_of(config.data, split):
            on_scene(scene.id)
            try:
                one = _of_scene(scene, model, folder, options, table, rules)
            except ConfigError:
                raise
            except GeohierError as error:
                failed[scene.id] = error
                continue
            for at, objects in one.items():
                found[at].append(objects)
    scored = len(next(iter(found.values())))
    if not scored:
        raise next(iter(failed.values()))
    thresholds = {**card.points.thresholds, **options.thresholds}
    return ObjectEvaluation(
        within_m=within,
        classes={
            (name := card.classes[at].name): score_objects(scenes, within, thresholds[name])
            for at, scenes in found.items()
        },
        scenes=scored,
        failures={name: str(error) for name, error in failed.items()},
    )


def _table(card: ModelCard, data: DataConfig) -> LabelTable:
    """Return what label values mean, in the order of the model's classes."""
    classes_of(card, data)
    by_name = {one.name: one for one in data.classes}
    return LabelTable(tuple(by_name[one.name] for one in card.classes), data.ignored)


def _of_scene(
    scene: LabelledScene,
    model: LoadedModel,
    folder: Path,
    options: PredictOptions,
    table: LabelTable,
    rules: LabelRules,
) -> Mapping[int, SceneObjects]:
    """Return what was found in a scene and what is there, class by class."""
    target = folder / f"{file_stem(scene.id)}.gpkg"
    with open_scene(scene.raster(), allow_ungeoreferenced=True) as source:
        predict_raster(source, target, model, options=options)
        grid = source.geobox
        with open_labels(scene.mask, grid, rules) as labels:
            true = middles_of(labels, table, scene.mask)
            known = _known(labels, middles_path(target))
    card = model.card
    found = find_objects(middles_path(target), card, dict.fromkeys(_names(card), LEAST))
    judged, scale = known(found.at), pixel_size_m(grid) or (1.0, 1.0)
    return {
        at: SceneObjects(
            scene=scene.id,
            found=found.at[judged & (found.classes == at)] * scale,
            scores=found.scores[judged & (found.classes == at)],
            true=true[(true[:, 2] == at) & known(true[:, :2]), :2] * scale,
        )
        for at in objects_of(card)
    }


def _names(card: ModelCard) -> list[str]:
    return [card.classes[at].name for at in objects_of(card)]


def _known(labels: LabelSource, raster: Path) -> Callable[[Floats], NDArray[np.bool_]]:
    """Return what tells which places `(N, 2)` lie on pixels that are labelled and were mapped."""
    with open_dataset(raster) as dataset:
        height, width = dataset.shape
        known = np.zeros((height, width), np.bool_)
        for window in row_strips(height, width):
            rows = (window.row_off, window.row_stop)
            with raster_io(raster, window=window):
                mapped = dataset.read(1, window=(rows, (0, width))) != NODATA["uint8"]
            labelled = ~np.isnan(labels.read(window).astype(np.float64))
            known[window.slices[0]] = mapped & labelled

    def at(places: Floats) -> NDArray[np.bool_]:
        rows, columns = np.floor(places).astype(np.int64).T
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        found: NDArray[np.bool_] = (
            inside & known[rows.clip(0, height - 1), columns.clip(0, width - 1)]
        )
        return found

    return at
