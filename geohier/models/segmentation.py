"""From a config to a network that gives each pixel one score per class."""

from torch import Tensor, nn
from torch.nn import functional

from geohier.config.hierarchy import FPN_LEVELS, NORM_GROUPS
from geohier.config.model import ModelConfig
from geohier.errors import ConfigError
from geohier.geo.levels import LevelLadder
from geohier.models import backbone
from geohier.models.encoders import build_encoder, check_encoder
from geohier.models.hierarchy import HierarchicalSegmenter, depth_in_use


def build_segmenter(config: ModelConfig, bands: int, classes: int) -> nn.Module:
    """Build the network of a config, with random weights.

    Every group normalisation is replaced by batch normalisation: in prediction its statistics are
    fixed, so the answer at a pixel does not depend on the rest of the tile. A hierarchy that is to
    have groups keeps them.

    This is what trains, on chips at the network's own resolution; `at_image_resolution` makes it
    what predicts.

    Shape:
        - image: `(B, bands, H, W)`, normalised, sides divisible by the coarsest stride
        - logits: `(B, classes, H, W)`

    Raises:
        ConfigError: the encoder is unknown, or does not give the levels that the decoder merges.
    """
    check_encoder(config.encoder)
    if config.decoder == "fpn" and config.segmentation_channels % NORM_GROUPS:
        raise ConfigError(
            f"model.segmentation_channels: {config.segmentation_channels} is no multiple of "
            f"{NORM_GROUPS}: give 32, 64, 96, 128, ..."
        )
    try:
        network = _build(config, bands, classes)
        strides = _strides(network, bands)
    except Exception as error:  # each encoder refuses in its own way what it cannot do
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise ConfigError(
            f"model.encoder: {config.encoder} cannot be used with decoder {config.decoder} at "
            f"depth {config.encoder_depth}: {reason}"
        ) from error
    if config.decoder == "fpn" and len(strides) < FPN_LEVELS:
        raise ConfigError(
            f"model.encoder: {config.encoder} has levels of strides {strides} px at depth "
            f"{config.encoder_depth}, an fpn needs {FPN_LEVELS}: use encoder_depth 5"
        )
    return network


def at_image_resolution(network: nn.Module, config: ModelConfig) -> nn.Module:
    """Return what predicts: a network that works on coarser pixels, made to fit the image's own."""
    return Downsampled(network, config.downsample) if config.downsample > 1 else network


def _build(config: ModelConfig, bands: int, classes: int) -> nn.Module:
    match config.decoder:
        case "fpn":
            return fix_statistics(backbone.build_fpn(config, bands, classes))
        case "unet":
            return fix_statistics(backbone.build_unet(config, bands, classes))
        case "hierarchy":
            own = bands - len(config.hierarchy.second.bands)
            if own < 1:
                raise ConfigError(
                    f"model.hierarchy.second has {bands - own} of {bands} bands: the first sensor "
                    "needs one too"
                )
            return HierarchicalSegmenter(_encoder(config, own), config, classes)


def _encoder(config: ModelConfig, bands: int) -> nn.Module:
    return fix_statistics(build_encoder(config, bands, depth_in_use(config)))


class Downsampled(nn.Module):
    """A network that looks at a coarser image: means over squares of `factor` pixels a side.

    Where objects span many pixels, their shape survives this and the work shrinks by the square of
    the factor. Scores are enlarged bilinearly, which draws edges finer than enlarged labels would.

    Args:
        network: gives scores `(B, K, h, w)` for an image `(B, C, h, w)`.
        factor: pixels of the image per pixel that the network sees.

    Shape:
        - image: `(B, C, H, W)`, sides divisible by `factor`; what follows is handed on
        - logits: `(B, K, H, W)`
    """

    def __init__(self, network: nn.Module, factor: int) -> None:
        super().__init__()
        self.network = network
        self.factor = factor

    def forward(self, image: Tensor, *more: object) -> Tensor:
        scores: Tensor = self.network(self.shrunk(image), *more)
        return functional.interpolate(scores, scale_factor=self.factor, mode="bilinear")

    def shrunk(self, image: Tensor) -> Tensor:
        """Return what the network sees of an image."""
        if isinstance(self.network, HierarchicalSegmenter):
            return self.network.shrunk(image, self.factor)
        return functional.avg_pool2d(image, self.factor)


def fix_statistics(network: nn.Module) -> nn.Module:
    """Replace every group normalisation by a batch normalisation of the same channels.

    Subclasses, which may hold an activation too, stay as they are: measuring shows what they do.
    """
    for name, child in network.named_children():
        if type(child) is nn.GroupNorm:
            setattr(network, name, nn.BatchNorm2d(child.num_channels, eps=child.eps))
        else:
            fix_statistics(child)
    return network


def level_ladder(network: nn.Module, bands: int) -> LevelLadder:
    """Return the levels that a network of `build_segmenter` for so many bands merges."""
    return LevelLadder(strides=_strides(network, bands))


def _strides(network: nn.Module, bands: int) -> tuple[int, ...]:
    if isinstance(network, HierarchicalSegmenter):
        return network.strides
    return backbone.level_strides(network, bands)
