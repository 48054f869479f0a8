"""Attention of one sensor's cells to another's, which has not seen all of them."""

from collections.abc import Sequence

import torch
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn
from torch.nn import functional

from geohier.config.second import SecondConfig
from geohier.layers.attention import share_of_added
from geohier.layers.attention_blocks import blocks, unblocked
from geohier.layers.attention_heads import Heads, starting_at_nothing
from geohier.layers.attention_window import window_mask
from geohier.layers.used import Used


def build_second(
    config: SecondConfig, channels: Sequence[int], strides: Sequence[int]
) -> "SecondSensor | None":
    """Return what looks at a second sensor, None where there is none.

    Args:
        config: which, and how.
        channels: of each level of the first, finest first; no fewer than the config has levels.
        strides: of the levels, in pixels.
    """
    return SecondSensor(config, channels, strides) if config.bands else None


class SecondSensor(nn.Module):
    """A small encoder of the second sensor, at whose cells the first one's coarse levels look.

    What is found is added, and is 0 at first. A cell around which the second sensor has seen
    nothing gets exactly 0: so does every cell where it is missing.

    Args:
        config: which, and how.
        channels: of each level, finest first.
        strides: of the levels.

    Shape:
        - levels: `(B, C_l, H_l, W_l)` each, finest first
        - image: `(B, S, H, W)` of the second sensor, 0 in all bands where it has seen nothing
        - returns: as the levels
        - used: `second.l` of the coarsest, `(B, 1, H_l, W_l)` in [0, 1]: how long what was added
          is, beside the length of what was there and of what was added
    """

    def __init__(
        self, config: SecondConfig, channels: Sequence[int], strides: Sequence[int]
    ) -> None:
        super().__init__()
        self.first = len(channels) - config.levels
        self.drop = config.drop
        halvings = [stride.bit_length() - 1 for stride in strides]
        inner = config.channels
        before = [len(config.bands), *[inner] * (halvings[-1] - 1)]
        self.encoder = nn.ModuleList(_halved(count, inner) for count in before)
        self.taken = halvings[self.first :]
        self.looks = nn.ModuleList(SecondAttention(one, config) for one in channels[self.first :])

    def forward(self, levels: Sequence[Tensor], image: Tensor) -> tuple[list[Tensor], Used]:
        if self.training and self.drop:
            kept = torch.rand(len(image), 1, 1, 1, device=image.device) >= self.drop
            image = image * kept
        seen = (image != 0).any(1, keepdim=True).float()
        found, answers, used = self._encoded(image), list(levels), {}
        for at, (look, halvings) in enumerate(
            zip(self.looks, self.taken, strict=True), start=self.first
        ):
            there = functional.adaptive_max_pool2d(seen, levels[at].shape[-2:])
            added = look(levels[at], found[halvings], there)
            answers[at] = levels[at] + added
            used[f"second.{at}"] = share_of_added(levels[at], added)
        return answers, used

    def _encoded(self, image: Tensor) -> list[Tensor]:
        """Return the image and what is seen of it after each halving."""
        found = [image]
        for halved in self.encoder:
            found.append(halved(found[-1]))
        return found


class SecondAttention(nn.Module):
    """Each cell of a level looks at the second sensor's cells around it: what it finds is added.

    Queries are of one modality, keys and values of the other (Tsai et al. 2019, Multimodal
    Transformer for Unaligned Multimodal Language Sequences), in windows that slide with the cell as
    those of `WindowAttention` do. Cells that the second sensor has not seen do not count.

    Args:
        channels: of the level.
        config: of the second sensor.

    Shape:
        - level: `(B, C, H, W)`
        - second: `(B, S, H, W)`
        - seen: `(B, 1, H, W)`, 1 of cells that the second sensor has seen, else 0
        - returns: as the level
    """

    def __init__(self, channels: int, config: SecondConfig) -> None:
        super().__init__()
        self.reach = config.window // 2
        self.query = Heads(channels, config.heads, config.head_channels, count=1)
        self.keys = Heads(config.channels, config.heads, config.head_channels, count=2)
        self.bias = nn.Parameter(torch.zeros(config.heads, config.window, config.window))
        self.project = starting_at_nothing(config.heads * config.head_channels, channels)

    def forward(self, level: Tensor, second: Tensor, seen: Tensor) -> Tensor:
        (query,), (key, value) = self.query(level), self.keys(second)
        around = functional.max_pool2d(seen, 2 * self.reach + 1, stride=1, padding=self.reach)
        asking = blocks(around[:, :, None]) > 0
        asked = blocks(seen[:, :, None], self.reach) > 0
        found = functional.scaled_dot_product_attention(
            blocks(query),
            blocks(key, self.reach),
            blocks(value, self.reach),
            attn_mask=window_mask(self.bias, asking, asked).to(query.dtype),
        )
        together = unblocked(found, *level.shape[-2:]).flatten(1, 2)
        answer: Tensor = self.project(together) * around.to(level.dtype)
        return answer


def _halved(channels: int, inner: int) -> nn.Sequential:
    strided = nn.Conv2d(channels, inner, 3, stride=2, padding=1)
    return nn.Sequential(strided, LayerNorm2d(inner), nn.GELU())
