"""The course of a run as a picture: loss, and score on the choose blocks, over the epochs."""

from collections.abc import Sequence
from pathlib import Path

from geohier.training.figures import write_png
from geohier.training.log import SCORES, Row, score_name


def draw_curve(rows: Sequence[Row], best_epoch: int, path: Path) -> None:
    """Write a PNG of the rows of a run; the best epoch is marked."""
    from matplotlib.figure import Figure  # a second to import

    epochs = [row["epoch"] for row in rows]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    losses = figure.add_subplot()
    losses.plot(epochs, [row["loss"] for row in rows], color="tab:blue", label="loss, fit")
    losses.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
    scores = losses.twinx()
    name = score_name(rows[0])
    shown = SCORES[name]
    scores.plot(epochs, [row[name] for row in rows], color="tab:orange", label=shown)
    scores.axvline(best_epoch, color="0.6", linestyle=":", label=f"best: epoch {best_epoch}")
    scores.set(ylabel=f"{shown}, choose blocks", ylim=(0, 1))
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    write_png(figure, path, dpi=120)
