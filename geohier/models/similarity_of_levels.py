"""How alike two sets of features are, and how many dimensions one of them really has.

Both are computed from second moments that are added up batch by batch, in float64.
"""

import torch
from torch import Tensor

ROUNDING = 1e-12
"""Share of the sums of squares that rounding may leave of a constant."""


class Moments:
    """Second moments of two sets of features of the same cells, around their means.

    Args:
        first: channels of one.
        second: channels of the other.
    """

    def __init__(self, first: int, second: int) -> None:
        self.count = 0
        self.first = first
        both = first + second
        self._sum = torch.zeros(both, dtype=torch.float64)
        self._products = torch.zeros(both, both, dtype=torch.float64)

    def add(self, first: Tensor, second: Tensor) -> None:
        """Take features `(N, C_1)` and `(N, C_2)` of the same cells."""
        both = torch.cat([first, second], dim=1).double()
        self.count += len(both)
        self._sum += both.sum(0)
        self._products += both.T @ both

    def centred(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return `(C_1, C_1)`, `(C_2, C_2)` and `(C_1, C_2)` sums of products around the means.

        What is constant but for rounding is 0.
        """
        around = self._products - torch.outer(self._sum, self._sum) / max(self.count, 1)
        for part in (slice(None, self.first), slice(self.first, None)):
            spread, size = (one[part, part].trace() for one in (around, self._products))
            if spread <= ROUNDING * size:
                around[part], around[:, part] = 0, 0
        at = self.first
        return around[:at, :at], around[at:, at:], around[:at, at:]


def linear_cka(moments: Moments) -> float:
    """Return the centred kernel alignment of two sets of features, with linear kernels.

    1 where one is the other, turned and scaled; 0 where they share nothing; NaN where one is
    constant (Kornblith, Norouzi, Lee and Hinton 2019, Similarity of neural network representations
    revisited, ICML).
    """
    first, second, across = moments.centred()
    return float(across.square().sum() / (first.norm() * second.norm()))


def effective_rank(gram: Tensor) -> float:
    """Return how many dimensions features fill: exp of the entropy of their singular values.

    From 1, all on a line, to the number of channels, as wide in each direction; 0 without any
    spread (Roy and Vetterli 2007, The effective rank: a measure of effective dimensionality,
    EUSIPCO). The features are taken around their mean.

    Args:
        gram: `(C, C)` sums of products around the mean, whose eigenvalues are the squared singular
            values.
    """
    values = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    if not float(values.sum()) > 0:
        return 0.0
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())
