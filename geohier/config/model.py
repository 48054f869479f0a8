"""The config of a network."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from geohier.config.hierarchy import FPN_LEVELS, NORM_GROUPS, HierarchyConfig
from geohier.config.section import Section, Share

type Channels = Annotated[int, Field(ge=1, le=4096)]


class ModelConfig(Section):
    """The network: a decoder over any encoder that timm knows."""

    decoder: Literal["fpn", "unet", "hierarchy"] = "fpn"
    """fpn: feature pyramid of four levels; unet: the usual comparison; hierarchy: a pyramid of the
    parts that `hierarchy` names."""
    encoder: str = "resnet18"
    """Name of the encoder in timm or smp, or torchgeo/ and its name there (docs/backbones.md lists
    what there is); its first weights are random unless `weights` says otherwise."""
    wavelengths_um: tuple[PositiveFloat, ...] | None = None
    """Central wavelength of each band in micrometres, in the order of data.bands, for the encoders
    that read bands by it (torchgeo/dofa_...); null: by the bands' names, such as red or B04."""
    downsample: Literal[1, 2, 4] = 1
    """The network works on pixels this many times as large: chips are drawn at this multiple of
    data.gsd_m; in prediction the image is averaged over squares and the scores are enlarged."""
    encoder_depth: Annotated[int, Field(ge=3, le=5)] = 5
    """Halvings of the image in the encoder: the coarsest stride is 2 ** depth pixels. The four
    levels of an fpn have strides of 4 to 32 px at depth 5, 2 to 16 px at depth 4."""
    pyramid_channels: Channels = 128
    """Channels of each pyramid level (fpn, hierarchy)."""
    segmentation_channels: Channels = 64
    """Channels in which the levels are merged (fpn, hierarchy)."""
    dropout: Share = 0.1
    """Share of channels dropped before the last layer while training (fpn, hierarchy)."""
    drop_path: Share = 0.0
    """Chance of the encoder's last block to be skipped while training; earlier ones less. Of
    encoders that have such paths: residual networks and transformers of timm."""
    first_weights: Literal["he", "unit_pyramid"] = "he"
    """Weights that nothing else gives. he: drawn as He et al. have it; each level of an fpn enters
    the merge with unit variance behind its norm. unit_pyramid: the levels of an fpn are also
    weighed on noise, so that each brings an equal share of the finest one's unit variance."""
    hierarchy: HierarchyConfig = HierarchyConfig()
    """The parts of decoder hierarchy; fpn and unet have none of them."""

    @model_validator(mode="after")
    def _wavelengths_are_asked_for(self) -> Self:
        if self.wavelengths_um is not None and not self.encoder.startswith("torchgeo/dofa"):
            raise ValueError(
                f"wavelengths_um are for encoders that read bands by them (torchgeo/dofa_...), not "
                f"for {self.encoder}: leave them out"
            )
        return self

    @property
    def side_multiple(self) -> int:
        """What the sides of images are multiples of, in the network's pixels: of every stride."""
        coarsest = self.encoder_depth
        if self.decoder == "hierarchy":
            coarsest = max(coarsest, self.encoder_depth + self.hierarchy.levels - FPN_LEVELS)
        return max(32, 1 << coarsest)

    @model_validator(mode="after")
    def _only_a_pyramid_is_weighed(self) -> Self:
        if self.first_weights == "unit_pyramid" and self.decoder != "fpn":
            raise ValueError(
                f"first_weights unit_pyramid weighs the levels of an fpn, but decoder is "
                f"{self.decoder}: set it to he"
            )
        return self

    @model_validator(mode="after")
    def _only_a_hierarchy_has_parts(self) -> Self:
        if self.decoder != "hierarchy" and self.hierarchy != HierarchyConfig():
            raise ValueError(
                f"hierarchy has parts for decoder hierarchy, but decoder is {self.decoder}: set it "
                "to hierarchy, or leave the parts out"
            )
        return self

    @model_validator(mode="after")
    def _strided_levels_are_extra(self) -> Self:
        parts = self.hierarchy
        if parts.extra_levels == "conv" and parts.levels <= FPN_LEVELS:
            raise ValueError(
                f"hierarchy.extra_levels is of levels beyond {FPN_LEVELS}, which the encoder has "
                f"none of, but levels is {parts.levels}: raise it, or leave extra_levels out"
            )
        return self

    @model_validator(mode="after")
    def _groups_divide_channels(self) -> Self:
        for key in ("pyramid_channels", "segmentation_channels"):
            if self.hierarchy.norm == "group" and getattr(self, key) % NORM_GROUPS:
                raise ValueError(
                    f"{key} {getattr(self, key)} is no multiple of {NORM_GROUPS}, which "
                    "hierarchy.norm group needs"
                )
        return self
