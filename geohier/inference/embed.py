"""The representation of a model as a raster: levels of its hierarchy in place of classes.

By the same way as a map (`inference.pipeline`), on the grid of the finest level that is chosen.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from geohier.data.scene import Scene
from geohier.inference.features import choose_levels
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import Prediction, predict_raster
from geohier.inference.predictor import Predictor, as_predictor
from geohier.inference.progress import Progress
from geohier.models.card import ModelCard
from geohier.models.directory import LoadedModel
from geohier.models.level_features import LevelFeatures, measure_levels
from geohier.raster.source import PixelSource


def embed_raster(
    source: Path | str | Scene | PixelSource,
    target: Path | str,
    model: LoadedModel | Predictor | nn.Module | Path | str,
    levels: Sequence[int],
    *,
    card: ModelCard | None = None,
    options: PredictOptions | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Write what levels of a model hold for a scene of any size, as a COG.

    The result's pixels are the cells of the finest level: `stride` times as large as the scene's,
    from the same top-left corner. Each band is a feature in even steps, with the scale and offset
    that give it back; nodata is 255. The rest is as in `predict_raster`.

    Args:
        source: raster, scene file, SAFE folder, or an opened source.
        target: GeoTIFF to write.
        model: model directory, loaded model, or a module with an `encoder` and its `card`.
        levels: numbers of the levels, 0 is the finest; coarser ones are enlarged bilinearly.
        card: of a bare module; its `stride` is that of the coarsest level, or a multiple.
        options: as for `predict_raster`; those about classes are refused.
        progress: called as work goes on.

    Raises:
        ConfigError: the model has no such level; and what `predict_raster` raises.
        ModelError: the model has no encoder; and what `predict_raster` raises.
    """
    embedder = as_embedder(as_predictor(model, card), levels)
    return predict_raster(source, target, embedder, options=options, progress=progress)


def as_embedder(predictor: Predictor, levels: Sequence[int]) -> Predictor:
    """Return what gives levels of a model as features in place of scores.

    Raises:
        ConfigError: the model has no such level.
        ModelError: the model has no encoder.
    """
    card = predictor.card
    there = measure_levels(predictor.module, len(card.bands), card.stride)
    features = choose_levels(there, levels, card)
    chosen = [level.level for level in features.levels]
    return replace(predictor, module=LevelFeatures(predictor.module, chosen), features=features)
