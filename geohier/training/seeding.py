"""Seeds of what a run draws, so that every epoch starts in a state of its own.

Whatever is drawn in an epoch depends on (seed, epoch) alone and not on what came before: a run
that is resumed at an epoch draws the same as one that was never broken.
"""

import numpy as np
import torch

FIRST_WEIGHTS, EPOCHS, FIELD, TRIALS, DRAWS = range(5)
"""Streams of a run's seed that do not share a number."""


def derived_seed(seed: int, stream: int, index: int = 0, rank: int = 0) -> int:
    """Return a seed for one purpose of a run, in one of its processes.

    Example:
        >>> derived_seed(0, EPOCHS, 1) == derived_seed(0, EPOCHS, 2)
        False
    """
    own = [rank] if rank else []
    return int(np.random.SeedSequence([seed, stream, index, *own]).generate_state(1)[0])


def seed_first_weights(seed: int) -> None:
    """Make what is drawn next the first weights of a run."""
    torch.manual_seed(derived_seed(seed, FIRST_WEIGHTS))


def seed_epoch(seed: int, epoch: int, rank: int = 0) -> None:
    """Make what is drawn next (dropout, dropped paths) that of an epoch, in one process."""
    torch.manual_seed(derived_seed(seed, EPOCHS, epoch, rank))
