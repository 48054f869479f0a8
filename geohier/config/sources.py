"""Where labelled scenes may come from besides a folder: names of splits, torchgeo's data sets."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from geohier.config.section import Section

type Names = tuple[str | int, ...]
type Plain = str | int | float | bool


class SplitsConfig(Section):
    """How a catalogue says which split a scene belongs to; scenes of other splits are left out."""

    column: Annotated[str, Field(min_length=1)] = "split"
    """Column of a table, or property of STAC items, that holds the name of the split. Items without
    it belong to the split that their collection, or the catalogue above it, is named after."""
    train: Names = ("train", "training")
    """Names of the splits that are learned from."""
    val: Names = ("val", "valid", "validate", "validation")
    """Names of the splits that judge the model and choose nothing."""

    @model_validator(mode="after")
    def _each_name_is_one_split(self) -> Self:
        both = sorted({str(name) for name in self.train} & {str(name) for name in self.val})
        if both:
            raise ValueError(f"{' '.join(both)} is a name of train and of val: keep it in one")
        return self


class TorchgeoSource(Section):
    """A torchgeo data set on this machine."""

    dataset: str
    """Name of the class in torchgeo.datasets, such as LoveDA, LandCoverAI or NAIP."""
    root: Path = Path()
    """Its folder, relative to data.root unless absolute."""
    arguments: dict[str, Plain | tuple[Plain, ...]] = Field(default_factory=dict)
    """Arguments of the class that choose among its files, such as {scene: [rural]}."""


class TorchgeoConfig(TorchgeoSource):
    """A torchgeo data set whose images, and labels too unless another one has them, are files."""

    labels: TorchgeoSource | None = None
    """Data set of the labels, such as {dataset: CDL, root: cdl}, where that of the images has none:
    each image takes the label raster that lies over it."""
    val: tuple[str, ...] = ()
    """Names of the scenes that judge, with * and ?, for data sets without splits of their own."""


class DatesConfig(Section):
    """Which rows of a table are images of one place: a scene is a row with the earlier ones."""

    place: Annotated[str, Field(min_length=1)] = "place"
    """Column that names the place."""
    date: Annotated[str, Field(min_length=1)] = "date"
    """Column of the date: 2016-06-30; 2016-06 or 2016 of a composite."""
    least: PositiveInt = 1
    """Fewest dates of a place by the newest labelled one; scenes with fewer are left out."""
    most: PositiveInt | None = None
    """Most dates of a scene, of which the newest are kept; null: all."""
