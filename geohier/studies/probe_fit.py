"""Fit a head on the features of a handful of places, and judge it on places that were left out."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from geohier.errors import ConfigError
from geohier.models.probe_head import (
    Distance,
    LinearHead,
    NeighboursHead,
    PrototypeHead,
    as_compared,
)
from geohier.studies.place_pixels import first_of_each

type HeadName = Literal["linear", "prototype", "neighbours"]

STEPS = 500
"""Steps of LBFGS at most; a few dozen are usual."""

MOST_EXAMPLES = 1024
"""Pixels that are kept as neighbours; more only where there are more places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadOptions:
    """Which head is fitted, and how; None takes the default of the head that reads it.

    Args:
        head: `linear` (multinomial logistic regression), `prototype` (the nearest mean of a class)
            or `neighbours` (the vote of the nearest examples).
        k: neighbours that vote; 5 by default.
        l2: weight of half the squared length of the linear head's weights against the mean
            cross-entropy; 0.01 by default.
        distance: of prototypes and neighbours: `euclidean` (the default) or `cosine`.

    Raises:
        ConfigError: a value cannot be, or is for another head.
    """

    head: HeadName = "linear"
    k: int | None = None
    l2: float | None = None
    distance: Distance | None = None

    def __post_init__(self) -> None:
        heads = {"k": ("neighbours",), "l2": ("linear",), "distance": ("prototype", "neighbours")}
        for name, fitting in heads.items():
            if getattr(self, name) is not None and self.head not in fitting:
                raise ConfigError(
                    f"{name} is for the head {' or '.join(fitting)}, not for {self.head}"
                )
        if self.k is not None and self.k < 1:
            raise ConfigError(f"k must be 1 neighbour or more, found {self.k}")
        if self.l2 is not None and not 0 < self.l2 < float("inf"):
            raise ConfigError(f"l2 must be above 0, found {self.l2:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Pixels whose class is known.

    Args:
        features: standardised.
        classes: of each.
        places: number of the place that each belongs to; all pixels of one are of one class.
        count: number of classes, K.

    Shape:
        - features: `(N, C)`
        - classes, places: `(N,)`
    """

    features: NDArray[np.float32]
    classes: NDArray[np.int64]
    places: NDArray[np.int64]
    count: int

    def at(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "Examples":
        """Return some of them."""
        return replace(
            self,
            features=self.features[which],
            classes=self.classes[which],
            places=self.places[which],
        )

    @property
    def place_classes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The places, rising, and the class of each."""
        places, first = np.unique(self.places, return_index=True)
        return places, self.classes[first]

    @property
    def weights(self) -> NDArray[np.float64]:
        """What each counts: all classes the same, and the places of a class the same; sums to 1."""
        _, of, pixels = np.unique(self.places, return_inverse=True, return_counts=True)
        per_class = np.bincount(self.place_classes[1], minlength=self.count)
        present = (per_class > 0).sum()
        return np.asarray(1 / (pixels[of] * per_class[self.classes] * present))


def fit_head(examples: Examples, options: HeadOptions) -> nn.Module:
    """Return a head from features `(B, C, H, W)` to scores `(B, K, H, W)`.

    The same examples give the same head. Every class has examples.
    """
    features = torch.from_numpy(examples.features)
    classes = torch.from_numpy(examples.classes)
    distance = options.distance or "euclidean"
    match options.head:
        case "linear":
            l2 = 0.01 if options.l2 is None else options.l2
            weights = torch.from_numpy(examples.weights)
            return LinearHead(*fit_linear(features, classes, weights, examples.count, l2))
        case "prototype":
            return _prototypes(examples, distance)
        case "neighbours":
            return _neighbours(examples, options.k or 5, distance)


def fit_linear(
    features: Tensor, classes: Tensor, weights: Tensor, count: int, l2: float
) -> tuple[Tensor, Tensor]:
    """Return weight `(K, C)` and bias `(K,)` of a multinomial logistic regression.

    They minimise the weighted mean of the cross-entropy plus `l2` / 2 times the squared length of
    the weights; the minimum is the only one (of biases, up to what all share).
    """
    features = features.double()
    weight = torch.zeros(count, features.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(count, dtype=torch.float64, requires_grad=True)
    steps = torch.optim.LBFGS(
        [weight, bias],
        max_iter=STEPS,
        tolerance_grad=1e-7,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        steps.zero_grad()
        errors = F.cross_entropy(features @ weight.T + bias, classes, reduction="none")
        value: Tensor = (weights * errors).sum() + l2 / 2 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    steps.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def _prototypes(examples: Examples, distance: Distance) -> PrototypeHead:
    compared = as_compared(torch.from_numpy(examples.features), distance).double()
    weights = torch.from_numpy(examples.weights)[:, None]
    members = F.one_hot(torch.from_numpy(examples.classes), examples.count).double()  # (N, K)
    sums = members.T @ (weights * compared)
    prototypes = sums / (members.T @ weights)
    apart = (compared - prototypes[examples.classes]).square().mean(1, keepdim=True)
    variance = float((weights * apart).sum())
    return PrototypeHead(prototypes, distance, variance or 1.0)


def _neighbours(examples: Examples, k: int, distance: Distance) -> NeighboursHead:
    each = max(1, MOST_EXAMPLES // len(np.unique(examples.places)))
    keys = np.random.default_rng(0).random(len(examples.places))
    kept = examples.at(first_of_each(examples.places, keys, each))
    return NeighboursHead(
        torch.from_numpy(kept.features),
        torch.from_numpy(kept.classes),
        count=examples.count,
        k=k,
        distance=distance,
    )
