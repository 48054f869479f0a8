"""The config of a training run: frozen pydantic models that refuse unknown keys.

Every field says in its description what it is and in which unit; the JSON schema and the commented
text of `geohier config show` are made from these descriptions.
"""

from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    BeforeValidator,
    Field,
    PositiveFloat,
    ValidationInfo,
    field_validator,
    model_validator,
)

from geohier.config.auxiliary import AuxiliaryConfig
from geohier.config.bands import BandConfig, BandsInput, read_bands
from geohier.config.chips import AugmentConfig, ChipsConfig
from geohier.config.classes import ClassConfig, ClassesInput, read_classes
from geohier.config.curriculum import CurriculumConfig
from geohier.config.detection import DetectionConfig, Task
from geohier.config.fine_tuning import FineTuningConfig
from geohier.config.model import ModelConfig
from geohier.config.objectives import ObjectivesConfig
from geohier.config.pretraining import PretrainingConfig
from geohier.config.section import Section
from geohier.config.sources import DatesConfig, SplitsConfig, TorchgeoConfig
from geohier.config.training import TrainingConfig
from geohier.config.weights import WeightsConfig
from geohier.geo.bands import NormaliseBy
from geohier.geo.class_tree import ClassTree


class ImageMaskPair(Section):
    """One labelled scene, named by its files."""

    image: Path | tuple[Path, ...]
    """Raster, relative to data.root unless absolute; or a list of rasters of one place, of which
    the first gives the grid."""
    mask: Path
    """Raster of labels on any grid, or vector file of polygons, boxes or points in any CRS,
    relative to data.root unless absolute."""
    id: str | None = None
    """Name of the scene; the image's file name without suffix where null."""


class LabelsConfig(Section):
    """How the labels on disk are to be understood; masks on their images' grids need none of it."""

    column: str = "mask"
    """Column of split.csv or of the catalogue, asset of STAC items, or key of a torchgeo data set
    that names the file with the labels: a raster or a vector file. mask also stands for label."""
    attribute: str | None = None
    """Column of vector labels that holds label values or names of classes; null: all features are
    of the second of two classes."""
    outside: str | None = None
    """Class of the ground that no feature of a vector file covers; null: it is unlabelled."""
    point_radius_m: PositiveFloat | None = None
    """Radius of the discs that stand for points, in metres on the ground."""
    areas: Path | None = None
    """Vector file of polygons in which the labels are complete, relative to data.root unless
    absolute: only there is the ground that no feature covers of the class outside."""

    @model_validator(mode="after")
    def _areas_need_outside(self) -> Self:
        if self.areas is not None and self.outside is None:
            raise ValueError(
                "areas say where labels are complete, but outside, the class of the ground that "
                "no label covers there, is null: set it"
            )
        return self


class DataConfig(Section):
    """Which labelled scenes there are, and what their labels mean."""

    root: Path = Path()
    """Folder of the data. It holds split.csv; or train/ and val/, each with images and masks; or
    it is what the paths of train and val start from. Relative paths start at the config file.
    ${data_root} stands for --set data_root=... or $GEOHIER_DATA."""
    train: tuple[ImageMaskPair, ...] = ()
    """Scenes to train on, as a list of {image, mask}; empty where split.csv or folders say so."""
    val: tuple[ImageMaskPair, ...] = ()
    """Scenes that judge the model and choose nothing, as a list of {image, mask}."""
    catalog: Path | None = None
    """File that lists the scenes instead: CSV or GeoPackage with the columns of split.csv, or a
    STAC catalogue on disk; relative to data.root unless absolute. Paths in it start at its own
    folder; those of a STAC catalogue may not leave that folder or data.root."""
    torchgeo: TorchgeoConfig | None = None
    """Data set that torchgeo knows, whose files are on this machine: {dataset: LoveDA, root: its
    folder, arguments: {scene: [rural]}}. Rasters that are images alone take labels: {dataset, root}
    of another one, and val: names of the scenes that judge, with * and ?."""
    splits: SplitsConfig = SplitsConfig()
    """How split.csv, a catalogue or a torchgeo data set names train and val: the column (or the
    property) and the names that stand for each; scenes of other splits are left out."""
    image_columns: tuple[str, ...] = Field(default=("image",), min_length=1)
    """Columns of split.csv or of the catalogue, assets of STAC items, or keys of a torchgeo data
    set whose rasters together are a scene, such as [image, s1, dem]; the first gives the grid, to
    which the others are brought."""
    dates: DatesConfig | None = None
    """Columns of split.csv, or of another table, {place: location, date: year}, by which the rows
    of a place are a stack of dates for model.hierarchy.time: a labelled row with all earlier ones,
    of whatever split. null: each row is a scene; scene files may hold dates all the same."""
    labels: LabelsConfig = LabelsConfig()
    """How the labels are to be understood."""
    exclude: tuple[str, ...] = ()
    """Ids of scenes that are left out of everything."""
    allow_overlap: bool = False
    """Whether ground that is labelled in train may be labelled in val too, in whatever image."""
    classes: Annotated[
        tuple[ClassConfig, ...], BeforeValidator(read_classes, json_schema_input_type=ClassesInput)
    ] = Field(min_length=2, max_length=255)
    """Classes in the model's order: {0: ground, 1: building}, or {building: [1, 2]}, or
    {building: {values: [1, 2], color: "#d73027"}}."""
    class_tree: dict[str, object] | None = None
    """Groups of classes, in levels: {vegetation: [forest, {crops: [wheat, maize]}], bare: [bare]},
    where each class stands once. Scores are then given at each level, objectives.tree learns all of
    them, and `geohier predict --tree-level 1` maps the groups of the first. null: no groups."""
    ignore: int | tuple[int, ...] | None = 255
    """Label value that means unlabelled, or several, [0, 255]; null: every value is a class."""
    bands: Annotated[
        tuple[BandConfig, ...] | None,
        BeforeValidator(read_bands, json_schema_input_type=BandsInput),
    ] = Field(default=None, min_length=1)
    """Bands that the model reads: names or indexes from 0; indices such as ndvi, ndwi and nbr; and
    formulas, {name: ratio, formula: nir / (red + 1)}. null for all bands of the first scene."""
    normalise: NormaliseBy = "train"
    """train: bands are normalised by mean and deviation of the train scenes; scene: by those of
    the whole scene that is read, in training and prediction alike, so that a darker flight looks
    like the others, but a scene of one thing alone (all water) looks like a mixed one."""
    gsd_m: PositiveFloat | None = None
    """Ground sample distance in metres that scenes are brought to; null keeps each scene's own."""

    @model_validator(mode="after")
    def _no_class_is_ignored(self) -> Self:
        for one in self.classes:
            if both := sorted({*self.ignored} & {*one.values}):
                raise ValueError(
                    f"class {one.name} has the label value {both[0]}, which is also in "
                    "data.ignore: set ignore to null or to another value"
                )
        return self

    @property
    def ignored(self) -> tuple[int, ...]:
        """Label values that mean unlabelled."""
        match self.ignore:
            case None:
                return ()
            case int():
                return (self.ignore,)
        return self.ignore

    @property
    def ground(self) -> int:
        """Index of the class of the ground that no label covers.

        Raises:
            ValueError: there is none.
        """
        return [one.name for one in self.classes].index(str(self.labels.outside))

    @model_validator(mode="after")
    def _labels_name_classes(self) -> Self:
        names = [one.name for one in self.classes]
        outside = self.labels.outside
        if outside is not None and outside not in names:
            raise ValueError(f"labels.outside {outside} is no class: they are {' '.join(names)}")
        return self

    @property
    def tree(self) -> ClassTree | None:
        """The tree of the classes, if they have one.

        Raises:
            ConfigError: class_tree is none of these classes.
        """
        if self.class_tree is None:
            return None
        return ClassTree.of(self.class_tree, [one.name for one in self.classes])

    @field_validator("class_tree")
    @classmethod
    def _tree_is_of_the_classes(
        cls, found: dict[str, object] | None, others: ValidationInfo
    ) -> dict[str, object] | None:
        if found is not None and "classes" in others.data:
            ClassTree.of(found, [one.name for one in others.data["classes"]])
        return found

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("train", "catalog", "torchgeo") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} both say which scenes there are: keep one")
        return self

    @model_validator(mode="after")
    def _dates_are_of_tables(self) -> Self:
        for name in ("train", "torchgeo"):
            if self.dates is not None and getattr(self, name):
                raise ValueError(
                    f"dates are columns of a table, but {name} says which scenes there are: give "
                    "scene files with dates there, or a table in catalog"
                )
        return self

    @model_validator(mode="after")
    def _val_needs_train(self) -> Self:
        if self.val and not self.train:
            raise ValueError("val lists scenes but train lists none: list both, or neither")
        return self


class TrainConfig(Section):
    """Everything that a training run depends on."""

    data: DataConfig
    """Labelled scenes and classes."""
    task: Task = "segmentation"
    """segmentation: a class for each pixel; detection: objects, each a point with a class and a
    score. Every class but data.labels.outside is then one of objects."""
    detection: DetectionConfig = DetectionConfig()
    """How objects are learnt and found."""
    model: ModelConfig = ModelConfig()
    """The network."""
    weights: WeightsConfig = WeightsConfig()
    """What it starts from."""
    pretraining: PretrainingConfig = PretrainingConfig()
    """How a network learns from images alone, by `geohier pretrain`."""
    fine_tuning: FineTuningConfig = FineTuningConfig()
    """How gently the encoder is treated that it starts from."""
    chips: ChipsConfig = ChipsConfig()
    """Samples."""
    curriculum: CurriculumConfig = CurriculumConfig()
    """In which order the samples come."""
    augment: AugmentConfig = AugmentConfig()
    """Random changes to samples."""
    objectives: ObjectivesConfig = ObjectivesConfig()
    """The losses that are summed: a number is the weight of one, or give {weight: 1, ...} with the
    options that stand beside it here."""
    auxiliary: AuxiliaryConfig = AuxiliaryConfig()
    """What the levels of decoder hierarchy learn beside the classes, written as objectives are."""
    training: TrainingConfig = TrainingConfig()
    """How the network is fitted."""

    @property
    def reads_dates(self) -> bool:
        """Whether the network reads a stack of dates."""
        return self.model.hierarchy.time.kind != "none"

    @model_validator(mode="after")
    def _curriculum_has_a_choice(self) -> Self:
        difficulty = self.curriculum.difficulty
        if difficulty is not None and self.chips.sampler == "hard":
            raise ValueError("chips.sampler hard and a curriculum order the same chips: choose one")
        if self.augment.cutmix and (difficulty == "loss" or self.chips.sampler == "hard"):
            raise ValueError(
                "augment.cutmix mixes chips, so that their losses do not tell which places are "
                "hard: set it to 0, or choose another sampler or difficulty"
            )
        if difficulty == "scale" and self.augment.scale[0] == self.augment.scale[1]:
            raise ValueError("curriculum.difficulty scale needs a range in augment.scale")
        return self

    @model_validator(mode="after")
    def _processes_share_batches(self) -> Self:
        size, processes = self.chips.batch_size, self.training.processes
        if size % processes:
            raise ValueError(
                f"chips.batch_size {size} cannot be shared out to training.processes {processes}: "
                "choose a multiple of it"
            )
        if self.augment.cutmix and size == processes > 1:
            raise ValueError(
                f"augment.cutmix has nothing to mix where training.processes {processes} have one "
                "chip each: raise chips.batch_size, or set cutmix to 0"
            )
        return self

    @model_validator(mode="after")
    def _chips_hold_every_level(self) -> Self:
        side, multiple = self.chips.size_px, self.model.side_multiple
        if side % multiple:
            raise ValueError(
                f"chips.size_px {side} is no multiple of {multiple}, the stride of the coarsest "
                "level: change it, or lower model.hierarchy.levels"
            )
        return self

    @model_validator(mode="after")
    def _objects_stand_on_ground(self) -> Self:
        if self.task == "segmentation":
            if self.detection != DetectionConfig():
                raise ValueError(
                    "detection has options, but task is segmentation: set it to detection"
                )
            return self
        if self.data.labels.outside is None:
            raise ValueError(
                "task detection needs data.labels.outside, the class of the ground between "
                "objects: name it"
            )
        if self.training.processes > 1:
            raise ValueError(
                "task detection is learnt within one process, but training.processes is "
                f"{self.training.processes}: set it to 1"
            )
        parts = self.model.hierarchy
        used = {
            "objectives": self.objectives != ObjectivesConfig(),
            "auxiliary": self.auxiliary != AuxiliaryConfig(),
            "data.class_tree": self.data.class_tree is not None,
            "model.hierarchy.memory": parts.memory.slots > 0,
            "model.hierarchy.latents": parts.latents.levels > 0,
        }
        for key, is_used in used.items():
            if is_used:
                raise ValueError(
                    f"{key} is of task segmentation, but task is detection: leave it out"
                )
        return self

    @model_validator(mode="after")
    def _auxiliary_terms_have_a_hierarchy(self) -> Self:
        decoder, told = self.model.decoder, self.auxiliary
        if told.used and decoder != "hierarchy":
            raise ValueError(
                f"auxiliary {next(iter(told.used))} is of decoder hierarchy, but model.decoder is "
                f"{decoder}: set it to hierarchy, or leave auxiliary out"
            )
        if told.weighing == "pcgrad" and self.training.processes > 1:
            raise ValueError(
                "auxiliary.weighing pcgrad works within one process, but training.processes is "
                f"{self.training.processes}: set it to 1, or weigh by uncertainty"
            )
        return self

    @model_validator(mode="after")
    def _levels_of_classes_have_a_tree(self) -> Self:
        if "tree" in self.objectives.used and self.data.class_tree is None:
            raise ValueError(
                "objectives.tree learns levels of classes, but data.class_tree is null: give the "
                "groups, or set the weight to 0"
            )
        return self

    @model_validator(mode="after")
    def _second_goes_with_the_rest(self) -> Self:
        if not self.model.hierarchy.second.bands:
            return self
        if "reconstruction" in self.auxiliary.used:
            raise ValueError(
                "auxiliary.reconstruction rebuilds what all pixels have, which the bands of "
                "model.hierarchy.second need not: leave one of them out"
            )
        if self.data.normalise == "scene":
            raise ValueError(
                "data.normalise scene goes by bands that every scene has, which those of "
                "model.hierarchy.second need not be: set it to train"
            )
        return self

    @model_validator(mode="after")
    def _dates_have_their_part(self) -> Self:
        kind = self.model.hierarchy.time.kind
        if self.data.dates is not None and kind == "none":
            raise ValueError(
                "data.dates makes stacks of dates, but model.hierarchy.time.kind is none: set it "
                "to ltae or convlstm (decoder hierarchy), or leave data.dates out"
            )
        if kind != "none" and self.augment.cutmix:
            raise ValueError(
                "augment.cutmix mixes chips, which a network that reads dates cannot tell apart: "
                "set it to 0"
            )
        if kind != "none" and "reconstruction" in self.auxiliary.used:
            raise ValueError(
                "auxiliary.reconstruction rebuilds one image, but model.hierarchy.time reads "
                "several: leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _named_classes_exist(self) -> Self:
        known = tuple(one.name for one in self.data.classes)
        self.objectives.check_class_names(known)
        for name in self.chips.object_classes or ():
            if name not in known:
                raise ValueError(
                    f"chips.object_classes: {name} is no class: they are {' '.join(known)}"
                )
        return self
