"""A first config for a folder of images and labels: what `geohier init` finds out and writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from geohier.config.chips import ChipsConfig
from geohier.config.schema import DataConfig, TrainConfig
from geohier.config.text import commented_config
from geohier.data.catalog import SPLIT_FILE, Catalog, read_catalog
from geohier.data.class_guess import ClassGuess, guess_classes
from geohier.data.first_look import first_look
from geohier.data.first_split import split_text
from geohier.data.labelled_scene import LabelledScene
from geohier.data.pairs import find_pairs
from geohier.data.scene import open_scene
from geohier.data.scene_bands import choose_bands
from geohier.errors import OutputExistsError
from geohier.geo.gsd import gsd_m
from geohier.raster.durable import write_durably

CONFIG_FILE = "config.yaml"
SAME_GSD = 1.1
DISC_PX = 3
"""Radius, in pixels, of the discs that stand for points until the config says better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """What was written, and what was found.

    Args:
        config_file: the new config.
        split_file: the new split.csv; None where the folder had a split.
        config: what the config says.
        catalog: the scenes.
        gsds_m: GSD of each scene that has a CRS.
        notes: what a user should look at before training.
    """

    config_file: Path
    split_file: Path | None
    config: TrainConfig
    catalog: Catalog
    gsds_m: tuple[float, ...]
    notes: tuple[str, ...]


def initialise(folder: Path, *, seed: int = 0) -> Initialised:
    """Write a commented config for a folder, and a split.csv where it has no split.

    What would stop a training early stops here too: labels that do not fit their images, scenes
    with other bands, in other units.

    Raises:
        OutputExistsError: the folder has a config already.
        InputError: there are no pairs of images and labels, one cannot be read, or they do not fit
            each other.
        LabelError: the labels do not look like labels, or do not fit their images.
        ResourceError: the folder cannot be written.
    """
    target = folder / CONFIG_FILE
    if target.exists():
        raise OutputExistsError(f"{target}: is there already: move it away to start anew")
    split_file = None
    try:
        if not (folder / SPLIT_FILE).is_file() and not (folder / "train").is_dir():
            split_file = folder / SPLIT_FILE
            text = split_text(folder, find_pairs(folder), seed)
            write_durably(split_file, text.encode())
        return _configured(folder, split_file)
    except BaseException:  # an interruption too: a split alone would decide the next try
        if split_file is not None:
            split_file.unlink(missing_ok=True)
        raise


def _configured(folder: Path, split_file: Path | None) -> Initialised:
    placeholder = DataConfig.model_validate({"root": folder, "classes": {0: "a", 1: "b"}})
    catalog = read_catalog(placeholder)
    grids = [_grid(scene) for scene in catalog.scenes]
    gsds_m = tuple(gsd for _, gsd in grids if gsd is not None)
    guess = guess_classes((scene.mask for scene in catalog.scenes), folder)
    smallest = min(min(shape) for shape, _ in grids)
    config = TrainConfig(
        data=_data(catalog, guess, gsds_m),
        chips=ChipsConfig(size_px=min(512, max(32, smallest // 32 * 32))),
    )
    notes = first_look(catalog, config.data)
    write_durably(
        folder / CONFIG_FILE, commented_config(config, _head(catalog, guess, gsds_m)).encode()
    )
    return Initialised(
        config_file=folder / CONFIG_FILE,
        split_file=split_file,
        config=config,
        catalog=catalog,
        gsds_m=gsds_m,
        notes=notes,
    )


def _data(catalog: Catalog, guess: ClassGuess, gsds_m: Sequence[float]) -> DataConfig:
    labels = dict(guess.labels)
    if guess.has_points and gsds_m:
        labels["point_radius_m"] = float(f"{DISC_PX * median(gsds_m):.2g}")
    return DataConfig.model_validate(
        {
            "root": Path(),
            "classes": guess.classes,
            "ignore": guess.ignore,
            "labels": labels,
            "bands": choose_bands(catalog.train[0], None)[0],
            "gsd_m": _common_gsd(gsds_m),
        }
    )


def _grid(scene: LabelledScene) -> tuple[tuple[int, int], float | None]:
    with open_scene(scene.raster(), allow_ungeoreferenced=True) as source:
        height, width = source.geobox.shape
        return (height, width), gsd_m(source.geobox)


def _common_gsd(gsds_m: Sequence[float]) -> float | None:
    """Return None where all scenes have about one GSD, else their median in two digits."""
    if not gsds_m or max(gsds_m) <= SAME_GSD * min(gsds_m):
        return None
    return float(f"{median(gsds_m):.2g}")


def _head(catalog: Catalog, guess: ClassGuess, gsds_m: Sequence[float]) -> str:
    gsds = f", GSD {min(gsds_m):.3g} to {max(gsds_m):.3g} m" if gsds_m else ""
    return (
        f"Found: {len(catalog.train)} train and {len(catalog.val)} val scenes{gsds}; {guess.found}"
    )
