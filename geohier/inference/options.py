"""What a user may choose about a prediction; what is left open follows model and machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from geohier.efficiency.precision import Precision
from geohier.errors import ConfigError
from geohier.inference.exits import EarlyExits
from geohier.inference.tile_choice import Blend
from geohier.inference.tree_level import mapped_classes
from geohier.models.card import ModelCard
from geohier.raster.layers import CONTINUOUS, LABELS
from geohier.raster.source import AlphaRule, ValidRule

LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOptions:
    """Choices for one prediction; the command line's options have the same names.

    Args:
        confidence: also write the probability of the class that won.
        entropy: also write the entropy of the probabilities, divided by ln K.
        probabilities: also write the probability of each class.
        tree_level: map the groups of this level of the tree of classes, 1 is the coarsest; their
            probabilities are the sums of those of their classes. None maps the classes.
        thresholds: probability from which a class, by name, is chosen whatever the others say.
        aoi: vector file; pixels outside its polygons are nodata and cost nothing.
        size: side of a tile, in pixels; None lets the model's margin decide.
        overlap: pixels shared by neighbouring tiles; None lets the model's margin decide.
        blend: `taper` hands over along a ramp, `crop` cuts in the middle of the overlap.
        batch_size: tiles that go through the model together; None lets the device decide.
        device: `auto`, `cuda`, `mps` or `cpu`.
        precision: `auto`, `bf16` or `fp32`.
        exits: coarser looks at a tile that may stand for its answer; None looks at all in full.
        symmetric: average over the eight flips and rotations of each tile (`--tta d4`).
        sample: seed of the map that is drawn by a model with latents; None goes by their means.
        bands: bands of the scene in the order of the card's `bands.inputs`, which are those that
            the model reads and then those that only its formulas name; by name or number from 1.
        valid: a pixel is valid if `all` or `any` of the bands that are read are.
        alpha: whether a band is alpha: `auto`, `band` or `none`.
        force_scale: accept units, scale and offset that differ from the model's.
        force_gsd: accept a ground sample distance that differs from the model's.
        memory_gb: memory that the work may take; wider rasters are cut into swaths of columns.
            None takes a quarter of what the machine, or the container, has.
        creation: creation options of the COG driver, such as `{"COMPRESS": "LZW"}`.
        restart: throw away the parts of another run of this output.
        overwrite: replace a finished output of another run, once the new one is verified.
        strict: stop at the first block that cannot be read, where it would count as nodata.
    """

    confidence: bool = False
    entropy: bool = False
    probabilities: bool = False
    tree_level: int | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    aoi: Path | None = None
    size: int | None = None
    overlap: int | None = None
    blend: Blend = "taper"
    batch_size: int | None = None
    device: str = "auto"
    precision: Precision = "auto"
    exits: EarlyExits | None = None
    symmetric: bool = False
    sample: int | None = None
    bands: tuple[str, ...] | None = None
    valid: ValidRule = "all"
    alpha: AlphaRule = "auto"
    force_scale: bool = False
    force_gsd: bool = False
    memory_gb: float | None = None
    creation: Mapping[str, str] = field(default_factory=dict)
    restart: bool = False
    overwrite: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise ConfigError(f"a batch needs 1 tile or more, found {self.batch_size}")
        if self.memory_gb is not None and not 0 < self.memory_gb < float("inf"):
            raise ConfigError(f"memory must be some GiB, found {self.memory_gb:g}")
        if self.bands is not None and not all(self.bands):
            raise ConfigError("a band without a name: give names or numbers, as in 4,3,2")
        self._check_sample()
        if self.exits is not None and self.sample is not None:
            raise ConfigError("sample draws at one resolution: leave out the sample or the exits")
        for name, threshold in self.thresholds.items():
            if not 0 <= threshold <= 1:
                raise ConfigError(f"threshold {name}={threshold:g} is not from 0 to 1")

    def _check_sample(self) -> None:
        if self.sample is None:
            return
        if not 0 <= self.sample <= LARGEST_SEED:
            raise ConfigError(f"sample {self.sample} is no seed: give one from 0 to {LARGEST_SEED}")
        if self.symmetric:
            raise ConfigError(
                "sample draws one map, and --tta d4 averages eight of them: leave one of them out"
            )

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that are written."""
        return (LABELS, *(name for name in CONTINUOUS if getattr(self, name)))

    def thresholds_by_index(self, card: ModelCard) -> dict[int, float]:
        """Return the thresholds by the number of their class, or of their group.

        Raises:
            ConfigError: the map has no class of that name.
        """
        names = [label.name for label in mapped_classes(card, self.tree_level)]
        for name in self.thresholds:
            if name not in names:
                of = "the model" if self.tree_level is None else f"tree level {self.tree_level}"
                raise ConfigError(f"no class {name!r} in {of}, which has {', '.join(names)}")
        return {names.index(name): value for name, value in self.thresholds.items()}
