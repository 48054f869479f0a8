"""One prediction, prepared: a scene and a model that fit each other, and the plan of the work."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from odc.geo.geobox import GeoBox

from geohier.data.normalise import own_statistics
from geohier.efficiency.precision import choose_device
from geohier.errors import ConfigError
from geohier.inference.borrowing import borrowed
from geohier.inference.cells import geobox_of_cells
from geohier.inference.contract import (
    BandMatch,
    check_encoding,
    check_gsd,
    check_values,
    match_scene,
)
from geohier.inference.exits import check_exits
from geohier.inference.feature_reduction import FeatureReduction
from geohier.inference.features import Features
from geohier.inference.middles import MiddlesReduction, objects_of
from geohier.inference.options import PredictOptions
from geohier.inference.plan import WorkPlan, plan_work
from geohier.inference.predictor import Predictor
from geohier.inference.reduction import Reduction
from geohier.inference.sampling import sampling
from geohier.inference.scoring import Scorer
from geohier.inference.tile_choice import choose_grid
from geohier.inference.tree_level import mapped_classes, tree_level
from geohier.models.card import ModelCard
from geohier.raster.aoi import AreaOfInterest, read_area
from geohier.raster.cog import check_crs, creation_options
from geohier.raster.layers import LABELS, Layer, features_layer, layers_of, middles_layer
from geohier.raster.moments import moments_of_all
from geohier.raster.source import PixelReader, PixelSource

LARGE_PX = 1 << 20
"""Side of a raster on which every tiling works that works on some raster."""

TOO_LITTLE = (
    "the model normalises by the scene's own statistics, but the scene has too few valid pixels or "
    "a band of one value: those of the train scenes are used"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything that a prediction needs, checked; nothing is written yet.

    The plan is in pixels of the scene, what is written in those of the result (`geobox`).
    """

    source: PixelSource
    reader: PixelReader
    match: BandMatch
    predictor: Predictor
    options: PredictOptions
    plan: WorkPlan
    reduction: Reduction | FeatureReduction | MiddlesReduction
    layers: tuple[Layer, ...]
    area: AreaOfInterest | None
    notes: tuple[str, ...]

    @property
    def geobox(self) -> GeoBox:
        """Grid of the result: the scene's own, or that of the cells of its features."""
        box, stride = self.source.geobox, self.predictor.stride
        return box if stride == 1 else geobox_of_cells(box, stride)

    @contextmanager
    def scorer(self) -> Iterator[Scorer]:
        """Have the model score on the plan's device; afterwards the module is as it was."""
        with borrowed(self.predictor.module):
            yield Scorer(
                self.predictor.module,
                self.predictor.card,
                features=self.predictor.features,
                device=torch.device(self.plan.device),
                precision=self.plan.precision,
                symmetric=self.options.symmetric,
                channels_last=self.predictor.channels_last,
                dates=self.match.choice.dates,
            )


def check_options(options: PredictOptions, predictor: Predictor) -> None:
    """Check what no scene could mend, before any is opened.

    Raises:
        ConfigError: an option is wrong, or not for this model.
        ResourceError: the device is not on this machine.
    """
    card, features = predictor.card, predictor.features
    sampling(predictor, options)
    choose_device(options.device)
    creation_options(options.creation)
    _reduction(options, card, features)
    _exit_notes(options, card)
    choose_grid(
        card,
        height=LARGE_PX,
        width=LARGE_PX,
        size=options.size,
        overlap=options.overlap,
        blend=options.blend,
        cell=1 if features is None else features.stride,
    )


def prepare(source: PixelSource, predictor: Predictor, options: PredictOptions) -> Job:
    """Check that scene, model and options fit each other, and plan the work.

    Raises:
        ModelError: the scene's bands, units or ground sample distance are not the model's.
        ConfigError: the options do not fit each other or the model.
        InputError: the area of interest cannot be used, or no GeoTIFF can hold the scene's CRS.
    """
    card, predictor = predictor.card, sampling(predictor, options)
    check_crs(source.geobox)
    match = match_scene(source, card, options.bands)
    source = match.source
    reader, *apart = (
        one.reader(source, valid=options.valid, alpha=options.alpha)
        for one in dict.fromkeys((match.choice, *match.choice.by_date()))
    )
    apart = apart or [reader]
    exit_notes = _exit_notes(options, card)
    gsd_notes = () if options.force_gsd else check_gsd(source, card)
    if not options.force_scale:
        check_encoding(source, match, card)
        check_values(apart, source, match, card)
    predictor, own_notes = _normalised_by(predictor, apart)
    plan = plan_work(reader, card, options, predictor.features, len(match.choice.by_date()))
    return Job(
        source=source,
        reader=reader,
        match=match,
        predictor=predictor,
        options=options,
        plan=plan,
        reduction=_reduction(options, card, predictor.features),
        layers=_layers(options, card, predictor.features),
        area=None if options.aoi is None else read_area(options.aoi, source.geobox),
        notes=(*match.notes, *reader.notes, *gsd_notes, *own_notes, *exit_notes, *plan.notes),
    )


def _exit_notes(options: PredictOptions, card: ModelCard) -> tuple[str, ...]:
    if options.exits is None:
        return ()
    return check_exits(options.exits, card, any_gsd=options.force_gsd)


def _normalised_by(
    predictor: Predictor, readers: Sequence[PixelReader]
) -> tuple[Predictor, tuple[str, ...]]:
    """Return a predictor that normalises by the scene's own statistics, if its card asks for it."""
    card = predictor.card
    if card.normalise == "train":
        return predictor, ()
    bands = own_statistics(card.bands, moments_of_all(readers))
    if bands is card.bands:
        return predictor, (TOO_LITTLE,)
    # scale and offset move a scene's mean and deviation along with its pixels
    return replace(predictor, card=replace(card, bands=bands, scaled=False)), ()


def _layers(
    options: PredictOptions, card: ModelCard, features: Features | None
) -> tuple[Layer, ...]:
    if features is not None:
        return (features_layer(features.names),)
    if card.points is not None:
        return (middles_layer([card.classes[at].name for at in objects_of(card)]),)
    shown = mapped_classes(card, options.tree_level)
    names, colors = [one.name for one in shown], [one.color for one in shown]
    return layers_of(options.layers, names, colors)


def _reduction(
    options: PredictOptions, card: ModelCard, features: Features | None
) -> Reduction | FeatureReduction | MiddlesReduction:
    if features is not None:
        chosen = options.tree_level is not None or options.exits is not None
        if options.layers != (LABELS,) or options.thresholds or chosen:
            raise ConfigError(
                "features have no classes: leave out probabilities, confidence, entropy, "
                "thresholds, the level of a tree and exits"
            )
        return FeatureReduction(features=features.channels)
    if card.points is not None:
        chosen = options.tree_level is not None or options.exits is not None
        if options.layers != (LABELS,) or chosen:
            raise ConfigError(
                "the model finds objects: leave out probabilities, confidence, entropy, the level "
                "of a tree and exits"
            )
        if card.points.ground in options.thresholds_by_index(card):
            raise ConfigError(
                f"{card.classes[card.points.ground].name} is the ground between objects: give "
                "thresholds of objects"
            )
        return MiddlesReduction(objects=objects_of(card))
    level = tree_level(card, options.tree_level)
    return Reduction(
        classes=len(card.classes if level is None else level.names),
        group_of=None if level is None else level.group_of,
        layers=options.layers,
        thresholds=options.thresholds_by_index(card),
    )
