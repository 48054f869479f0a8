"""Encoders that torchgeo has and timm has not: Swin, Scale-MAE and DOFA."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torchgeo.models as torchgeo
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn
from torchgeo.models.scale_mae import get_2d_sincos_pos_embed_from_grid_torch
from torchvision.ops import StochasticDepth

from geohier.errors import ConfigError
from geohier.models.pyramid_neck import PlainEncoder

PATCH = 16
GRID = 14
"""Patches a side for which DOFA's positions were made."""

SIZES: Mapping[str, dict[str, int]] = {
    "small": {"embed_dim": 384, "depth": 12, "num_heads": 6},
    "base": {"embed_dim": 768, "depth": 12, "num_heads": 12},
    "large": {"embed_dim": 1024, "depth": 24, "num_heads": 16},
}
"""The usual sizes of vision transformers (Dosovitskiy et al. 2021, arXiv 2010.11929)."""


def build(name: str, bands: int, depth: int, drop_path: float) -> nn.Module:
    """Build an encoder of `encoders.OF_TORCHGEO`, with random weights.

    Raises:
        ConfigError: it drops no paths, or cannot give so many levels.
    """
    family, _, rest = name.partition("_")
    match family:
        case "swin":
            return Swin(getattr(torchgeo, name)(), bands, depth, drop_path)
        case "scalemae":
            size = SIZES[rest.split("_", 1)[0]]
            return ScaleMae(_scale_mae(bands, drop_path, **size), bands, depth)
        case _:
            if drop_path:
                raise ConfigError("it drops no paths: set model.drop_path to 0")
            return Dofa(getattr(torchgeo, name)(global_pool=False, num_classes=0), bands, depth)


class Swin(nn.Module):
    """torchvision's Swin, which torchgeo has weights for, as an encoder.

    Args:
        body: the network; its parts are taken.
        bands: bands of the image.
        depth: halvings of the image.
        drop_path: chance of the last block to be dropped while training, of earlier ones less.

    Shape:
        - image: `(B, bands, H, W)`, sides divisible by `2 ** depth`
        - returns: the image, nothing at stride 2, then a level for each further halving
    """

    def __init__(self, body: Any, bands: int, depth: int, drop_path: float) -> None:  # noqa: ANN401 - torchvision's
        super().__init__()
        stages = depth - 1
        features = body.features[: 2 * stages]  # patches, stage, merging, stage, ...
        features[0][0] = _for_bands(features[0][0], bands)
        _drop(body, drop_path)
        self.model = nn.ModuleDict({"features": features})
        self.stage_ends = tuple(f"features.{2 * at + 1}" for at in range(stages))
        widths = [features[2 * at + 1][0].norm1.normalized_shape[0] for at in range(stages)]
        self.out_channels = [bands, 0, *widths]
        self.output_stride = 2**depth

    def forward(self, image: Tensor) -> list[Tensor]:
        count, _, height, width = image.shape
        levels = [image, image.new_empty(count, 0, height // 2, width // 2)]
        cells = image
        parts: Any = self.model["features"]
        for at, part in enumerate(parts):
            cells = part(cells)  # (B, H, W, C)
            if at % 2:
                levels.append(cells.permute(0, 3, 1, 2).contiguous())
        return levels


def _for_bands(first: nn.Conv2d, bands: int) -> nn.Conv2d:
    size: Any = first.kernel_size
    return nn.Conv2d(bands, first.out_channels, size, stride=size)


def _drop(body: nn.Module, chance: float) -> None:
    """Set the chance of the last path to be dropped; torchvision's own default is not 0."""
    paths = [one for one in body.modules() if isinstance(one, StochasticDepth)]
    most = max(one.p for one in paths)
    for one in paths:
        one.p *= chance / most


class _KnowingEncoder(PlainEncoder):
    """A plain transformer of torchgeo whose patches or positions depend on the sensor."""

    @abstractmethod
    def patches(self, image: Tensor) -> Tensor:
        """Return patches `(B, h, w, C)`."""

    @abstractmethod
    def positions(self, height: int, width: int) -> Tensor:
        """Return positions of a token for all and of each patch, `(1, 1 + height * width, C)`."""

    def tokens(self, image: Tensor) -> Tensor:
        body: Any = self.model
        with torch.autocast(image.device.type, enabled=False):  # bf16 knows 3 digits of a position
            patches = self.patches(image.float())
            count, height, width, _ = patches.shape
            whole = body.cls_token.expand(count, -1, -1)
            tokens = torch.cat([whole, patches.flatten(1, 2)], dim=1)
            tokens = tokens + self.positions(height, width)
        for block in body.blocks:
            tokens = block(tokens)
        cells: Tensor = body.norm(tokens)[:, 1:]
        return cells.transpose(1, 2).reshape(count, -1, height, width)


class ScaleMae(_KnowingEncoder):
    """Scale-MAE, whose positions are in metres on the ground (Reed et al. 2023, arXiv 2212.14532).

    Args:
        body: torchgeo's network, which takes images of any size.
        bands: bands of the image.
        depth: halvings of the image.

    Attributes:
        gsd_m: ground sample distance of the image in metres; NaN until it is told.
    """

    gsd_m: Tensor

    def __init__(self, body: Any, bands: int, depth: int) -> None:  # noqa: ANN401 - torchgeo's
        super().__init__(body, bands, depth, width=body.embed_dim, patch=PATCH)
        body.pos_embed = None  # positions are computed
        self.register_buffer("gsd_m", torch.full((1,), torch.nan))

    def patches(self, image: Tensor) -> Tensor:
        found: Tensor = self.model.get_submodule("patch_embed")(image)
        return found

    def positions(self, height: int, width: int) -> Tensor:
        return sines(height, width, self.gsd_m, _width(self.model))


def sines(height: int, width: int, step: Tensor, channels: int) -> Tensor:
    """Return sines and cosines of each patch's place, 0 for the token for all.

    Args:
        height: rows of patches.
        width: columns of patches.
        step: distance of two patches, `(1,)`.
        channels: channels of a token.
    """
    rows, columns = (step * torch.arange(one, device=step.device) for one in (height, width))
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))
    found: Tensor = get_2d_sincos_pos_embed_from_grid_torch(channels, grid)
    return torch.cat([found.new_zeros(1, channels), found])[None]


def _width(body: Any) -> int:  # noqa: ANN401 - torchgeo's
    width: int = body.embed_dim
    return width


def _scale_mae(bands: int, drop_path: float, **size: int) -> nn.Module:
    """Build Scale-MAE as torchgeo builds the large one, for images of any size."""
    network: nn.Module = torchgeo.ScaleMAE(
        patch_size=PATCH,
        in_chans=bands,
        num_classes=0,
        global_pool="",
        dynamic_img_size=True,
        drop_path_rate=drop_path,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        **size,
    )
    return network


class Dofa(_KnowingEncoder):
    """DOFA, whose first layer is made of the bands' wavelengths (Xiong et al. 2024, 2403.15356).

    Args:
        body: torchgeo's network, without pooling.
        bands: bands of the image.
        depth: halvings of the image.

    Attributes:
        wavelengths_um: central wavelength of each band in micrometres; NaN until it is told.
    """

    wavelengths_um: Tensor

    def __init__(self, body: Any, bands: int, depth: int) -> None:  # noqa: ANN401 - torchgeo's
        super().__init__(body, bands, depth, width=body.embed_dim, patch=PATCH)
        del body.pos_embed  # fixed, so it must not thaw
        body.register_buffer("pos_embed", sines(GRID, GRID, torch.ones(1), body.embed_dim))
        self.register_buffer("wavelengths_um", torch.full((bands,), torch.nan))

    def patches(self, image: Tensor) -> Tensor:
        found: Tensor = self.model.get_submodule("patch_embed")(image, self.wavelengths_um)[0]
        count, _, height, width = image.shape
        return found.reshape(count, height // PATCH, width // PATCH, -1)

    def positions(self, height: int, width: int) -> Tensor:
        fixed = self.model.get_buffer("pos_embed")
        found: Tensor = resample_abs_pos_embed(fixed, [height, width], [GRID, GRID])
        return found
