"""The card of a network that was fitted: what it reads, answers, saw and scores."""

from typing import Any

from torch import nn

from geohier.config.load import config_hash
from geohier.config.schema import TrainConfig
from geohier.data.chips import choose_chips
from geohier.data.prepare import TrainingData
from geohier.evaluation.peaks import SMOOTH_PX
from geohier.layers.dates import bands_alone
from geohier.models.card import ClassLabel, ModelCard, PointRule
from geohier.models.dated import OfDates
from geohier.models.pyramid_neck import has_plain_transformer
from geohier.models.receptive_field import measure_receptive_field
from geohier.models.segmentation import level_ladder
from geohier.models.transfer import Transfer
from geohier.training.log import Row
from geohier.training.run_folder import versions
from geohier.training.seeding import FIELD, derived_seed

UNSEEN = 0.5
"""Threshold of a class that the choose blocks do not hold."""

REAL_CHIPS = 4
"""Chips of the choose blocks with which the receptive field is measured."""


def describe(
    network: nn.Module,
    config: TrainConfig,
    data: TrainingData,
    rows: list[Row],
    best: int,
    transfer: Transfer | None = None,
) -> ModelCard:
    """Return the card of a network that was fitted; its receptive field is measured here.

    The card counts in pixels of the image, of which the network's may be a multiple. A network that
    attends to the whole tile is measured on tiles of the chips' size, for which it was made.
    """
    larger = config.model.downsample
    ladder = level_ladder(network, len(data.bands))
    chips = choose_chips(data, config)
    sees_all = has_plain_transformer(network)
    as_trained: dict[str, Any] = {"largest_px": config.chips.size_px} if sees_all else {}
    images = [chips[at]["image"] for at in range(min(REAL_CHIPS, len(chips)))]
    seen, bands = network, len(data.bands)
    if data.most_dates is not None:
        seen, bands = OfDates(network, data.most_dates), data.most_dates * bands
        images = [bands_alone(one, data.most_dates) for one in images]
    field = measure_receptive_field(
        seen,
        bands,
        stride=ladder.coarsest,
        chips=images,
        seed=derived_seed(config.training.seed, FIELD),
        **as_trained,
    )
    return ModelCard(
        bands=data.bands,
        classes=tuple(
            ClassLabel(name=one.name, color=one.color, label_values=one.values)
            for one in config.data.classes
        ),
        tree=config.data.tree,
        points=_points(config, data, rows[best - 1]),
        stride=larger * ladder.coarsest,
        strides=tuple(larger * stride for stride in ladder.strides),
        gsd_m=None if data.gsd_m is None else (data.gsd_m[0] / larger, data.gsd_m[1] / larger),
        scale=config.augment.scale,
        tile_size_px=larger * config.chips.size_px,
        margins_px={share: larger * radius for share, radius in field.margins_px.items()},
        tile_dependent=sees_all or field.tile_dependent,
        normalise=config.data.normalise,
        trained_on=_trained_on(config, data, rows, best) | _started_from(transfer),
        scores={"choose": _scores(config, rows[best - 1])},
        versions=versions(),
        dates=data.most_dates,
        may_miss=data.bands.names[len(data.bands) - len(config.model.hierarchy.second.bands) :],
    )


def _trained_on(
    config: TrainConfig, data: TrainingData, rows: list[Row], best: int
) -> dict[str, object]:
    return {
        "config_sha256": config_hash(config),
        "data_sha256": {name: dict(files) for name, files in data.hashes.items()},
        "seed": config.training.seed,
        "epochs": len(rows),
        "best_epoch": best,
        "steps": sum(int(row["steps"] or 0) for row in rows[:best]),
    }


def _started_from(transfer: Transfer | None) -> dict[str, object]:
    if transfer is None:
        return {}
    return {
        "started_from": {
            "weights": transfer.origin,
            "sha256": transfer.sha256,
            "tensors": transfer.found,
            "share_of_encoder": round(transfer.share, 4),
        }
    }


def _points(config: TrainConfig, data: TrainingData, row: Row) -> PointRule | None:
    """Return how objects are found, with the thresholds of the epoch that is kept."""
    if config.task == "segmentation":
        return None
    own, larger = config.detection, config.model.downsample
    pixel_m = 1.0 if data.gsd_m is None else sum(data.gsd_m) / 2
    names = [one.name for at, one in enumerate(config.data.classes) if at != config.data.ground]
    scores = {name: row[f"choose_threshold.{name}"] for name in names}
    return PointRule(
        ground=config.data.ground,
        thresholds={name: UNSEEN if score is None else score for name, score in scores.items()},
        apart_px=larger * own.apart_px(pixel_m),
        smooth_px=larger * SMOOTH_PX,
        match_m=own.match_m,
    )


def _scores(config: TrainConfig, row: Row) -> dict[str, object]:
    """Return the scores on the choose blocks; a class that they do not hold has None."""
    if config.task == "detection":
        names = [name for name in row if name.startswith("choose_")]
        return {name.removeprefix("choose_"): row[name] for name in names}
    return {
        "mean_iou": row["choose_iou"],
        "iou": {one.name: row[f"choose_iou.{one.name}"] for one in config.data.classes},
    }
