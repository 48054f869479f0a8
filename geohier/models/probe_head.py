"""Heads that tell the classes of features, pixel by pixel: linear, prototypes, nearest neighbours.

Each is a module from standardised features `(B, C, H, W)` to scores `(B, K, H, W)` whose softmax is
the share that a class has of a pixel. None has anything left to train: see `studies.probe_fit`.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

type Distance = Literal["euclidean", "cosine"]
"""Between features as they are, or between their directions."""

COSINE_SHARPNESS = 10.0
"""What cosines are multiplied with before a softmax: alone they differ by 2 at most."""

SMALLEST_SHARE = 1e-6
"""Share of a class that no neighbour has: its logarithm stays finite."""

TIE_BREAK = 1e-3
"""How much more the nearest neighbour counts than the farthest: nearer ones win where votes tie."""

MOST_DISTANCES = 1 << 20
"""Distances that are held at a time, 4 MB."""


class LinearHead(nn.Module):
    """One weight for each class and feature.

    Args:
        weight: `(K, C)`.
        bias: `(K,)`.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.float())
        self.register_buffer("bias", bias.float())

    def forward(self, features: Tensor) -> Tensor:
        """Return scores `(B, K, H, W)` of features `(B, C, H, W)`."""
        return F.conv2d(features, self.weight[:, :, None, None], self.bias)


class PrototypeHead(nn.Module):
    """One typical feature for each class; the nearest one wins (Snell et al. 2017, section 2.3).

    Args:
        prototypes: `(K, C)`.
        distance: what near means.
        variance: of the features of a class around its prototype, per feature: the scores are the
            logarithms of round Gaussians of that variance, so far as classes are compared. Cosines
            have none.
    """

    prototypes: Tensor

    def __init__(self, prototypes: Tensor, distance: Distance, variance: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("prototypes", as_compared(prototypes.float(), distance))
        self.distance: Distance = distance
        self.sharpness = COSINE_SHARPNESS if distance == "cosine" else 1 / variance

    def forward(self, features: Tensor) -> Tensor:
        """Return scores `(B, K, H, W)` of features `(B, C, H, W)`."""
        pixels = as_compared(features.movedim(1, -1), self.distance)
        scores = nearness(pixels, self.prototypes) * self.sharpness
        return scores.movedim(-1, 1)


class NeighboursHead(nn.Module):
    """The classes of the nearest examples; of as many votes, the nearer ones win.

    Args:
        examples: `(N, C)`.
        classes: class of each, `(N,)`.
        count: number of classes, K.
        k: how many examples vote, N at most.
        distance: what near means.
    """

    examples: Tensor
    votes: Tensor

    def __init__(
        self, examples: Tensor, classes: Tensor, *, count: int, k: int, distance: Distance
    ) -> None:
        super().__init__()
        self.register_buffer("examples", as_compared(examples.float(), distance))
        self.register_buffer("votes", F.one_hot(classes.long(), count).float())
        self.k = min(k, len(examples))
        self.distance: Distance = distance

    def forward(self, features: Tensor) -> Tensor:
        """Return the logarithms of shares `(B, K, H, W)` of features `(B, C, H, W)`."""
        pixels = as_compared(features.movedim(1, -1), self.distance)
        rows = pixels.flatten(0, 2)  # (B * H * W, C)
        at_once = max(1, MOST_DISTANCES // len(self.examples))
        shares = torch.cat([self._shares(piece) for piece in torch.split(rows, at_once)])
        return shares.view(*pixels.shape[:3], -1).clamp(min=SMALLEST_SHARE).log().movedim(-1, 1)

    def _shares(self, rows: Tensor) -> Tensor:
        nearest = nearness(rows, self.examples).topk(self.k, dim=1).indices  # (M, k)
        weight = 1 + TIE_BREAK * torch.linspace(1, 0, self.k, device=rows.device)
        return (self.votes[nearest] * weight[:, None]).sum(1) / weight.sum()


def as_compared(features: Tensor, distance: Distance) -> Tensor:
    """Return features `(..., C)` as they are, or of length 1 where their directions count."""
    return F.normalize(features, dim=-1) if distance == "cosine" else features


def nearness(features: Tensor, others: Tensor) -> Tensor:
    """Return half the negative squared distance `(..., N)`, but for what all `others` share.

    Of features of length 1 it orders as the cosine does, from which it differs by 1/2.

    Args:
        features: `(..., C)`.
        others: `(N, C)`.
    """
    return features @ others.T - others.square().sum(1) / 2
