"""Batches of chips, cut by worker processes while the network computes."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.utils.data import DataLoader

from geohier.config.schema import TrainConfig
from geohier.data.samples import Samples
from geohier.errors import ConfigError, GeohierError, RasterReadError, ResourceError
from geohier.raster.access import BlockReadError
from geohier.training.ranks import Rank

WORKER_SAID = re.compile(r"Caught (\w+) in DataLoader worker.*^[\w.]*\1: (.*)\Z", re.M | re.S)
"""Class and message of what a worker raised, at the end of its traceback."""


def batches[T](
    chips: Samples[T], config: TrainConfig, *, fit: bool, rank: Rank | None = None
) -> DataLoader[T]:
    """Return the loader of a run: which chips share a batch depends on nothing but the epoch.

    Args:
        chips: the samples, in the order in which they are seen.
        config: batch size and workers.
        fit: leave out a last, smaller batch, where there are others.
        rank: the process, of those that share each batch; None if it is alone.

    Raises:
        ConfigError: there are too few chips for all processes to have some.
    """
    rank, size = rank or Rank(), config.chips.batch_size
    _check_enough(len(chips), size if fit else 1, rank)
    workers = config.training.workers
    return DataLoader(
        chips,
        batch_sampler=shares(len(chips), size, rank, whole=fit),
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        # else the loader takes its seed from the stream of numbers that dropout draws from
        generator=torch.Generator().manual_seed(config.training.seed),
    )


def shares(length: int, batch_size: int, rank: Rank, *, whole: bool) -> Sequence[list[int]]:
    """Return which chips of each batch are a process's own; batches without any are left out.

    Args:
        length: chips of an epoch.
        batch_size: chips of a batch, all processes together.
        rank: the process.
        whole: leave out a last, smaller batch, where there are others.

    Example:
        >>> shares(10, 4, Rank(1, 2), whole=False)
        [[1, 3], [5, 7], [9]]
    """
    stop = length - length % batch_size if whole and length >= batch_size else length
    parts = (
        list(range(start + rank.number, min(start + batch_size, stop), rank.of))
        for start in range(0, stop, batch_size)
    )
    return [part for part in parts if part]


def _check_enough(length: int, batch_size: int, rank: Rank) -> None:
    if rank.of > 1 and length < max(batch_size, rank.of):
        raise ConfigError(
            f"{length} chips cannot be shared out to {rank.of} processes in batches of "
            f"{max(batch_size, rank.of)}: lower training.processes, or chips.batch_size"
        )


@contextmanager
def plain_worker_errors() -> Iterator[None]:
    """Say what went wrong in a worker process as if it had gone wrong in this one.

    The loader puts a worker's traceback into the message, and knows a killed worker by its message
    alone. An error whose constructor takes more than a message arrives as a `RuntimeError`.

    Raises:
        RasterReadError: a worker could not read some block of a raster.
        ResourceError: a worker was killed.
    """
    try:
        yield
    except (GeohierError, RuntimeError) as error:
        told = WORKER_SAID.search(str(error))
        if told is not None and isinstance(error, GeohierError):
            raise type(error)(told[2].strip()) from None
        if told is not None and told[1] == BlockReadError.__name__:
            raise RasterReadError(told[2].strip()) from None
        if not str(error).startswith("DataLoader worker"):
            raise
        raise ResourceError(
            "a process that cuts chips was killed; if memory ran out, lower chips.batch_size or "
            "set training.workers to 0 in a new run, else go on with --resume"
        ) from error
