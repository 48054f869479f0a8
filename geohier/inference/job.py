"""One prediction, prepared: a scene and a model that fit each other, and the plan of the work."""

from dataclasses import dataclass

from geohier.inference.contract import (
    BandMatch,
    check_encoding,
    check_gsd,
    check_values,
    match_scene,
)
from geohier.inference.options import PredictOptions
from geohier.inference.plan import WorkPlan, plan_work
from geohier.inference.predictor import Predictor
from geohier.inference.reduction import Reduction
from geohier.models.card import ModelCard
from geohier.raster.aoi import AreaOfInterest, read_area
from geohier.raster.layers import (
    Layer,
    confidence_layer,
    entropy_layer,
    labels_layer,
    probabilities_layer,
)
from geohier.raster.source import PixelReader, PixelSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything that a prediction needs, checked; nothing is written yet."""

    source: PixelSource
    reader: PixelReader
    match: BandMatch
    predictor: Predictor
    options: PredictOptions
    plan: WorkPlan
    reduction: Reduction
    layers: tuple[Layer, ...]
    area: AreaOfInterest | None
    notes: tuple[str, ...]


def prepare(source: PixelSource, predictor: Predictor, options: PredictOptions) -> Job:
    """Check that scene, model and options fit each other, and plan the work.

    Raises:
        ModelError: the scene's bands, units or ground sample distance are not the model's.
        ConfigError: the options do not fit each other or the model.
        InputError: the area of interest cannot be used.
    """
    card = predictor.card
    match = match_scene(source, card, options.bands)
    reader = source.select(match.indexes, valid=options.valid, alpha=options.alpha)
    gsd_notes = () if options.force_gsd else check_gsd(source, card)
    if not options.force_scale:
        check_encoding(source, match, card)
        check_values(reader, source, match, card)
    plan = plan_work(reader, card, options)
    return Job(
        source=source,
        reader=reader,
        match=match,
        predictor=predictor,
        options=options,
        plan=plan,
        reduction=Reduction(
            classes=len(card.classes),
            layers=options.layers,
            thresholds=options.thresholds_by_index(card),
        ),
        layers=tuple(_layer(name, card) for name in options.layers),
        area=None if options.aoi is None else read_area(options.aoi, source.geobox),
        notes=(*match.notes, *reader.notes, *gsd_notes, *plan.notes),
    )


def _layer(name: str, card: ModelCard) -> Layer:
    names = [label.name for label in card.classes]
    match name:
        case "labels":
            return labels_layer(names, [label.color for label in card.classes])
        case "confidence":
            return confidence_layer()
        case "entropy":
            return entropy_layer()
        case _:
            return probabilities_layer(names)
