"""What `check_data` tells of labelled scenes, for people and for programs."""

from dataclasses import asdict, dataclass
from typing import Any

from geohier.config.classes import ClassConfig
from geohier.data.catalog import Split
from geohier.data.labelled import LabelledPixels
from geohier.data.leakage import Nearness
from geohier.errors import InputError
from geohier.studies.data_findings import Finding
from geohier.studies.scale_advice import ScaleAdvice
from geohier.studies.scene_survey import SceneSurvey

PERCENTILES = (10, 50, 90)


@dataclass(frozen=True, slots=True, kw_only=True)
class BandStatistics:
    """Values of one band in one split, in file units; low and high are exact, the rest sampled."""

    name: str
    dtype: str
    mean: float
    std: float
    percentiles: tuple[float, float, float]
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitReport:
    """What the scenes of one split hold together.

    Args:
        scenes: number of scenes.
        labelled_scenes: those with a labelled pixel.
        pixels: pixels that belong to the split.
        valid: those that are valid in all bands.
        class_px: labelled pixels of each class, by its name.
        bands: statistics of each band; empty without a valid pixel.
    """

    scenes: int
    labelled_scenes: int
    pixels: int
    valid: int
    class_px: dict[str, int]
    bands: tuple[BandStatistics, ...]

    @property
    def labelled(self) -> int:
        """Labelled pixels."""
        return sum(self.class_px.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectReport:
    """How large the objects of one class are, all splits together.

    Args:
        count: connected areas of the class.
        one_pixel: those of a single pixel of their scene.
        diameters_m: 10th, 50th and 90th percentile of the equivalent diameter on the ground; None
            where a scene has no CRS.
        diameters_px: the same in pixels at data.gsd_m, or the scenes' own.
        width_px: mean length of the runs of pixels of the class, in such pixels.
        level_shares: share of the class's area in objects that each level of the config's network
            sees best, finest first.
    """

    count: int
    one_pixel: int
    diameters_m: tuple[float, ...] | None
    diameters_px: tuple[float, ...]
    width_px: float
    level_shares: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """What `check_data` found.

    Args:
        splits: by their name, those that have scenes.
        objects: by class, those that are there.
        gsd_m: GSD at which sizes in pixels are given: data.gsd_m, or the scenes' median.
        strides: levels of the config's network, in pixels at that GSD.
        advice: what would suit the objects.
        nearnesses: scenes of two splits whose labels overlap, are close, or share an image.
        findings: what a user should know, errors first.
        views: scenes that can be drawn, each with what was found in it.
        classes: the classes of their labels.
    """

    splits: dict[Split, SplitReport]
    objects: dict[str, ObjectReport]
    gsd_m: float | None
    strides: tuple[int, ...]
    advice: ScaleAdvice | None
    nearnesses: tuple[Nearness, ...]
    findings: tuple[Finding, ...]
    views: tuple[tuple[LabelledPixels, SceneSurvey], ...]
    classes: tuple[ClassConfig, ...]

    @property
    def exit_code(self) -> int:
        """The code of the command line: 0, or that of data that cannot be used."""
        return InputError.exit_code if any(one.is_error for one in self.findings) else 0

    def to_json(self) -> dict[str, Any]:
        """Return plain values; errors and notes apart."""
        lines = {
            kind: [one.text for one in self.findings if one.is_error == is_error]
            for kind, is_error in (("errors", True), ("notes", False))
        }
        return {
            "splits": {name: asdict(one) for name, one in self.splits.items()},
            "objects": {name: asdict(one) for name, one in self.objects.items()},
            "gsd_m": self.gsd_m,
            "strides_px": self.strides,
            "advice": None if self.advice is None else asdict(self.advice),
            "nearnesses": [asdict(one) for one in self.nearnesses],
            **lines,
        }
