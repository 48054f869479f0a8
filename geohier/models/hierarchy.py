"""A segmenter made of a hierarchy: the parts of `layers`, one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from geohier.config.hierarchy import FPN_LEVELS, HierarchyConfig
from geohier.config.model import ModelConfig
from geohier.errors import ConfigError
from geohier.layers.attention import build_attention
from geohier.layers.attention_second import build_second
from geohier.layers.blocks import conv_block
from geohier.layers.context import AtrousPooling, PyramidPooling
from geohier.layers.dates import Stack, coarser, stack_of
from geohier.layers.fusion import build_fusion
from geohier.layers.ladder import Ladder
from geohier.layers.latents import Draw, build_latents, the_mean
from geohier.layers.memory import build_memory
from geohier.layers.merge import Read, build_merge, enlarged
from geohier.layers.time import build_time
from geohier.layers.used import Used


def finest_feature(encoder_depth: int) -> int:
    """Return the number of the encoder's feature that is the finest level, as an fpn has it."""
    return encoder_depth + 1 - FPN_LEVELS


def depth_in_use(config: ModelConfig) -> int:
    """Return how many halvings of an encoder a hierarchy reads, of those that it may."""
    coarsest = finest_feature(config.encoder_depth) + config.hierarchy.levels - 1
    return min(config.encoder_depth, coarsest)


@dataclass(frozen=True, slots=True)
class Look:
    """An answer, and how it came about.

    Args:
        logits: `(B, K, H, W)`.
        levels: the pyramid that was merged, finest first, `(B, C, H_l, W_l)` each.
        merged: the one map that was made of them, `(B, C, H_0, W_0)`; another network has neither.
        used: what the parts went by.
    """

    logits: Tensor
    levels: list[Tensor] = field(default_factory=list)
    merged: Tensor | None = None
    used: Used = field(default_factory=dict)


class FusedPyramid(nn.Module):
    """From an encoder's features to levels that know of each other.

    Args:
        channels: of the encoder's features, the image's first.
        config: the network.

    Shape:
        - features: `(B, C_k, H / 2^k, W / 2^k)` each; of a stack of dates, those of its images that
          were looked at, `(N, C_k, H / 2^k, W / 2^k)`
        - second: `(B, S, H, W)`, bands of a second sensor
        - returns: `(B, pyramid_channels, H_l, W_l)` for each level, finest first, and what was used
    """

    def __init__(self, channels: Sequence[int], config: ModelConfig) -> None:
        super().__init__()
        parts, width = config.hierarchy, config.pyramid_channels
        self.ladder = Ladder(channels, finest_feature(config.encoder_depth), parts)
        self.time = build_time(parts.time, self.ladder.channels)
        self.second = build_second(parts.second, self.ladder.channels, self.ladder.strides)
        self.context = _context(self.ladder.channels[-1], parts)
        self.fusion = build_fusion(self.ladder.channels, width, parts)
        self.refine = _refine(len(self.ladder.channels), width, parts)
        self.adds = parts.refine == "residual"
        self.attention = build_attention(parts.attention, [width] * len(self.ladder.channels))

    def forward(
        self,
        features: Sequence[Tensor],
        stack: Stack | None = None,
        second: Tensor | None = None,
    ) -> tuple[list[Tensor], Used]:
        levels, before = self.ladder(features), {}
        if self.time is not None and stack is not None:
            levels, before = self.time([stack.spread(level) for level in levels], stack)
        if self.second is not None and second is not None:
            levels, before = self.second(levels, second)
        levels[-1] = self.context(levels[-1])
        fused, used = self.fusion(levels)
        used = before | used
        refined = [self._refined(level, at) for at, level in enumerate(fused)]
        if self.attention is None:
            return refined, used
        levels, more = self.attention(refined)
        return levels, used | more

    def _refined(self, level: Tensor, at: int) -> Tensor:
        if not len(self.refine):
            return level
        refined: Tensor = self.refine[at](level)
        return level + refined if self.adds else refined


def _context(channels: int, config: HierarchyConfig) -> nn.Module:
    norm, separable = config.norm, config.separable
    match config.context:
        case "none":
            return nn.Identity()
        case "pooling":
            return PyramidPooling(channels, norm, separable=separable)
        case "aspp":
            return AtrousPooling(channels, config.aspp_rates, norm, separable=separable)


def _refine(levels: int, width: int, config: HierarchyConfig) -> nn.ModuleList:
    count = 0 if config.refine == "none" else levels
    return nn.ModuleList(
        conv_block(width, width, config.norm, separable=config.separable) for _ in range(count)
    )


class HierarchicalSegmenter(nn.Module):
    """Encoder, pyramid, merge and head.

    Args:
        encoder: gives the image and then its levels, each half as fine; `out_channels` has the
            channels of them all.
        config: the network. Bands of a second sensor come behind those that the encoder reads.
        classes: classes.

    Attributes:
        bands: bands of the image.
        width: channels of each level of the pyramid.

    Shape:
        - image: `(B, bands, H, W)`, normalised, sides divisible by the coarsest stride; of a
          network that reads dates `(B, dates * (bands + 2), H, W)`, as of `with_dates`
        - logits: `(B, classes, H, W)`
    """

    def __init__(self, encoder: nn.Module, config: ModelConfig, classes: int) -> None:
        super().__init__()
        channels: Sequence[int] = encoder.out_channels  # type: ignore[assignment]  # smp's list
        _check(channels, config)
        parts, width = config.hierarchy, config.segmentation_channels
        self.encoder = encoder
        self.decoder = FusedPyramid(channels, config)
        widths = [config.pyramid_channels] * parts.levels
        self.memory = build_memory(parts.memory, widths, classes)
        self.latents = build_latents(parts, config.pyramid_channels)
        self.reads = nn.ModuleList(
            Read(config.pyramid_channels, width, level, parts) for level in range(parts.levels)
        )
        self.merge, merged = build_merge(parts.merge, width, parts.levels)
        self.dropout = nn.Dropout2d(config.dropout)
        self.segmentation_head = nn.Conv2d(merged, classes, 1)
        self.align_corners = parts.align_corners
        self.bands = channels[0] + len(parts.second.bands)
        self.width = config.pyramid_channels

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of the levels, finest first."""
        return self.decoder.ladder.strides

    def forward(self, image: Tensor, draw: Draw = the_mean) -> Tensor:
        return self.look(image, draw=draw).logits

    def levels(self, image: Tensor) -> list[Tensor]:
        """Return the levels before they are merged, finest first."""
        return self._pyramid(image)[0]

    @property
    def reads_dates(self) -> bool:
        """Whether the image is a stack of dates."""
        return self.decoder.time is not None

    def shrunk(self, image: Tensor, factor: int) -> Tensor:
        """Return an image of pixels that are so many times as long."""
        if self.reads_dates:
            return coarser(image, self.bands, factor)
        return functional.avg_pool2d(image, factor)

    def _seen(self, image: Tensor) -> tuple[list[Tensor], Used]:
        time, stack, second = self.decoder.time, None, None
        if self.decoder.second is not None:
            own: int = self.encoder.out_channels[0]  # type: ignore[index,assignment]  # smp's list
            image, second = image[:, :own], image[:, own:]
        if time is not None:
            stack = stack_of(image, self.bands)
            if self.training and time.drop:
                stack = stack.thinned(time.drop)
            image = stack.looked_at
        seen: tuple[list[Tensor], Used] = self.decoder(self.encoder(image), stack, second)
        return seen

    def _pyramid(self, image: Tensor, draw: Draw = the_mean) -> tuple[list[Tensor], Used]:
        levels, used = self._seen(image)
        if self.memory is not None:
            levels, more = self.memory(levels)
            used |= more
        if self.latents is not None:
            levels, more = self.latents(levels, draw)
            used |= more
        return levels, used

    def look(self, image: Tensor, without: int | None = None, draw: Draw = the_mean) -> Look:
        """Answer, and tell how.

        Args:
            image: the image.
            without: a level that brings nothing to the merge.
            draw: what latents draw where there are some.
        """
        levels, used = self._pyramid(image, draw)
        reads = [read(level) for read, level in zip(self.reads, levels, strict=True)]
        if without is not None:
            reads[without] = torch.zeros_like(reads[without])
        merged, more = self.merge(reads)
        scores = self.segmentation_head(self.dropout(merged))
        logits = enlarged(scores, self.strides[0], align_corners=self.align_corners)
        return Look(logits, levels, merged, used | more)


def _check(channels: Sequence[int], config: ModelConfig) -> None:
    """Check that an encoder gives the levels that a hierarchy takes.

    Raises:
        ConfigError: it does not.
    """
    finest = finest_feature(config.encoder_depth)
    taken = channels[finest : finest + config.hierarchy.levels]
    if 0 in taken:
        has = ", ".join(str(2**at) for at, count in enumerate(channels) if at and count)
        raise ConfigError(
            f"it has levels of strides {has} px, and none of {2 ** (finest + taken.index(0))}: "
            "raise model.encoder_depth, or take another encoder"
        )
