"""Scores of predictions that lie on disk, against labels that lie on disk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geohier.errors import (
    FINISHED_WITH_FAILURES,
    ConfigError,
    GeohierError,
    InputError,
    LabelError,
    ResourceError,
)
from geohier.evaluation.bootstrap import Range, bootstrap
from geohier.evaluation.segmentation import PER_CLASS, class_scores, macro, scores
from geohier.geo.class_tree import ClassTree, TreeLevel
from geohier.geo.window import Window
from geohier.inference.target import check_not_read
from geohier.studies.class_raster import common_classes, common_tree, open_classes
from geohier.studies.comparison import Comparison, compare
from geohier.studies.legend import LabelRules, Legend
from geohier.studies.picture import draw_result
from geohier.studies.truth import open_truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A prediction and the labels that judge it.

    Args:
        name: name of the scene in results.
        prediction: class raster.
        labels: label raster or polygons.
        image: what was predicted, for pictures.
        within: parts of the prediction that count; all of it if empty.
        unread_blocks: blocks of the scene that could not be read and are nodata in the prediction.
    """

    name: str
    prediction: Path
    labels: Path
    image: Path | None = None
    within: tuple[Window, ...] = ()
    unread_blocks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores of some scenes.

    Args:
        scores: over (scene, class), pooled and macro; see `geohier.evaluation.segmentation.scores`.
        iou: range of the pooled IoU of each class over blocks of 512 px, and last of their mean.
        blocks: confusion counts of each scene's blocks, `(N, K, K)`, for paired differences.
        levels: the same for the groups of each level of a tree of classes, coarsest first; a class
            taken for another one of its group is right there.
        notes: what a user should know, by scene.
        failures: what went wrong, by scene that could not be scored.
        unread_blocks: blocks of the scenes that could not be read, and so are in no score.
    """

    scores: xr.Dataset
    iou: tuple[Range, ...]
    blocks: Mapping[str, NDArray[np.int64]]
    levels: tuple["Evaluation", ...] = ()
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    unread_blocks: int = 0

    @property
    def exit_code(self) -> int:
        """0, or 6 where a scene or a part of one had to be left out."""
        return FINISHED_WITH_FAILURES if self.failures or self.unread_blocks else 0

    def to_json(self) -> dict[str, Any]:
        """Return everything but the blocks as plain values; what has no score is None."""
        return {
            **self._scores_json(),
            **({"tree_levels": [one._scores_json() for one in self.levels]} if self.levels else {}),
            "notes": {name: list(notes) for name, notes in self.notes.items() if notes},
            "failures": dict(self.failures),
        }

    def _scores_json(self) -> dict[str, Any]:
        names = [str(name) for name in self.scores["class"].values]
        return {
            "classes": names,
            "pooled": _plain_scores(self.scores, names, prefix="pooled_")
            | {
                "iou_range_95": {
                    name: [_none_for_nan(one.low), _none_for_nan(one.high)]
                    for name, one in zip([*names, "macro"], self.iou, strict=True)
                },
                "blocks": self.iou[-1].n,
            },
            "scenes": {
                str(name): _plain_scores(self.scores.sel(scene=name), names)
                for name in self.scores.scene.values
            },
        }


def evaluate_rasters(
    pairs: Sequence[Pair],
    rules: LabelRules | None = None,
    *,
    tree: ClassTree | None = None,
    pictures: Path | None = None,
    on_scene: Callable[[str], None] = lambda name: None,
) -> Evaluation:
    """Score class rasters against labels, in bounded memory.

    Args:
        pairs: predictions and their labels. One that cannot be scored is recorded, and the others
            go on.
        rules: how the labels are to be understood.
        tree: groups of the classes, whose scores are given too; those that the predictions name if
            None.
        pictures: folder for a PNG of each scene.
        on_scene: called with the name of each scene before it is scored.

    Raises:
        GeohierError: not one of them can be scored.
        ConfigError: the predictions do not say what their numbers mean, or not the same; a picture
            would take the place of what is read.
    """
    if not pairs:
        raise InputError("there is no prediction to score")
    rules = rules or LabelRules()
    classes = common_classes([pair.prediction for pair in pairs], rules.classes)
    rules = replace(rules, classes=classes)
    names = [one.name for one in classes]
    tree = common_tree([pair.prediction for pair in pairs], names) if tree is None else tree
    if pictures is not None:
        read = [(pair.prediction, pair.labels, pair.image) for pair in pairs]
        targets = [_picture_of(pair, pictures) for pair in pairs]
        check_not_read(targets, [path for paths in read for path in paths if path is not None])
    done: dict[str, Comparison] = {}
    failed: dict[str, GeohierError] = {}
    for pair in pairs:
        on_scene(pair.name)
        try:
            found = _compare(pair, rules)
            done[pair.name] = found if pictures is None else _drawn(pair, rules, found, pictures)
        except (ConfigError, ResourceError):
            raise
        except GeohierError as error:
            failed[pair.name] = error
    if not done:
        raise next(iter(failed.values()))
    summary = replace(
        summarise(done, names),
        levels=() if tree is None else tuple(_of_level(done, one) for one in tree.levels),
        failures={name: str(error) for name, error in failed.items()},
    )
    unread = sum(pair.unread_blocks for pair in pairs if pair.name in done)
    return replace(summary, unread_blocks=unread)


def _of_level(done: Mapping[str, Comparison], level: TreeLevel) -> Evaluation:
    """Turn the comparisons of all scenes into scores of the groups of their classes."""
    grouped = {name: one.grouped(level.group_of) for name, one in done.items()}
    return summarise(grouped, level.names)


def summarise(done: Mapping[str, Comparison], classes: Sequence[str]) -> Evaluation:
    """Turn the comparisons of all scenes into scores."""
    return Evaluation(
        scores=scores({name: one.matrix for name, one in done.items()}, classes),
        iou=bootstrap(np.concatenate([one.blocks for one in done.values()])),
        blocks={name: one.blocks for name, one in done.items()},
        notes={name: one.notes for name, one in done.items()},
    )


def _compare(pair: Pair, rules: LabelRules) -> Comparison:
    legend = Legend.of(rules.classes, rules.ignore)
    with (
        open_classes(pair.prediction) as prediction,
        open_truth(pair.labels, prediction.grid, legend, rules) as truth,
    ):
        found = compare(prediction, truth, len(legend.classes), within=pair.within)
    if not pair.unread_blocks:
        return found
    note = f"blocks of the scene that cannot be read, and are in no score: {pair.unread_blocks}"
    return replace(found, notes=(*found.notes, note))


def _drawn(pair: Pair, rules: LabelRules, found: Comparison, folder: Path) -> Comparison:
    """Draw a scene; a picture that cannot be drawn leaves the score as it is, with a note."""
    iou = macro(class_scores(found.matrix.counts)["iou"])
    try:
        draw_result(
            _picture_of(pair, folder),
            pair.prediction,
            image=pair.image,
            truth=pair.labels,
            rules=rules,
            title=f"{pair.name}: mean IoU {iou:.3f}",
        )
    except (InputError, LabelError) as error:
        return replace(found, notes=(*found.notes, f"there is no picture: {error}"))
    return found


def _picture_of(pair: Pair, folder: Path) -> Path:
    return folder / f"{file_stem(pair.name)}.png"


def file_stem(scene: str) -> str:
    """Return the name of a scene as that of a file in the folder of results.

    Example:
        >>> file_stem("../north/sheet 1")
        '.._north_sheet 1'
    """
    return scene.replace("/", "_").replace("\\", "_")


def _plain_scores(dataset: xr.Dataset, names: Sequence[str], prefix: str = "") -> dict[str, Any]:
    def values(name: str) -> Any:  # noqa: ANN401 - nested lists, or one number
        return dataset[f"{prefix}{name}"].values.tolist()

    per_class = {
        name: {
            **{score: _none_for_nan(values(score)[at]) for score in PER_CLASS},
            "pixels": values("support")[at],
            "unpredicted": values("unpredicted")[at],
        }
        for at, name in enumerate(names)
    }
    means = {f"macro_{score}": _none_for_nan(values(f"macro_{score}")) for score in PER_CLASS}
    return {
        "accuracy": _none_for_nan(values("accuracy")),
        **means,
        "classes": per_class,
        "confusion": values("confusion"),
    }


def _none_for_nan(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
