"""Measure outlines, calibration and noise on val, and write docs/results/robustness-NAME.json.

Each model is judged on its val scenes as they are, and with noise added to the normalised bands;
of a model with latents, NAME:8=PATH is the mean of eight draws, NAME=PATH goes by their means.

    python tests/bench/robustness.py objectives --data-root data/hot_buildings \\
        --model none=runs/ablate-parts/cells/baseline-0/model
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import render
import torch
from draws import MeanOfDraws
from machine import describe_machine
from torch import Tensor, nn
from torchmetrics.classification import MulticlassCalibrationError
from val_chips import model_and_config, shown, val_chips

from geohier.data.chips import Chip
from geohier.data.labels import IGNORE_INDEX
from geohier.evaluation.boundary import BoundaryCounts, boundary_counts
from geohier.evaluation.segmentation import class_scores, macro

WITHIN_PX = (1, 2, 3)
"""How near an outline is to be, in pixels of the network."""
NOISES = (0.0, 0.1, 0.25, 0.5)
"""Deviations of the noise, in those of the bands."""
BINS = 15

type Json = dict[str, Any]


class Tally:
    """What a network makes of chips under one strength of noise."""

    def __init__(self, classes: int) -> None:
        self.confusion = np.zeros((classes, classes), np.int64)
        self.outlines = {px: BoundaryCounts() for px in WITHIN_PX}
        self.calibration = MulticlassCalibrationError(
            classes, n_bins=BINS, norm="l1", ignore_index=IGNORE_INDEX
        )

    def take(self, logits: Tensor, labels: Tensor, of_class: int) -> None:
        """Count one chip: logits `(1, K, H, W)`, labels `(1, H, W)`."""
        known, classes = labels != IGNORE_INDEX, len(self.confusion)
        cells = labels[known] * classes + logits.argmax(1)[known]
        self.confusion += cells.bincount(minlength=classes**2).view(classes, classes).numpy()
        self.calibration.update(logits.softmax(1), labels)
        found, truth = (logits.argmax(1)[0] == of_class).numpy(), (labels[0] == of_class).numpy()
        for px in WITHIN_PX:
            self.outlines[px] += boundary_counts(found, truth, known[0].numpy(), px)

    def figures(self, of_class: int) -> Json:
        """Return the scores."""
        iou = class_scores(self.confusion)["iou"]
        return {
            "iou": float(iou[of_class]),
            "mean_iou": float(macro(iou)),
            "boundary_f1": {str(px): counts.f1 for px, counts in self.outlines.items()},
            "calibration_error": float(self.calibration.compute()),
        }


@torch.no_grad()
def measure(network: nn.Module, chips: Sequence[Chip], classes: int, of_class: int) -> list[Json]:
    """Return the scores under each strength of noise."""
    tallies = [Tally(classes) for _ in NOISES]
    for at in range(len(chips)):
        image, labels = chips[at]["image"][None], chips[at]["mask"][None]
        valid = (image != 0).any(1, keepdim=True)
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(at)) * valid
        for tally, deviation in zip(tallies, NOISES, strict=True):
            tally.take(network(image + deviation * noise), labels, of_class)
    return [
        {"noise": noise} | tally.figures(of_class)
        for noise, tally in zip(NOISES, tallies, strict=True)
    ]


def main() -> None:
    """Measure some models and write the results page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", help="of the result: docs/results/robustness-NAME.json")
    parser.add_argument(
        "--model",
        action="append",
        required=True,
        metavar="NAME[:DRAWS]=PATH",
        help="in its run folder",
    )
    parser.add_argument("--data-root", required=True, help="folder of its data set")
    parser.add_argument("--class", dest="of_class", help="default: the last one")
    parser.add_argument("--remark", default="", help="what a reader should know of the models")
    arguments = parser.parse_args()
    found, paths = {}, {}
    for word in arguments.model:
        name, _, path = word.partition("=")
        paths[name] = Path(path)
        network, config = model_and_config(paths[name], arguments.data_root)
        if draws := int(name.partition(":")[2] or 0):
            network = MeanOfDraws(network, draws)
        names = [one.name for one in config.data.classes]
        of_class = arguments.of_class or names[-1]
        chips = val_chips(config)
        found[name] = measure(network, chips, len(names), names.index(of_class))
    document = {
        "command": f"python tests/bench/robustness.py {arguments.name} "
        f"{shown(paths)} --data-root ...",
        "remark": arguments.remark,
        "machine": describe_machine(),
        "found": {"class": of_class, "models": found},
    }
    render.publish(f"robustness-{arguments.name}", document)


if __name__ == "__main__":
    main()
