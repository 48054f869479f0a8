"""What gates of a hierarchy learn to go by."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.stats import spearmanr
from torch.nn import functional

from geohier.config.model import ModelConfig
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.segmentation import build_segmenter

SIDE = 128
RADII = (2, 24)


def discs(rng: np.random.Generator) -> tuple[torch.Tensor, NDArray[np.int_], list[float]]:
    """Return an image, which disc each pixel is in, and the discs' radii.

    Their outlines alone are bright: how far off they lie is how far one has to look.
    """
    image = rng.normal(0, 0.3, (SIDE, SIDE))
    inside, radii = np.zeros((SIDE, SIDE), int), [0.0]
    rows, cols = np.mgrid[:SIDE, :SIDE]
    for _ in range(6):
        radius = float(np.exp(rng.uniform(*np.log(RADII))))
        row, col = rng.uniform(0, SIDE, 2)
        disc = (rows - row) ** 2 + (cols - col) ** 2 <= radius**2
        if not disc.any() or inside[disc].any():
            continue
        inside[disc] = len(radii)
        radii.append(radius)
        image[disc & ~binary_erosion(disc, iterations=2)] += 3
    return torch.from_numpy(image).float()[None, None], inside, radii


@pytest.mark.slow
@pytest.mark.parametrize("fusion", ["none", "sum"])
def test_the_larger_an_object_the_coarser_the_level_that_gates_choose(fusion: str) -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    config = ModelConfig.model_validate(
        {
            "encoder": "test_resnet",
            "decoder": "hierarchy",
            "encoder_depth": 4,
            "pyramid_channels": 32,
            "segmentation_channels": 32,
            "dropout": 0,
            "hierarchy": {"merge": "gated", "fusion": fusion},
        }
    )
    network = build_segmenter(config, 1, 2)
    assert isinstance(network, HierarchicalSegmenter)
    descent = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(150):
        images, inside, _ = zip(*(discs(rng) for _ in range(4)), strict=True)
        labels = torch.from_numpy(np.stack(inside) > 0).long()
        descent.zero_grad()
        functional.cross_entropy(network(torch.cat(images)), labels).backward()
        descent.step()
    sizes, chosen = [], []
    network.eval()
    for _ in range(16):
        image, where, radii = discs(rng)
        with torch.no_grad():
            gates = network.look(image).used["gates"]
        level = (gates * torch.arange(4)[:, None, None]).sum(1, keepdim=True)
        shown = functional.interpolate(level, size=(SIDE, SIDE))[0, 0].numpy()
        for disc in range(1, len(radii)):
            sizes.append(radii[disc])
            chosen.append(float(shown[where == disc].mean()))
    assert len(sizes) > 40
    assert spearmanr(sizes, chosen).statistic > 0.5
