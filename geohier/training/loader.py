"""Batches of chips, cut by worker processes while the network computes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils.data import DataLoader

from geohier.config.schema import TrainConfig
from geohier.data.chips import Chip, ChipDataset
from geohier.errors import GeohierError, ResourceError


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


@contextmanager
def plain_worker_errors() -> Iterator[None]:
    """Say what went wrong in a worker process as if it had gone wrong in this one.

    The loader puts a worker's traceback into the message, and knows a killed worker by its message
    alone.

    Raises:
        ResourceError: a worker was killed.
    """
    try:
        yield
    except GeohierError as error:
        said = re.search(rf"^[\w.]*{type(error).__name__}: (.*)\Z", str(error), re.M | re.S)
        if "DataLoader worker" not in str(error) or said is None:
            raise
        raise type(error)(said[1].strip()) from None
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise ResourceError(
            "a process that cuts chips was killed; if memory ran out, lower chips.batch_size or "
            "set training.workers to 0 in a new run, else go on with --resume"
        ) from error
