"""How far a model looks: the margin that a tile needs, and whether any margin is enough.

Two measurements, both on the network as it predicts (evaluation mode):

- **Margins.** The gradient of a pixel's answer with respect to the image says how much each image
  pixel mattered (Luo, Li, Urtasun and Zemel 2016, Understanding the effective receptive field in
  deep convolutional neural networks, NeurIPS). The margin for 95 % is the smallest square around
  the pixel that holds 95 % of its absolute value. A few per cent of a deep network's gradient lie
  in far, thin tails.
- **Tile dependence.** Everything beyond a distance is replaced by something very different, and
  the probabilities at the centre are compared. A network of local layers does not notice what is
  far enough away; one that pools over the whole tile notices at any distance. The thin tails of
  a local network would be noticed just outside the margin, though they end. So the distance grows,
  from the 99 % margin to a quarter of the largest window: if the answer still changes there, by
  more than 1e-5, no margin that could be recommended is enough: the network is tile-dependent.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from geohier.errors import ModelError

SHARES = (90, 95, 99)
"""Per cent of the gradient whose radius a card keeps."""

NOTICED = 1e-5
"""Change of a probability from which a pixel counts as noticed."""

LARGEST_PX = 2048
"""Side of the largest window that is looked at, in the network's own pixels.

Prediction's largest tile, 4096 px of the image, is as large for a network at half its resolution.
At full resolution such tiles could have a wider margin than is tried here; most of each would be
margin, and looking so far would need four times the memory.
"""

DRAWS = 4
"""Random images that margins are averaged over, and at most so many real chips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceptiveField:
    """How far a model looks.

    Args:
        margins_px: radius, in pixels, of the square that holds each per cent of the gradient.
        tile_dependent: whether answers change with what is farther away than any margin.
    """

    margins_px: Mapping[int, int]
    tile_dependent: bool


def measure_receptive_field(
    network: nn.Module,
    bands: int,
    *,
    stride: int,
    chips: Sequence[Tensor] = (),
    seed: int = 0,
    largest_px: int = LARGEST_PX,
) -> ReceptiveField:
    """Measure the margins of a network, and whether it is tile-dependent.

    Args:
        network: gives `(B, K, H, W)` logits at the resolution of its image.
        bands: bands of the image.
        stride: the network accepts sides that are multiples of it.
        chips: real, normalised images `(bands, H, W)`, whose gradients count as much as random's.
        seed: of the random images and of the pixels that are looked at.
        largest_px: side of the largest window that is looked at.

    Raises:
        ModelError: the answer at a pixel does not depend on the image at all.
    """
    training = network.training
    generator = torch.Generator().manual_seed(seed)
    images = _Images(bands, tuple(chips), generator)
    try:
        network.eval()
        margins = _margins(network, images, stride, largest_px)
        dependent = _is_tile_dependent(network, images, max(margins.values()), stride, largest_px)
    finally:
        network.train(training)
    return ReceptiveField(margins_px=margins, tile_dependent=dependent)


@dataclass(frozen=True, slots=True)
class _Images:
    """Random images of any size, and real ones mirrored at their edges to any size."""

    bands: int
    chips: tuple[Tensor, ...]
    generator: torch.Generator

    def of_size(self, side: int, draws: int) -> Iterator[Tensor]:
        """Yield `draws` random images `(1, C, side, side)` and up to as many real ones."""
        for _ in range(draws):
            yield torch.randn(1, self.bands, side, side, generator=self.generator)
        for chip in self.chips[:draws]:
            rows, cols = (_mirrored(side, length) for length in chip.shape[-2:])
            yield chip[None, :, rows][..., cols].clone()


def _mirrored(side: int, length: int) -> Tensor:
    """Return `side` indexes that run back and forth over `length` pixels."""
    along = torch.arange(side) % (2 * length)
    return torch.minimum(along, 2 * length - 1 - along)


def _margins(network: nn.Module, images: _Images, stride: int, largest_px: int) -> dict[int, int]:
    """Measure on small windows first, and on larger ones while the field does not fit well."""
    side = min(_multiple(512, stride), largest_px)
    while True:
        drawn = images.of_size(side, DRAWS)
        profile = torch.stack([_profile(network, one, stride, images) for one in drawn]).sum(0)
        if not float(profile.sum()) > 0:
            raise ModelError("the model's answer does not depend on its image: train it again")
        held = profile.cumsum(0) / profile.sum()
        margins = {share: int((held < share / 100).sum()) for share in SHARES}
        if max(margins.values()) <= side // 4 or 2 * side > min(largest_px, 1024):
            return margins
        side *= 2


def _profile(network: nn.Module, image: Tensor, stride: int, images: _Images) -> Tensor:
    """Return how much of a central pixel's gradient lies at each distance; sums to 1 or is 0."""
    row, col = (image.shape[-1] // 2 + _drawn(stride, images) for _ in range(2))
    image.requires_grad_()
    (gradient,) = torch.autograd.grad(_decision(network(image)[0, :, row, col]), image)
    spread = gradient[0].abs().sum(0).double()  # (H, W)
    rows, cols = ((torch.arange(image.shape[-1]) - at).abs() for at in (row, col))
    distance = torch.maximum(rows[:, None], cols[None, :])
    profile = torch.zeros(image.shape[-1], dtype=torch.float64)
    profile.index_add_(0, distance.flatten(), spread.flatten())
    return profile / profile.sum().clamp(min=torch.finfo(torch.float32).tiny)


def _drawn(stride: int, images: _Images) -> int:
    """Draw a place within a cell of the coarsest level: the field differs from place to place."""
    return int(torch.randint(stride, (), generator=images.generator)) - stride // 2


def _decision(logits: Tensor) -> Tensor:
    """Return by how much the winning class wins: its log odds."""
    winner = logits.argmax()
    others = logits[torch.arange(len(logits)) != winner]
    return logits[winner] - others.logsumexp(0)


@torch.no_grad()
def _is_tile_dependent(
    network: nn.Module, images: _Images, margin: int, stride: int, largest_px: int
) -> bool:
    farthest = largest_px // 4
    distance = min(_multiple(max(margin, stride), stride), farthest)
    while True:
        side = min(_multiple(4 * distance, stride), largest_px)
        drawn = images.of_size(side, 1)
        if max(_change(network, image, distance, stride) for image in drawn) <= NOTICED:
            return False
        if distance >= farthest:
            return True
        distance = min(2 * distance, farthest)


def _change(network: nn.Module, image: Tensor, distance: int, stride: int) -> float:
    """Return the change of the central probabilities when all beyond `distance` changes."""
    side = image.shape[-1]
    cell = slice(side // 2 - stride // 2, side // 2 - stride // 2 + stride)
    near = slice(max(cell.start - distance, 0), cell.stop + distance)
    other = 2 - 3 * image  # brighter, of more contrast: no pooled statistic stays as it is
    other[..., near, near] = image[..., near, near]
    before, after = (network(one)[..., cell, cell].softmax(1) for one in (image, other))
    return float((before - after).abs().max())


def _multiple(length: int, stride: int) -> int:
    return -(-length // stride) * stride
