"""What each epoch of learning without labels brought: its row, in words, and as a curve."""

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import LightningModule

from geohier.training.figures import write_png
from geohier.training.log import EpochLog, Row
from geohier.training.pretrain_task import PretrainTask


class PretrainLog(EpochLog):
    """Keeps a row per epoch, with the PSNR of each level and its gain over the mean predictor."""

    def row(self, task: LightningModule, epoch: int, seconds: float, waiting: float) -> Row:
        """Return the row of an epoch; terms are means over its steps."""
        assert isinstance(task, PretrainTask)
        sums, steps = task.epoch, max(task.epoch["steps"], 1)
        contrast = {"contrast_spread": sums["spread"] / steps} if "contrast" in task.weights else {}
        return {
            "epoch": epoch + 1,
            **{name: sums[name] / steps for name in ("loss", *task.weights)},
            **contrast,
            **_levels(task),
            "learning_rate": task.learning_rate(),
            "steps": int(sums["steps"]),
            "broken_steps": int(sums["broken"]),
            "seconds": round(seconds, 3),
            "mpx_per_s": round(sums["pixels"] / seconds / 1e6, 4),
            "waiting": round(waiting, 4),
        }


def _levels(task: PretrainTask) -> Row:
    if "reconstruction" not in task.weights:
        return {}
    gains = task.gains()
    return {
        "gain": sum(gains) / len(gains),
        **{f"psnr.level_{at}": value for at, value in enumerate(task.errors.psnr())},
        **{f"gain.level_{at}": value for at, value in enumerate(gains)},
    }


def quality(rows: Sequence[Row]) -> str:
    """Say how well the last of some epochs rebuilt each level, or how far its views spread."""
    row = rows[-1]
    gains = [value for name, value in row.items() if name.startswith("gain.level_")]
    if not gains:
        return f"views spread {row['contrast_spread']:.2f} of 1"
    levels = " ".join(f"{value:.1f}" for value in gains)
    return f"{levels} dB above the mean predictor (levels from fine to coarse)"


def draw_pretraining(rows: Sequence[Row], path: Path) -> None:
    """Write a PNG of the rows of a run: the loss, and each level's gain over the mean predictor."""
    from matplotlib.figure import Figure  # a second to import

    epochs = [row["epoch"] for row in rows]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    losses = figure.add_subplot()
    losses.plot(epochs, [row["loss"] for row in rows], color="0.6", label="loss, fit")
    losses.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
    levels = [name for name in rows[0] if name.startswith("gain.level_")]
    if levels:
        gains = losses.twinx()
        for name in levels:
            label = name.removeprefix("gain.").replace("_", " ")
            gains.plot(epochs, [row[name] for row in rows], label=label)
        gains.set(ylabel="dB above the mean predictor, choose blocks")
    figure.legend(loc="outside upper center", ncols=len(levels) + 1, frameon=False)
    write_png(figure, path, dpi=120)
