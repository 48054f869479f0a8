"""Models that are ready at once: a real one with random weights, and one that says what it sees."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from geohier.config.schema import TrainConfig
from geohier.geo.bands import Band, BandSet
from geohier.models.card import ClassLabel, ModelCard
from geohier.models.directory import LoadedModel, save_model
from geohier.models.segmentation import build_segmenter

COLOURS = ("red", "green", "blue")
CLASSES = tuple(
    ClassLabel(name=name, color=color)
    for name, color in (("land", "#00ff00"), ("water", "#0000ff"), ("roof", "#ff0000"))
)
CONFIG = TrainConfig.model_validate(
    {
        "data": {"classes": {"land": 0, "water": 1, "roof": 2}},
        "model": {"encoder": "test_resnet", "pyramid_channels": 16, "segmentation_channels": 32},
    }
)


def save_small_model(folder: Path) -> Path:
    """Write a model directory of a small network with random weights: red, green, blue in bytes."""
    bands = (Band(name=name, dtype="uint8", mean=100, std=50, high=200) for name in COLOURS)
    card = ModelCard(
        bands=BandSet(tuple(bands)),
        classes=CLASSES,
        stride=32,
        strides=(4, 8, 16, 32),
        gsd_m=(8, 12),
        margins_px={95: 8},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_segmenter(CONFIG.model, bands=3, classes=3).eval()
        with torch.no_grad():  # else one class would win nearly everywhere
            usual = network(torch.randn(1, 3, 256, 256)).mean(dim=(0, 2, 3))
            network.get_submodule("segmentation_head.0").bias -= usual
    return save_model(folder, network, card, CONFIG)


class Echo(nn.Module):
    """A model whose answer is known: the number of the brightest of red, green and blue.

    Classes beyond these three are never chosen.
    """

    def __init__(self) -> None:
        super().__init__()
        bands = (Band(name=name, dtype="uint8", mean=0, std=1) for name in COLOURS)
        self.card = ModelCard(bands=BandSet(tuple(bands)), classes=CLASSES)
        """What it says of itself; a test may change it."""
        self.seen: list[tuple[int, ...]] = []
        """Shapes of the batches that it was given."""

    def forward(self, pixels: Tensor) -> Tensor:
        self.seen.append(tuple(pixels.shape))
        more = len(self.card.classes) - pixels.shape[1]
        return functional.pad(pixels, (0, 0, 0, 0, 0, more), value=-1.0)

    def expects(self, **changes: object) -> None:
        """Change what the card says of each band."""
        bands = tuple(replace(band, **changes) for band in self.card.bands)
        self.card = replace(self.card, bands=BandSet(bands))

    def loaded(self, folder: Path | str) -> LoadedModel:
        """Stand in for `load_model`."""
        return LoadedModel(module=self, card=self.card, config=CONFIG, sha256="e" * 64)
