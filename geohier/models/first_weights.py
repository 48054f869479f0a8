"""First weights of a feature pyramid, scaled on noise so that each level counts alike.

Convolutions start from He's initialisation by fan-in (He et al. 2015), encoders from that of their
library, normalisations from scale 1 and shift 0. So each level, whatever its own scale, enters the
merge with unit variance, behind its first normalisation. Within the pyramid nothing is normalised:
a level is the sum of what its own lateral convolution brings and of all coarser ones, and the
finest can be several times as large as the coarsest. `share_variance` weighs these sums.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from geohier.config.hierarchy import FPN_LEVELS

RARE = 0.01
"""Probability that a pixel is the middle of an object of a class, before anything was learnt."""

NOISE_SHAPE = (8, 256, 256)
"""Images and pixels of the noise: with stride 32, the coarsest level has 512 of them."""

LATERALS = ("p5", "p4.skip_conv", "p3.skip_conv", "p2.skip_conv")
"""smp's lateral convolutions, the coarsest level first."""


@torch.no_grad()
def share_variance(network: nn.Module, bands: int, seed: int) -> None:
    """Scale the lateral convolutions of a network of `build_fpn` on unit normal noise, in place.

    On this noise, with the statistics of the batch, the k-th of L levels, counted from the coarsest
    one, has variance k / L afterwards: each lateral adds 1 / L to what comes from above, and the
    finest level has unit variance. A sum cannot do with less than its parts, so no scaling of the
    laterals gives all levels the same. Gains are found level by level, as in layer-sequential
    unit-variance initialisation (Mishkin & Matas 2016).

    Args:
        network: its laterals are changed, nothing else, running statistics included.
        bands: bands that it reads.
        seed: of the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    images, *pixels = NOISE_SHAPE
    with _normalising_by_batch(network):
        noise = torch.randn(images, bands, *pixels, generator=generator)
        features: list[Tensor] = network.get_submodule("encoder")(noise)[-FPN_LEVELS:]
    above: Tensor | None = None
    for at, (name, feature) in enumerate(zip(LATERALS, reversed(features), strict=True), start=1):
        lateral = network.get_submodule(f"decoder.{name}")
        assert isinstance(lateral, nn.Conv2d)
        brought: Tensor = lateral(feature)
        gain = _gain(brought, above, at / FPN_LEVELS)
        lateral.weight.mul_(gain)
        level = gain * brought if above is None else above + gain * brought
        above = functional.interpolate(level, scale_factor=2.0, mode="nearest")


def _gain(brought: Tensor, above: Tensor | None, variance: float) -> float:
    """Return the gain at which what is brought and what comes from above have a variance together.

    What comes from above has less, so that of the two solutions exactly one is positive.
    """
    own = float(brought.var())
    if above is None:
        return float((variance / own) ** 0.5)
    shared = float(((brought - brought.mean()) * (above - above.mean())).mean())
    missing = variance - float(above.var())
    return float(((shared**2 + own * missing) ** 0.5 - shared) / own)


@contextmanager
def _normalising_by_batch(network: nn.Module) -> Iterator[None]:
    """Let batch normalisations go by the batch, as in training, and forget that they have."""
    training = network.training
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network.eval()  # nothing is dropped at random
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.train()
    try:
        yield
    finally:
        network.train(training)
        for name, buffer in network.named_buffers():
            buffer.copy_(before[name])


@torch.no_grad()
def expect_rarely(network: nn.Module, ground: int) -> None:
    """Make a network expect each class but that of the ground at one pixel in a hundred, in place.

    Otherwise the first steps are spent on pushing all of the ground down: Lin et al. 2017, Focal
    Loss for Dense Object Detection, ICCV, section 4.1.

    Args:
        network: its last convolution gives the scores of the classes.
        ground: index of the class of the ground.
    """
    head = network.get_submodule("segmentation_head")
    *_, last = (one for one in head.modules() if isinstance(one, nn.Conv2d))
    assert last.bias is not None
    classes = len(last.bias)
    last.bias.fill_(math.log(RARE))
    last.bias[ground] = math.log(1 - RARE * (classes - 1))
