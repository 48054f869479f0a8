"""The model card: what a model reads, what it answers, and where it may be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from geohier.errors import ConfigError
from geohier.geo.bands import BandSet, NormaliseBy
from geohier.geo.class_tree import ClassTree


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassLabel:
    """One class: its name, its colour, and the label values that stand for it in training masks."""

    name: str
    color: str
    """`#rrggbb`"""
    label_values: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PointRule:
    """How objects are read off the probabilities of their middles.

    Args:
        ground: index of the class that is no object.
        thresholds: of each other class, by name, the probability from which it is an object: that
            of the best F1 on the choose blocks.
        apart_px: smallest distance of two objects of a class, in pixels of the image.
        smooth_px: standard deviation of the smoothing before peaks are sought, likewise.
        match_m: how near to a true object, in metres, one counted as right.
    """

    ground: int
    thresholds: Mapping[str, float]
    apart_px: float
    smooth_px: float
    match_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a model reads, what it answers, and where it may be trusted.

    Args:
        bands: bands, in the model's order, with the statistics that normalise them.
        classes: channel `k` of the model and value `k` of a class raster mean `classes[k]`.
        tree: groups of the classes, if they have any.
        points: how objects are found, if the model finds any; its probabilities are then those of
            a pixel to be the middle of one.
        stride: tile offsets and sizes are multiples of it, in pixels.
        strides: stride of each pyramid level, finest first; empty where there is no pyramid.
        gsd_m: smallest and largest ground sample distance of the training images, in metres.
        scale: smallest and largest factor by which objects were shrunk or grown in training, as if
            the GSD varied; None where it is not known.
        tile_size_px: size of the chips it was trained on.
        margins_px: radius, in pixels, that holds the given per cent of the effective receptive
            field, such as `{90: 40, 95: 56, 99: 110}`; empty where it was not measured.
        tile_dependent: whether an answer depends on pixels far beyond the margin.
        normalise: whose mean and deviation normalise a scene: those of `bands`, or its own.
        scaled: whether the files' scale and offset are applied before normalising.
        trained_on: scenes, splits and hashes of the training data.
        scores: scores by name of the data they were measured on.
        versions: libraries that made the model.
        dates: it reads a stack of dates, all with these bands; the most that it was trained on.
            None: it reads one image.
        may_miss: names of its last bands, of a second sensor, that a pixel or a scene may lack.
    """

    bands: BandSet
    classes: tuple[ClassLabel, ...]
    tree: ClassTree | None = None
    points: PointRule | None = None
    stride: int = 1
    strides: tuple[int, ...] = ()
    gsd_m: tuple[float, float] | None = None
    scale: tuple[float, float] | None = None
    tile_size_px: int | None = None
    margins_px: Mapping[int, int] = field(default_factory=dict)
    tile_dependent: bool = False
    normalise: NormaliseBy = "train"
    scaled: bool = False
    trained_on: Mapping[str, object] = field(default_factory=dict)
    scores: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    dates: int | None = None
    may_miss: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise ConfigError(f"a model needs two classes or more, found {len(self.classes)}")
        if self.stride < 1:
            raise ConfigError(f"a stride must be 1 px or more, found {self.stride}")
        if self.scale is not None and not 0 < self.scale[0] <= self.scale[1] < float("inf"):
            raise ConfigError(f"a scale rises from above 0, found {self.scale}")
        names = tuple(one.name for one in self.classes)
        if self.points is not None:
            objects = {*names[: self.points.ground], *names[self.points.ground + 1 :]}
            if objects != {*self.points.thresholds}:
                raise ConfigError(
                    f"objects are of {' '.join(sorted(objects))}, but thresholds are of "
                    f"{' '.join(sorted(self.points.thresholds))}: give each class its own"
                )
        if self.tree is not None and self.tree.classes != names:
            raise ConfigError(
                f"the classes are {' '.join(names)}, those of their tree are "
                f"{' '.join(self.tree.classes)}: they must be the same, in the same order"
            )

    @property
    def always_there(self) -> BandSet:
        """Bands that every scene has."""
        return BandSet(self.bands.bands[: len(self.bands) - len(self.may_miss)])
