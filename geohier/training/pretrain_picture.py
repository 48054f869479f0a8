"""What a pretrained network makes of chips that it sees a part of: a picture of each run."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geohier.data.views import ViewDataset
from geohier.objectives.laplacian import laplacian_pyramid, rebuild
from geohier.training.figures import write_png
from geohier.training.pretrain_task import PretrainTask

EXAMPLES = 4
"""Chips that are shown."""

BRIGHTEST = 2.0
"""Deviations from the mean that are drawn white; as many below it are black."""


@torch.no_grad()
def draw_examples(task: PretrainTask, chips: ViewDataset, path: Path) -> None:
    """Write a PNG: the image, what was shown of it, and each level rebuilt beside the truth.

    A row per chip of the choose blocks. Levels are drawn with all that is coarser, so that the
    finest one is the whole answer.
    """
    from matplotlib.figure import Figure  # a second to import

    shown = np.linspace(0, len(chips) - 1, min(EXAMPLES, len(chips))).round().astype(int)
    rows = [list(_panels(task, chips, int(at))) for at in shown]
    figure = Figure(figsize=(1.9 * len(rows[0]), 2.0 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for row, panels in zip(axes, rows, strict=True):
        for ax, (_, panel) in zip(row, panels, strict=True):
            ax.imshow(panel, interpolation="nearest")
            ax.set_axis_off()
    for ax, (title, _) in zip(axes[0], rows[0], strict=True):
        ax.set_title(title, fontsize=9)
    write_png(figure, path, dpi=110)


def _panels(
    task: PretrainTask, chips: ViewDataset, at: int
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    network = task.network
    image = chips[at]["image"][:1]
    masked = task.masks(image, task.judging_generator(at))
    hidden = network.hidden(image, masked)
    found = network.rebuilt(network.pyramid(hidden))
    valid = torch.ones_like(image[:, :1], dtype=torch.bool)
    truth = laplacian_pyramid(image, valid, network.strides)
    yield "image", _colours(image)
    yield "shown", _colours(image.masked_fill(masked, 0.0))
    for level in reversed(range(len(truth))):
        stride = network.strides[level]
        yield f"level {level} ({stride} px)", _colours(rebuild(truth[level:]))
        yield f"level {level} rebuilt", _colours(rebuild(found[level:]))


def _colours(image: Tensor) -> NDArray[np.float32]:
    """Return `(H, W, 3)` of the first three bands, or of the first one in grey."""
    bands = image[0, [0, 1, 2]] if image.shape[1] >= 3 else image[0, [0, 0, 0]]
    grey: NDArray[np.float32] = ((bands / BRIGHTEST + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy()
    return grey
