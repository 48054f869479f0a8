"""A pyramid of levels from the one map that a plain transformer gives."""

from collections.abc import Sequence

from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn

from geohier.errors import ConfigError

FINEST = 4
"""Stride of the finest level, in pixels of the image."""


class SimplePyramid(nn.Module):
    """Levels of several strides, each made of the last map of a plain transformer alone.

    Finer levels come by transposed convolutions that halve the channels, coarser ones by maxima
    (Li, Mao, Girshick and He 2022, Exploring Plain Vision Transformer Backbones for Object
    Detection). The convolutions that the paper puts behind each level are left to the decoder,
    which has its own.

    Args:
        width: channels of the map.
        patch: its stride in pixels of the image, a power of 2.
        strides: strides of the levels, likewise.

    Shape:
        - tokens: `(B, width, H / patch, W / patch)`
        - returns: `(B, C_l, H / stride, W / stride)` each
    """

    def __init__(self, width: int, patch: int, strides: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_branch(width, patch, stride) for stride in strides)
        self.channels = [width // max(1, patch // stride) for stride in strides]

    def forward(self, tokens: Tensor) -> list[Tensor]:
        return [branch(tokens) for branch in self.branches]


def _branch(width: int, patch: int, stride: int) -> nn.Sequential:
    if stride > patch:
        return nn.Sequential(nn.MaxPool2d(stride // patch))
    steps: list[nn.Module] = []
    while stride < patch:
        steps += [*_between(width, steps), nn.ConvTranspose2d(width, width // 2, 2, stride=2)]
        width, stride = width // 2, 2 * stride
    return nn.Sequential(*steps)


def _between(width: int, before: Sequence[nn.Module]) -> list[nn.Module]:
    return [LayerNorm2d(width), nn.GELU()] if before else []


class PlainEncoder(nn.Module):
    """A plain transformer with a pyramid, as an encoder by smp's contract.

    Subclasses say in `tokens` how an image becomes a map.

    Args:
        body: the transformer; its `blocks` are its stages.
        bands: bands of the image.
        depth: halvings of the image.
        width: channels of the map.
        patch: its stride in pixels of the image.

    Attributes:
        stage_ends: modules of `model` that end a stage.

    Raises:
        ConfigError: patches do not halve into levels, or are coarser than the coarsest of them.
    """

    def __init__(self, body: nn.Module, bands: int, depth: int, *, width: int, patch: int) -> None:
        super().__init__()
        _check_patch(patch, depth)
        strides = [2**at for at in range(1, depth + 1)]
        self.model = body
        self.neck = SimplePyramid(width, patch, [one for one in strides if one >= FINEST])
        missing = [0 for one in strides if one < FINEST]
        self.out_channels = [bands, *missing, *self.neck.channels]
        self.output_stride = strides[-1]
        blocks = body.get_submodule("blocks")
        self.stage_ends = tuple(f"blocks.{name}" for name, _ in blocks.named_children())

    def tokens(self, image: Tensor) -> Tensor:
        """Return the map `(B, width, H / patch, W / patch)` of an image."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> list[Tensor]:
        count, _, height, width = image.shape
        half = image.new_empty(count, 0, height // 2, width // 2)
        return [image, half, *self.neck(self.tokens(image))]


def has_plain_transformer(network: nn.Module) -> bool:
    """Return whether the encoder is a plain transformer: each answer depends on the whole image."""
    return any(isinstance(one, PlainEncoder) for one in network.modules())


def _check_patch(patch: int, depth: int) -> None:
    if patch & (patch - 1) or patch < FINEST:
        raise ConfigError(
            f"its patches of {patch} px do not halve into levels: take a network with patches of "
            "8, 16 or 32 px"
        )
    if patch > 2**depth:
        raise ConfigError(
            f"its patches of {patch} px are coarser than the coarsest level, of {2**depth} px: "
            "raise model.encoder_depth, or the levels of a hierarchy"
        )
