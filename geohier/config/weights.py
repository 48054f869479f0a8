"""What a network starts from."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from geohier.config.section import Section, Share


class WeightsConfig(Section):
    """What the network starts from; where neither name nor file is given, from random weights."""

    name: str | None = None
    """Published weights: of torchgeo (ResNet18_Weights.SENTINEL2_ALL_MOCO), of timm
    (timm/resnet18.a1_in1k) or of smp (smp/mit_b0.imagenet). They are looked for in
    $GEOHIER_WEIGHTS, then in the library's own cache, and fetched only with --allow-download."""
    file: Path | None = None
    """A model directory of geohier, or a .safetensors, .pth or .pt file of tensors; with a name,
    the file that holds those weights. Relative paths start at the working directory."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """SHA-256 that the file must have; null: any, and a run notes which it was."""
    bands: tuple[str, ...] | None = None
    """Bands that the weights read, in their order, where nothing else says so."""
    least_matched: Share = 0.8
    """Share of the encoder's weights that must be found, or the run is refused."""
