"""The network that learns without labels: encoder and pyramid of a segmenter, with other heads."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from geohier.errors import ConfigError
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.level_features import merged_levels

HIDDEN = 512
PROJECTED = 128
"""Channels within BYOL's heads and after them; smaller than the paper's: so is the network."""


PROBE_PX = 256
"""Side of the blank image with which levels are measured: the largest stride that there can be."""


class Pyramid(nn.Module):
    """Encoder and pyramid of a network of `build_segmenter`, under their names in it.

    What comes after the pyramid is left out, and so is a U-Net's last block, which works at the
    image's own resolution.

    Args:
        network: the network; its parts are taken, not copied.

    Shape:
        - image: `(B, C, H, W)`, sides divisible by the coarsest stride
        - returns: one `(B, C_l, h_l, w_l)` per level, finest first
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.encoder = network.get_submodule("encoder")
        self.decoder = network.get_submodule("decoder")
        if isinstance(network, smp.FPN):
            self._read = merged_levels
            del self.decoder.seg_blocks
        elif isinstance(network, HierarchicalSegmenter):
            self._read = _fused_levels
        else:
            self._read = _unet_levels
            blocks: Any = self.decoder.blocks
            del blocks[-1]

    def forward(self, image: Tensor) -> list[Tensor]:
        return self._read(self.decoder, self.encoder(image))

    def probe(self, bands: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return strides and channels of the levels, finest first."""
        training = self.training
        self.eval()
        with torch.no_grad():
            levels = self(torch.zeros(1, bands, PROBE_PX, PROBE_PX))
        self.train(training)
        strides = tuple(PROBE_PX // level.shape[-1] for level in levels)
        return strides, tuple(level.shape[1] for level in levels)


def _fused_levels(decoder: nn.Module, features: Sequence[Tensor]) -> list[Tensor]:
    levels: list[Tensor] = decoder(features)[0]
    return levels


def _unet_levels(decoder: Any, features: Sequence[Tensor]) -> list[Tensor]:  # noqa: ANN401 - smp's
    """Return the coarsest level, and what each block makes of the one before."""
    skips = features[1:][::-1]
    levels = [decoder.center(skips[0])]
    for block, skip in zip(decoder.blocks, skips[1:], strict=True):
        levels.append(block(levels[-1], *skip.shape[-2:], skip_connection=skip))
    return levels[::-1]


class Pretrainer(nn.Module):
    """A pyramid that rebuilds what is masked, and foretells how another view is seen.

    Args:
        network: a network of `build_segmenter`; its encoder and pyramid are trained.
        bands: bands of the image.
        contrast: whether views are compared.

    Attributes:
        strides: pixels per cell of each level, finest first.
        token: what masked pixels are filled with, `(C, 1, 1)`; it is learnt, so that the network
            can tell it from ground that happens to be of the mean.
    """

    def __init__(self, network: nn.Module, bands: int, *, contrast: bool) -> None:
        super().__init__()
        self.pyramid = Pyramid(network)
        self.strides, channels = self.pyramid.probe(bands)
        self.token = nn.Parameter(torch.zeros(bands, 1, 1))
        self.heads = nn.ModuleList(_mean_predictor(count, bands) for count in channels)
        if contrast:
            self.projector = _byol_head(sum(channels))
            self.predictor = _byol_head(PROJECTED)
            self.slow_pyramid = _frozen(self.pyramid)
            self.slow_projector = _frozen(self.projector)

    def hidden(self, image: Tensor, masked: Tensor) -> Tensor:
        """Return images whose masked pixels are filled."""
        return torch.where(masked, self.token.to(image.dtype), image)

    def rebuilt(self, levels: list[Tensor]) -> list[Tensor]:
        """Return the bands of the Laplacian pyramid that the levels answer, in float32."""
        return [head(level).float() for head, level in zip(self.heads, levels, strict=True)]

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """Move the slow network a step towards this one."""
        slow = (*self.slow_pyramid.parameters(), *self.slow_projector.parameters())
        quick = (*self.pyramid.parameters(), *self.projector.parameters())
        for mean, value in zip(slow, quick, strict=True):
            mean.lerp_(value, 1 - momentum)


def _mean_predictor(channels: int, bands: int) -> nn.Conv2d:
    """Return a head that answers the mean of normalised bands, 0, before it has learnt anything.

    From there on it is better than the mean predictor or nothing, while random weights would first
    have to unlearn what they say.
    """
    head = nn.Conv2d(channels, bands, kernel_size=1)
    nn.init.zeros_(head.weight)
    assert head.bias is not None
    nn.init.zeros_(head.bias)
    return head


def _byol_head(channels: int) -> nn.Sequential:
    """Return BYOL's head, two layers with a normalisation between them, over vectors `(N, C)`."""
    return nn.Sequential(
        nn.Linear(channels, HIDDEN, bias=False),
        nn.BatchNorm1d(HIDDEN),
        nn.ReLU(inplace=True),
        nn.Linear(HIDDEN, PROJECTED),
    )


def _frozen[M: nn.Module](module: M) -> M:
    copy = deepcopy(module)
    copy.requires_grad_(requires_grad=False)
    return copy


def encoder_tensors(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return encoder and pyramid of a pretrainer's weights, by their names in a segmenter."""
    inside = "pyramid."
    return {
        name.removeprefix(inside): value.contiguous()
        for name, value in weights.items()
        if name.startswith(inside)
    }


def check_blocks(size_px: int, block_px: int) -> None:
    """Check that chips hold at least two blocks along a side.

    Raises:
        ConfigError: they are too small.
    """
    if size_px < 2 * block_px:
        raise ConfigError(
            f"chips of {size_px} px do not hold two masked blocks of {block_px} px along a side: "
            "lower pretraining.mask_px, or raise chips.size_px"
        )
