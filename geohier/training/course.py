"""What the rows of a finished run say of its course."""

from collections.abc import Sequence
from dataclasses import dataclass

from geohier.training.log import Row

LATE = 0.1
"""A run whose best epoch lies in this last share of its epochs was still rising."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a run went.

    Args:
        epochs: epochs that it took.
        best_epoch: the one whose weights are kept, counted from 1.
        still_rising: whether more epochs might have brought more.
        steps: steps that changed the weights, of all epochs.
        megapixels: pixels of the chips that it saw, in millions.
        seconds: of fitting and of judging each epoch.
    """

    epochs: int
    best_epoch: int
    still_rising: bool
    steps: int
    megapixels: float
    seconds: float


def course_of(rows: Sequence[Row], best_epoch: int) -> Course:
    """Return how a run went.

    Args:
        rows: of its epochs, oldest first.
        best_epoch: the epoch that was kept, counted from 1.
    """
    epochs = len(rows)
    return Course(
        epochs=epochs,
        best_epoch=best_epoch,
        still_rising=best_epoch > (1 - LATE) * epochs,
        steps=int(sum(row["steps"] for row in rows)),
        megapixels=sum(row["mpx_per_s"] * row["seconds"] for row in rows),
        seconds=sum(row["seconds"] for row in rows),
    )
