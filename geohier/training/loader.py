"""Batches of chips, cut by worker processes while the network computes."""

import torch
from torch.utils.data import DataLoader

from geohier.config.schema import TrainConfig
from geohier.data.chips import Chip, ChipDataset


def batches(chips: ChipDataset, config: TrainConfig, *, fit: bool) -> DataLoader[Chip]:
    """Return the loader of a run: which chips share a batch depends on nothing but the epoch.

    Args:
        chips: the samples, in the order in which they are seen.
        config: batch size and workers.
        fit: leave out a last, smaller batch, where there are others.
    """
    workers = config.training.workers
    return DataLoader(
        chips,
        batch_size=config.chips.batch_size,
        drop_last=fit and len(chips) >= config.chips.batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        # else the loader takes its seed from the stream of numbers that dropout draws from
        generator=torch.Generator().manual_seed(config.training.seed),
    )
