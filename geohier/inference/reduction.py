"""From class scores to the layers that are written: labels, confidence, entropy, probabilities."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geohier.errors import ConfigError
from geohier.raster.layers import LABELS, NODATA, STEPS, labels_dtype


class Reducing(Protocol):
    """How the scores of tiles become layers: what of them is blended, and what is written of it."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers."""

    def channels(self, layer: str) -> int:
        """Bands of a layer."""

    def dtype(self, layer: str) -> torch.dtype:
        """Type that holds a layer while it is assembled."""

    def nodata(self, layer: str) -> int:
        """Value that stands for nodata in a layer."""

    def blendable(self, scores: Tensor, /) -> Tensor:
        """Return what may be averaged between tiles, `(K, H, W)` of `(K, H, W)`."""

    def of_scores(self, scores: Tensor, /) -> dict[str, Tensor]:
        """Reduce the scores `(K, H, W)` of pixels that only one tile decides to `(C, H, W)`."""

    def of_blended(self, blended: Tensor, /) -> dict[str, Tensor]:
        """Reduce averages of what is `blendable`, `(K, H, W)`, to layers `(C, H, W)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """Which layers a run writes, and how they follow from blended probabilities.

    Args:
        classes: number of classes that are written, K.
        group_of: where groups of the model's classes are written: the group of each class. Their
            probability is the sum of those of their classes.
        layers: names of the layers, of `labels`, `confidence`, `entropy` and `probabilities`.
        thresholds: a class with a threshold is chosen where its probability reaches it (the most
            probable one, if several do); elsewhere the most probable of the other classes is.

    Raises:
        ConfigError: every class has a threshold, so that a pixel could be left without a class.
    """

    classes: int
    group_of: tuple[int, ...] | None = None
    layers: tuple[str, ...] = (LABELS,)
    thresholds: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.thresholds) >= self.classes:
            raise ConfigError("every class has a threshold: leave one class without, as the rest")

    @property
    def needs_probabilities(self) -> bool:
        """Whether scores alone (without a softmax) cannot give the answer."""
        return self.layers != (LABELS,) or bool(self.thresholds) or self.group_of is not None

    def channels(self, layer: str) -> int:
        """Bands of a layer."""
        return self.classes if layer == "probabilities" else 1

    def dtype(self, layer: str) -> torch.dtype:
        """Type that holds a layer while it is assembled."""
        return torch.uint8 if self._stored(layer) == "uint8" else torch.int32

    def nodata(self, layer: str) -> int:
        """Value that stands for nodata in a layer."""
        return NODATA[self._stored(layer)]

    def _stored(self, layer: str) -> str:
        return labels_dtype(self.classes) if layer == LABELS else "uint8"

    def blendable(self, scores: Tensor) -> Tensor:
        """Return probabilities, of groups where they are written: labels are never blended."""
        probabilities = scores.softmax(0)
        return probabilities if self.group_of is None else self._summed(probabilities)

    def _summed(self, probabilities: Tensor) -> Tensor:
        """Add up in the order of the classes, so that devices add alike."""
        assert self.group_of is not None
        summed = probabilities.new_zeros(self.classes, *probabilities.shape[1:])
        for at, group in enumerate(self.group_of):
            summed[group] += probabilities[at]
        return summed

    def of_scores(self, scores: Tensor) -> dict[str, Tensor]:
        """Reduce the scores (logits) of pixels that only one tile decides.

        Shape:
            - scores: `(K, H, W)`, of the model's classes
            - each layer: `(C, H, W)`
        """
        if self.needs_probabilities:
            return self.of_blended(self.blendable(scores))
        return {LABELS: first_largest(scores).to(self.dtype(LABELS))[None]}

    def of_blended(self, probabilities: Tensor) -> dict[str, Tensor]:
        """Reduce blended probabilities `(K, H, W)` to layers `(C, H, W)`."""
        labels = self._labels(probabilities)
        reduced = {LABELS: labels.to(self.dtype(LABELS))[None]}
        if "confidence" in self.layers:
            reduced["confidence"] = _steps(probabilities.gather(0, labels[None].long()))
        if "entropy" in self.layers:
            reduced["entropy"] = _steps(normalised_entropy(probabilities)[None])
        if "probabilities" in self.layers:
            reduced["probabilities"] = _steps(probabilities)
        return reduced

    def _labels(self, probabilities: Tensor) -> Tensor:
        if not self.thresholds:
            return first_largest(probabilities)
        chosen = probabilities.clone()
        for k, threshold in self.thresholds.items():
            reached = probabilities[k] >= threshold
            chosen[k] = torch.where(reached, probabilities[k] + 1, -1)
        return first_largest(chosen)


def first_largest(scores: Tensor) -> Tensor:
    """Return the first class with the largest score of each pixel, `(K, H, W)` to `(H, W)`.

    The same as `argmax(0)`, which walks across planes on a processor: some 40 times slower.
    """
    if scores.device.type != "cpu":
        return scores.argmax(0).to(torch.int32)
    return torch.from_numpy(_first_largest(scores.numpy()))


def _first_largest(scores: NDArray[np.floating]) -> NDArray[np.integer]:
    best = scores[0]
    labels = np.zeros(best.shape, np.uint8 if labels_dtype(len(scores)) == "uint8" else np.int32)
    won, step, highest = np.empty(best.shape, np.bool_), np.empty_like(labels), np.empty_like(best)
    for k in range(1, len(scores)):
        np.greater(scores[k], best, out=won)
        np.multiply(won, labels.dtype.type(k), out=step)
        np.maximum(labels, step, out=labels)  # classes rise: the last one to win is the largest
        best = np.maximum(best, scores[k], out=highest)
    return labels


def normalised_entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy of each pixel divided by its largest value, ln K: 0 is sure, 1 is not."""
    nats: Tensor = torch.special.entr(probabilities).sum(0)
    return nats / math.log(len(probabilities))


def _steps(share: Tensor) -> Tensor:
    return (share.clamp(0, 1) * STEPS).round_().to(torch.uint8)
