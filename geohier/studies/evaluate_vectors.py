"""Scores of objects in vector files, whoever found them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from geohier.errors import ConfigError, GeohierError, InputError, LabelError
from geohier.raster.files import shown
from geohier.raster.outlines import read_features
from geohier.raster.vectors import DRIVERS
from geohier.studies.object_scores import ObjectEvaluation, SceneObjects, score_objects
from geohier.studies.pairing import scene_of

CLASS, SCORE = "class_name", "score"
"""Columns of what was found, as `geohier predict` writes them; a file may lack both."""

OBJECT = "object"
"""What objects are called where nothing says of which class they are."""


def evaluate_vectors(
    predictions: Sequence[Path],
    labels: Path,
    within_m: float,
    *,
    attribute: str | None = None,
    on_scene: Callable[[str], None] = lambda name: None,
) -> ObjectEvaluation:
    """Score files of objects against files of true ones, by the middles of their shapes.

    Distances are metres on the ground, in an equal-area CRS around the labels of each file. Without
    an attribute, all true objects are of the one class that was found.

    Args:
        predictions: vector files, or folders of them; `class_name` and `score` are columns.
        labels: one file for all predictions, or a folder with one of the same name for each.
        within_m: how near a right object is to the true one.
        attribute: column of the labels with names of classes.
        on_scene: called with the name of each file before it is read.

    Raises:
        InputError: a file cannot be read, or has no labels.
        LabelError: classes of files cannot be told.
        ConfigError: the radius makes no sense.
        GeohierError: no file could be scored.
    """
    if not 0 < within_m < np.inf:
        raise ConfigError(f"a radius of {within_m:g} m: give one above 0")
    found: dict[str, list[SceneObjects]] = {}
    failed = dict[str, GeohierError]()
    pairs = _pairs(predictions, labels)
    for path, truth in pairs.items():
        on_scene(path.stem)
        try:
            one = _of_file(path, truth, attribute)
        except LabelError:
            raise
        except GeohierError as error:
            failed[shown(path)] = error
            continue
        for name, objects in one.items():
            found.setdefault(name, []).append(objects)
    if len(failed) == len(pairs):
        raise next(iter(failed.values()))
    return ObjectEvaluation(
        within_m=within_m,
        classes={name: score_objects(each, within_m, -np.inf) for name, each in found.items()},
        scenes=len(pairs) - len(failed),
        failures={name: str(error) for name, error in failed.items()},
    )


def _pairs(predictions: Sequence[Path], labels: Path) -> dict[Path, Path]:
    """Return the labels of each file: the ones given, or those of its name in a folder."""
    paths = [path for given in predictions for path in _files(given)]
    if not labels.is_dir():
        return dict.fromkeys(paths, labels)
    known = {scene_of(path): path for path in _files(labels)}
    for path in paths:
        if scene_of(path) not in known:
            raise InputError(f"{shown(path)}: {shown(labels)} holds no file of that name")
    return {path: known[scene_of(path)] for path in paths}


def _files(given: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    inside = sorted(path for path in given.iterdir() if path.suffix.lower() in (*DRIVERS, ".shp"))
    if not inside:
        raise InputError(f"{shown(given)} holds no vector file: {' '.join(DRIVERS)}")
    return inside


def _of_file(path: Path, labels: Path, attribute: str | None) -> Mapping[str, SceneObjects]:
    """Return what was found and what there is, class by class."""
    found, true = read_features(path), read_features(labels)
    if not len(found) and not len(true):
        raise InputError(
            f"{shown(path)} and {shown(labels)} hold no object: nothing is to be scored"
        )
    crs = _around(true if len(true) else found)
    names, scores = _names(found), _scores(found, path)
    known = _classes(true, labels, attribute, {*names.tolist()})
    places, truth = _middles(found, crs), _middles(true, crs)
    return {
        name: SceneObjects(
            scene=path.stem,
            found=places[names == name],
            scores=scores[names == name],
            true=truth[known == name],
        )
        for name in sorted({*names.tolist(), *known.tolist()})
    }


def _names(found: Any) -> Any:  # noqa: ANN401 - geopandas is untyped
    """Return the class of each object that was found."""
    if CLASS not in found:
        return np.array([OBJECT] * len(found), dtype=object)
    return np.array([str(one) for one in found[CLASS].fillna(OBJECT)], dtype=object)


def _scores(found: Any, path: Path) -> Any:  # noqa: ANN401 - geopandas is untyped
    """Return the score of each object that was found, 1 where there are none."""
    if SCORE not in found:
        return np.ones(len(found))
    try:
        scores = np.array(found[SCORE], np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{shown(path)}: {SCORE} holds what is no number: {error}") from error
    if np.isnan(scores).any():
        raise InputError(
            f"{shown(path)}: {np.isnan(scores).sum()} of {len(scores)} objects have no {SCORE}: "
            "fill it in, or leave the column out"
        )
    return scores


def _classes(true: Any, path: Path, attribute: str | None, found: set[str]) -> Any:  # noqa: ANN401
    """Return the class of each true object."""
    if attribute is not None:
        if attribute not in true:
            columns = " ".join(str(name) for name in true.columns if name != "geometry")
            raise LabelError(f"{shown(path)} has no column {attribute}: it has {columns}")
        return np.array([str(one) for one in true[attribute]], dtype=object)
    if len(found) > 1:
        raise LabelError(
            f"objects of {' '.join(sorted(found))} were found: name the column of {shown(path)} "
            "that says which class objects are of (--attribute)"
        )
    return np.array([*(found or {OBJECT})] * len(true), dtype=object)


def _around(frame: Any) -> CRS:  # noqa: ANN401 - geopandas is untyped
    left, bottom, right, top = frame.to_crs("OGC:CRS84").total_bounds
    lon, lat = (left + right) / 2, (bottom + top) / 2
    return CRS.from_proj4(f"+proj=laea +lat_0={lat:.6f} +lon_0={lon:.6f} +datum=WGS84")


def _middles(frame: Any, crs: CRS) -> Any:  # noqa: ANN401 - geopandas is untyped
    middles = shapely.centroid(frame.to_crs(crs).geometry.to_numpy())
    return shapely.get_coordinates(middles).reshape(-1, 2)
