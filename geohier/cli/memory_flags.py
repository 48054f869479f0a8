"""What a user may say about scenes that a model's memory is written from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geohier.cli.prediction_flags import (
    Bands,
    Device,
    ForceGsd,
    ForceScale,
    MemoryGb,
    SceneFlags,
    parse_list,
)

if TYPE_CHECKING:
    from geohier.inference.options import PredictOptions


@dataclass(frozen=True, kw_only=True)
class MemoryFlags(SceneFlags):
    """What a user may say about scenes that a model's memory is written from."""

    bands: Bands = None
    device: Device = "auto"
    force_scale: ForceScale = False
    force_gsd: ForceGsd = False
    memory_gb: MemoryGb = None

    @property
    def of_files(self) -> tuple[str, ...]:
        """Options that were given and say how files are opened that a user names."""
        names = ("mosaic", "nodata", "max_pixels", "allow_remote", "allow_ungeoreferenced")
        given = (name for name in names if getattr(self, name) != getattr(type(self), name))
        return tuple(name.replace("_", "-") for name in given)

    def predict_options(self) -> "PredictOptions":
        """Return how scenes are read."""
        from geohier.inference.options import PredictOptions

        return PredictOptions(
            aoi=self.aoi,
            bands=None if self.bands is None else parse_list(self.bands),
            device=self.device,
            force_scale=self.force_scale,
            force_gsd=self.force_gsd,
            memory_gb=self.memory_gb,
        )
