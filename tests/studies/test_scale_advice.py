"""Which network suits objects of one size."""

from collections import Counter

import pytest

from geohier.config.model import ModelConfig
from geohier.geo.levels import PIXELS_PER_OBJECT
from geohier.studies.object_sizes import SizeTable
from geohier.studies.scale_advice import advise


@pytest.mark.parametrize(
    ("decoder", "cells", "downsample", "depth"),
    [
        ("fpn", 16, 4, 5),
        ("fpn", 8, 4, 4),
        ("unet", 8, 4, 5),
        ("unet", 4, 2, 4),
        ("unet", 1, 1, 4),
    ],
)
def test_the_finest_level_of_the_decoder_just_sees_the_small_objects(
    decoder: str, cells: int, downsample: int, depth: int
) -> None:
    diameter = (cells + 0.5) * PIXELS_PER_OBJECT
    area = 3.14159 / 4 * diameter**2
    sizes = {"roof": SizeTable.of(Counter({area: 9}), width=diameter)}
    advice = advise(sizes, ModelConfig.model_validate({"decoder": decoder}))
    assert advice is not None
    assert (advice.downsample, advice.encoder_depth) == (downsample, depth)
    assert advice.strides[0] == max(cells, 2)
