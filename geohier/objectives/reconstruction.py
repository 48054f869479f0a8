"""How well masked pixels were rebuilt: as a loss, and in decibels against the mean predictor."""

from collections.abc import Sequence

import torch
from torch import Tensor

from geohier.objectives.laplacian import cell_share, laplacian_pyramid


def masked_error(
    rebuilt: Sequence[Tensor], targets: Sequence[Tensor], weights: Sequence[Tensor], spread: Tensor
) -> Tensor:
    """Return the mean over levels of the squared error on masked valid pixels.

    It is counted in variances of each level, so that all count alike, however little a band
    varies. 0 on a perfect answer and where no
    pixel counts.

    Args:
        rebuilt: what was answered for each level, finest first.
        targets: the bands of the image's pyramid.
        weights: share of each cell's pixels that count.
        spread: variance of each level's bands.

    Shape:
        - rebuilt, targets, weights: one `(B, C, h, w)` per level
        - spread: `(L, C)`
    """
    errors = [
        (weight * (one - target) ** 2 / variance[:, None, None]).sum() / weight.sum().clamp(min=1)
        for one, target, weight, variance in zip(rebuilt, targets, weights, spread, strict=True)
    ]
    return torch.stack(errors).mean()


def targets_of(
    image: Tensor, valid: Tensor, masked: Tensor, strides: Sequence[int]
) -> tuple[list[Tensor], list[Tensor]]:
    """Return what is to be rebuilt on each level, and how much each cell of it counts.

    Shape:
        - image: `(B, C, H, W)`
        - valid: `(B, 1, H, W)` bool
        - masked: `(B, C, H, W)` bool
        - returns: twice one `(B, C, h, w)` per level, finest first
    """
    counts = masked & valid
    return (
        laplacian_pyramid(image, valid, strides),
        [cell_share(counts, stride) for stride in strides],
    )


class LevelErrors:
    """Adds up squared errors of each level and band, and those of the best constant beside them.

    The mean predictor answers each level and band by its mean over the very cells that are judged:
    no constant does better.

    Args:
        spans: what is full scale in each band `(C,)`, in units of the image.
        levels: number of levels.
    """

    def __init__(self, spans: Tensor, levels: int) -> None:
        self.spans = spans.double()
        self._sums = torch.zeros(4, levels, len(spans), dtype=torch.float64)

    def add(
        self, rebuilt: Sequence[Tensor], targets: Sequence[Tensor], weights: Sequence[Tensor]
    ) -> None:
        """Add a batch; arguments as for `masked_error`."""
        for level, parts in enumerate(zip(rebuilt, targets, weights, strict=True)):
            one, target, weight = (part.detach().double() for part in parts)
            sums = (weight * (one - target) ** 2, weight, weight * target, weight * target**2)
            for at, values in enumerate(sums):
                self._sums[at, level] += values.sum(dim=(0, 2, 3)).cpu()

    def psnr(self) -> list[float]:
        """Return the PSNR of each level in dB, finest first, NaN where nothing was judged."""
        return self._decibels(self._sums[0])

    def psnr_of_mean(self) -> list[float]:
        """Return that of the mean predictor."""
        _, count, first, second = self._sums
        return self._decibels(second - first**2 / count.clamp(min=1e-12))

    def _decibels(self, squares: Tensor) -> list[float]:
        share = (squares / self.spans**2).sum(dim=1) / self._sums[1].sum(dim=1)
        return (-10 * share.clamp(min=1e-12).log10()).tolist()
