"""What a training learns from, or is judged by: samples that are other ones in each epoch."""

import torch
from torch.utils.data import Dataset


class Samples[T](Dataset[T]):
    """So many samples, each of which depends on the epoch and its own number.

    Args:
        length: samples of an epoch.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]

    @property
    def epoch(self) -> int:
        """The epoch that was started last."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch; workers that are already running see it too."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return self.length
