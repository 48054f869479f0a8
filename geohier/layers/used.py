"""What a part of the hierarchy hands out beside its result: what it went by, for pictures."""

from torch import Tensor

type Used = dict[str, Tensor]
"""By name: gates `(B, L, h, w)`, weights of merges, shares of attention, reads of a memory."""
