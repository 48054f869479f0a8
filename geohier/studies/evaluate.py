"""Scores of predictions that lie on disk, against labels that lie on disk."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geohier.errors import ConfigError, GeohierError, InputError
from geohier.evaluation.bootstrap import Range, bootstrap
from geohier.evaluation.segmentation import PER_CLASS, scores
from geohier.geo.window import Window
from geohier.models.card import ClassLabel
from geohier.raster.files import shown
from geohier.studies.class_raster import open_classes
from geohier.studies.comparison import Comparison, compare
from geohier.studies.legend import Legend
from geohier.studies.truth import open_truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A prediction and the labels that judge it.

    Args:
        name: name of the scene in results.
        prediction: class raster.
        labels: label raster or polygons.
        within: parts of the prediction that count; all of it if empty.
    """

    name: str
    prediction: Path
    labels: Path
    within: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores of some scenes.

    Args:
        scores: over (scene, class), pooled and macro; see `geohier.evaluation.segmentation.scores`.
        iou: range of the pooled IoU of each class over blocks of 512 px, and last of their mean.
        blocks: confusion counts of each scene's blocks, `(N, K, K)`, for paired differences.
        notes: what a user should know, by scene.
        failures: what went wrong, by scene that could not be scored.
    """

    scores: xr.Dataset
    iou: tuple[Range, ...]
    blocks: Mapping[str, NDArray[np.int64]]
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the blocks as plain values; what has no score is None."""
        names = [str(name) for name in self.scores["class"].values]
        return {
            "classes": names,
            "pooled": _plain_scores(self.scores, names, prefix="pooled_")
            | {
                "iou_range_95": {
                    name: [_plain(one.low), _plain(one.high)]
                    for name, one in zip([*names, "macro"], self.iou, strict=True)
                },
                "blocks": self.iou[-1].n,
            },
            "scenes": {
                str(name): _plain_scores(self.scores.sel(scene=name), names)
                for name in self.scores.scene.values
            },
            "notes": {name: list(notes) for name, notes in self.notes.items() if notes},
            "failures": dict(self.failures),
        }


def evaluate_rasters(
    pairs: Sequence[Pair],
    *,
    classes: Sequence[ClassLabel] = (),
    ignore: int | None = 255,
    attribute: str | None = None,
    outside: str | None = None,
    on_scene: Callable[[str], None] = lambda name: None,
) -> Evaluation:
    """Score class rasters against labels, in bounded memory.

    Args:
        pairs: predictions and their labels. One that cannot be scored is recorded, and the others
            go on.
        classes: what the numbers of the predictions mean, and which label values; as the
            predictions say if empty.
        ignore: label value that means unlabelled; None where every value is a class.
        attribute: column of vector labels with label values or class names.
        outside: class of the ground outside of polygons.
        on_scene: called with the name of each scene before it is scored.

    Raises:
        GeohierError: there is one pair and it cannot be scored, or none of several can be.
        ConfigError: the predictions do not say what their numbers mean, or not the same.
    """
    if not pairs:
        raise InputError("there is no prediction to score")
    legend = Legend.of(common_classes([pair.prediction for pair in pairs], classes), ignore)
    done: dict[str, Comparison] = {}
    failed: dict[str, GeohierError] = {}
    for pair in pairs:
        on_scene(pair.name)
        try:
            done[pair.name] = _compare(pair, legend, attribute, outside)
        except ConfigError:
            raise
        except GeohierError as error:
            failed[pair.name] = error
    if not done:
        raise next(iter(failed.values()))
    return summarise(done, legend.names, {name: str(error) for name, error in failed.items()})


def summarise(
    done: Mapping[str, Comparison], classes: Sequence[str], failures: Mapping[str, str]
) -> Evaluation:
    """Turn the comparisons of all scenes into scores."""
    return Evaluation(
        scores=scores({name: one.matrix for name, one in done.items()}, classes),
        iou=bootstrap(np.concatenate([one.blocks for one in done.values()])),
        blocks={name: one.blocks for name, one in done.items()},
        notes={name: one.notes for name, one in done.items()},
        failures=failures,
    )


def common_classes(
    predictions: Iterable[Path], given: Sequence[ClassLabel]
) -> tuple[ClassLabel, ...]:
    """Return the classes of all predictions, in the order of their numbers.

    Classes that are given take the place of those in the file: by name where the names agree, else
    in their order.

    Raises:
        ConfigError: files differ in their classes, or say nothing and nothing is given.
    """
    found: dict[tuple[str, ...], tuple[Path, tuple[ClassLabel, ...]]] = {}
    for path in predictions:
        try:
            with open_classes(path) as raster:
                found.setdefault(tuple(one.name for one in raster.classes), (path, raster.classes))
        except GeohierError:
            continue  # it is named among the failures when it is its turn
    if not found:
        return tuple(given)
    if len(found) > 1:
        lines = [
            f"{shown(path)} has {' '.join(names) or 'none'}" for names, (path, _) in found.items()
        ]
        raise ConfigError(f"predictions differ in their classes: {'; '.join(lines)}")
    ((path, declared),) = found.values()
    if not declared and not given:
        raise ConfigError(
            f"{shown(path)} does not say which classes its numbers mean: name them in order with "
            "--classes, such as --classes ground=0,building=1"
        )
    return _merged(path, declared, given)


def _merged(
    path: Path, declared: tuple[ClassLabel, ...], given: Sequence[ClassLabel]
) -> tuple[ClassLabel, ...]:
    if not given or not declared:
        return tuple(given) or declared
    if len(given) != len(declared):
        raise ConfigError(
            f"{shown(path)} has {len(declared)} classes ({' '.join(c.name for c in declared)}), "
            f"--classes names {len(given)}: name each of them"
        )
    by_name = {one.name: one for one in given}
    if by_name.keys() == {one.name for one in declared}:
        return tuple(by_name[one.name] for one in declared)
    return tuple(given)


def _compare(pair: Pair, legend: Legend, attribute: str | None, outside: str | None) -> Comparison:
    with (
        open_classes(pair.prediction) as prediction,
        open_truth(
            pair.labels, prediction.grid, legend, attribute=attribute, outside=outside
        ) as truth,
    ):
        return compare(prediction, truth, len(legend.classes), within=pair.within)


def _plain_scores(dataset: xr.Dataset, names: Sequence[str], prefix: str = "") -> dict[str, Any]:
    def values(name: str) -> Any:  # noqa: ANN401 - nested lists, or one number
        return dataset[f"{prefix}{name}"].values.tolist()

    per_class = {
        name: {
            **{score: _plain(values(score)[at]) for score in PER_CLASS},
            "pixels": values("support")[at],
            "unpredicted": values("unpredicted")[at],
        }
        for at, name in enumerate(names)
    }
    means = {f"macro_{score}": _plain(values(f"macro_{score}")) for score in PER_CLASS}
    return {
        "accuracy": _plain(values("accuracy")),
        **means,
        "classes": per_class,
        "confusion": values("confusion"),
    }


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
