"""Scores of objects that were found: how many are right, and how near they lie."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from geohier.evaluation.matching import assign_within
from geohier.evaluation.peaks import greedy_matches, rank

type Floats = NDArray[np.floating]

DRAWS = 1000
"""Times that scenes are drawn anew for a range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneObjects:
    """Objects of one class in one scene, found and true, in metres or whatever unit there is.

    Args:
        scene: its name.
        found: places `(N, 2)`.
        scores: `(N,)`.
        true: places `(M, 2)`.
    """

    scene: str
    found: Floats
    scores: Floats
    true: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectScores:
    """Scores of one class.

    Args:
        true: objects that there are.
        found: objects that were found, from the threshold on.
        right: those of them that are true ones.
        threshold: from which score on objects count; -inf where all do.
        average_precision: area under the curve of precision over recall, of all scores; NaN without
            true objects.
        rmse_m: root of the mean squared distance of right objects; NaN without any.
        count_error: mean over the scenes of |found - true|.
        f1_range: 95 % range of F1 if scenes were drawn anew; NaN of a single scene.
    """

    true: int
    found: int
    right: int
    threshold: float
    average_precision: float
    rmse_m: float
    count_error: float
    f1_range: tuple[float, float]

    @property
    def precision(self) -> float:
        """Share of what was found that is right; NaN where nothing was found."""
        return self.right / self.found if self.found else np.nan

    @property
    def recall(self) -> float:
        """Share of what there is that was found; NaN where there is nothing."""
        return self.right / self.true if self.true else np.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of both; NaN where there is nothing."""
        return _f1(self.right, self.found, self.true)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEvaluation:
    """Scores of each class, and of which scenes.

    Args:
        within_m: how near a right object is to the true one.
        classes: by name.
        scenes: how many.
        failures: scenes that could not be scored, and why.
    """

    within_m: float
    classes: Mapping[str, ObjectScores]
    scenes: int
    failures: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Return the scores as JSON has them: None where there is none."""
        return {
            "within_m": self.within_m,
            "scenes": self.scenes,
            "classes": {name: dict(_fields(one)) for name, one in self.classes.items()},
            "failures": dict(self.failures),
        }


def score_objects(scenes: Sequence[SceneObjects], within: float, threshold: float) -> ObjectScores:
    """Score the objects of one class in some scenes.

    From the threshold on, objects are paired one to one within the distance (see
    `evaluation.matching`); for the average precision, each by falling score takes the nearest that
    is left.

    Args:
        scenes: objects of each.
        within: the largest distance of a pair.
        threshold: score from which objects count.
    """
    counts, distances = [], []
    for one in scenes:
        taken = one.found[one.scores >= threshold]
        pairs = assign_within(taken, one.true, within)
        counts.append((len(pairs), len(taken), len(one.true)))
        distances.append(np.linalg.norm(taken[pairs[:, 0]] - one.true[pairs[:, 1]], axis=1))
    each, apart = np.array(counts).reshape(-1, 3), np.concatenate([*distances, np.zeros(0)])
    right, found, true = each.sum(0).tolist()
    return ObjectScores(
        true=true,
        found=found,
        right=right,
        threshold=threshold,
        average_precision=_average_precision(scenes, within),
        rmse_m=float(np.sqrt(np.mean(apart**2))) if len(apart) else np.nan,
        count_error=float(np.abs(each[:, 1] - each[:, 2]).mean()) if len(each) else np.nan,
        f1_range=_range(each),
    )


def _average_precision(scenes: Sequence[SceneObjects], within: float) -> float:
    right = [greedy_matches(one.found, one.scores, one.true, within) for one in scenes]
    scores = np.concatenate([*(one.scores for one in scenes), np.zeros(0)])
    ranked = rank(scores, np.concatenate([*right, np.zeros(0, np.bool_)]), _true(scenes))
    if not ranked.true:
        return np.nan
    precision, recall = ranked.curve()
    highest = np.maximum.accumulate(precision[::-1])[::-1]  # at this recall or a larger one
    return float(np.sum(np.diff(recall, prepend=0) * highest))


def _true(scenes: Sequence[SceneObjects]) -> int:
    return sum(len(one.true) for one in scenes)


def _range(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return the 95 % range of F1 (percentile bootstrap of scenes)."""
    if len(counts) < 2 or not counts[:, 2].sum():
        return np.nan, np.nan
    draws = np.random.default_rng(0).integers(len(counts), size=(DRAWS, len(counts)))
    values = [_f1(*counts[draw].sum(0)) for draw in draws]
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return float(low), float(high)


def _f1(right: int, found: int, true: int) -> float:
    return 2 * right / (found + true) if true else np.nan


def _fields(one: ObjectScores) -> Iterator[tuple[str, object]]:
    for name in ("true", "found", "right"):
        yield name, getattr(one, name)
    for name in ("precision", "recall", "f1", "average_precision", "rmse_m", "count_error"):
        value = float(getattr(one, name))
        yield name, None if np.isnan(value) else round(value, 6)
    low, high = one.f1_range
    yield "f1_range_95", None if np.isnan(low) else [round(low, 6), round(high, 6)]
    yield "threshold", one.threshold if np.isfinite(one.threshold) else None
