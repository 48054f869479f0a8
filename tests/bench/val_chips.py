"""The val scenes of a config as large chips, at the resolution of its network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from geohier.config.load import load_config
from geohier.config.schema import TrainConfig
from geohier.data.chips import ChipDataset, choose_chips
from geohier.data.normalise import own_statistics
from geohier.data.prepare import TrainingData, field_of, prepare
from geohier.geo.window import Window
from geohier.models.directory import load_model
from geohier.models.segmentation import Downsampled

CHIP_PX = 1024


def model_and_config(path: Path, data_root: str) -> tuple[nn.Module, TrainConfig]:
    """Return the network of a run, without what brings an image to its resolution, and its config.

    Args:
        path: model directory in its run folder.
        data_root: folder of the data set.
    """
    config = load_config(path.parent / "config.yaml", [f"data_root={data_root}"])
    module = load_model(path).module
    return (module.network if isinstance(module, Downsampled) else module), config


def val_chips(config: TrainConfig, size_px: int = CHIP_PX) -> ChipDataset:
    """Return chips, so large at most, that label each pixel of the val scenes once."""
    large = config.chips.model_copy(update={"size_px": size_px})
    coarse = config.model_copy(update={"chips": large})
    return choose_chips(_with_val(prepare(config), coarse), coarse)


def _with_val(data: TrainingData, config: TrainConfig) -> TrainingData:
    """Return the data with val in the place of the blocks that choose."""
    fields = tuple(field_of(one, (_whole(*one.shape),), config) for one in data.val)
    by_scene = config.data.normalise == "scene"
    normalised = tuple(
        own_statistics(data.bands, one.moments()) if by_scene else data.bands for one in data.val
    )
    return replace(data, train=data.val, choose=fields, normalised_by=normalised)


def _whole(height: int, width: int) -> Window:
    return Window(row_off=0, col_off=0, height=height, width=width)


def shown(paths: Sequence[Path] | Mapping[str, Path]) -> str:
    """Return the options that give models, or names and models, as of their run folders."""
    pairs = paths.items() if isinstance(paths, Mapping) else (("", path) for path in paths)
    given = ((f"{name}=" if name else "", Path(*path.parts[-4:])) for name, path in pairs)
    return " ".join(f"--model {name}runs/{path}" for name, path in given)
