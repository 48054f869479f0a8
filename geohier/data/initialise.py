"""A first config for a folder of images and masks: what `geohier init` finds out and writes."""

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from geohier.config.classes import PALETTE
from geohier.config.schema import ChipsConfig, DataConfig, TrainConfig
from geohier.config.text import commented_config
from geohier.data.catalog import SPLIT_FILE, Catalog, read_catalog, windows_text
from geohier.data.labels import count_values
from geohier.data.pairs import find_pairs
from geohier.data.scene import open_scene
from geohier.data.scene_bands import choose_bands
from geohier.data.splits import block_split, blocks_of
from geohier.errors import InputError, LabelError, OutputExistsError
from geohier.geo.gsd import gsd_m
from geohier.geo.window import Window, row_strips
from geohier.raster.durable import write_durably
from geohier.raster.reader import open_raster

CONFIG_FILE = "config.yaml"
VAL_SHARE = 0.2
SCENES_TO_SPLIT_WHOLE = 5
"""From so many scenes on, val gets whole scenes; of fewer it gets blocks of each."""
BLOCK_PX, BUFFER_PX = 512, 64
LIKELY_IGNORE = 255
MOST_CLASSES = 100
SAME_GSD = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """What was written, and what was found.

    Args:
        config_file: the new config.
        split_file: the new split.csv; None where the folder had a split.
        config: what the config says.
        catalog: the scenes.
        gsds_m: GSD of each scene that has a CRS.
    """

    config_file: Path
    split_file: Path | None
    config: TrainConfig
    catalog: Catalog
    gsds_m: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Sizes of images, pixels of each label value, and the GSD of each image that has a CRS."""

    shapes: tuple[tuple[int, int], ...]
    values: Counter[float]
    gsds_m: tuple[float, ...]


def initialise(folder: Path, *, seed: int = 0) -> Initialised:
    """Write a commented config for a folder, and a split.csv where it has no split.

    Raises:
        OutputExistsError: the folder has a config already.
        InputError: there are no pairs of images and masks, or one cannot be read.
        LabelError: the masks do not look like labels.
        ResourceError: the folder cannot be written.
    """
    target = folder / CONFIG_FILE
    if target.exists():
        raise OutputExistsError(f"{target}: is there already: move it away to start anew")
    split_file = None
    try:
        if not (folder / SPLIT_FILE).is_file() and not (folder / "train").is_dir():
            split_file = folder / SPLIT_FILE
            text = _split_text(folder, find_pairs(folder), seed)
            write_durably(split_file, text.encode())
        return _configured(folder, split_file)
    except BaseException:  # an interruption too: a split alone would decide the next try
        if split_file is not None:
            split_file.unlink(missing_ok=True)
        raise


def _configured(folder: Path, split_file: Path | None) -> Initialised:
    placeholder = DataConfig.model_validate({"root": folder, "classes": {0: "a", 1: "b"}})
    catalog = read_catalog(placeholder)
    found = survey_pairs([(scene.image, scene.mask) for scene in catalog.scenes])
    classes, ignore = guess_classes(found.values, folder)
    data = {
        "root": Path(),
        "classes": classes,
        "ignore": ignore,
        "bands": choose_bands(catalog.train[0], None)[0],
        "gsd_m": _common_gsd(found.gsds_m),
    }
    smallest = min(min(shape) for shape in found.shapes)
    chips = ChipsConfig(size_px=min(512, max(32, smallest // 32 * 32)))
    config = TrainConfig(data=DataConfig.model_validate(data), chips=chips)
    text = commented_config(config, _head(found, catalog))
    write_durably(folder / CONFIG_FILE, text.encode())
    return Initialised(
        config_file=folder / CONFIG_FILE,
        split_file=split_file,
        config=config,
        catalog=catalog,
        gsds_m=found.gsds_m,
    )


def survey_pairs(pairs: list[tuple[Path, Path]]) -> Survey:
    """Look at all images and masks.

    Raises:
        LabelError: the masks hold more values than labels have.
        InputError: a file cannot be read.
    """
    shapes, gsds, values = [], [], Counter[float]()
    for image, mask in pairs:
        shape, gsd = _grid(image)
        shapes.append(shape)
        gsds += [] if gsd is None else [gsd]
        values.update(_mask_values(mask))
        if len(values) > MOST_CLASSES:
            raise LabelError(
                f"{mask}: the masks hold more than {MOST_CLASSES} values: they look like images, "
                "not like labels of one value per class"
            )
    return Survey(shapes=tuple(shapes), values=values, gsds_m=tuple(gsds))


def _grid(image: Path) -> tuple[tuple[int, int], float | None]:
    with open_scene(image, allow_ungeoreferenced=True) as source:
        height, width = source.geobox.shape
        return (height, width), gsd_m(source.geobox)


def _mask_values(mask: Path) -> Counter[float]:
    with open_raster(mask, allow_ungeoreferenced=True) as source:
        reader = source.select([0], alpha="none")
        height, width = source.geobox.shape
        total = Counter[float]()
        for strip in row_strips(height, width):
            total.update(count_values(reader.read(strip).values))
    return total


def guess_classes(
    values: Counter[float], folder: Path
) -> tuple[list[dict[str, object]], int | None]:
    """Guess classes and the ignore value: 255 is ignored unless it is one of only two values."""
    odd = [value for value in values if not value.is_integer()]
    if odd:
        raise LabelError(f"{folder}: masks hold {odd[0]:g}: label values are whole numbers")
    found = sorted(int(value) for value in values)
    ignored = LIKELY_IGNORE not in found or len(found) > 2
    kept = [value for value in found if not (ignored and value == LIKELY_IGNORE)]
    if len(kept) < 2:
        raise LabelError(
            f"{folder}: the masks hold only the value {' '.join(map(str, found))}: "
            "two classes or more are needed"
        )
    classes: list[dict[str, object]] = [
        {"name": f"class_{value}", "values": (value,), "color": PALETTE[at % len(PALETTE)]}
        for at, value in enumerate(kept)
    ]
    return classes, LIKELY_IGNORE if ignored else None


def _common_gsd(gsds_m: tuple[float, ...]) -> float | None:
    """Return None where all scenes have about one GSD, else their median in two digits."""
    if not gsds_m or max(gsds_m) <= SAME_GSD * min(gsds_m):
        return None
    return float(f"{median(gsds_m):.2g}")


def _head(found: Survey, catalog: Catalog) -> str:
    gsds = f", GSD {min(found.gsds_m):.3g} to {max(found.gsds_m):.3g} m" if found.gsds_m else ""
    labels = ", ".join(f"{value:g} ({count} px)" for value, count in sorted(found.values.items()))
    return (
        f"Found: {len(catalog.train)} train and {len(catalog.val)} val scenes{gsds}; "
        f"label values {labels}. Rename the classes."
    )


def _split_text(folder: Path, pairs: tuple[tuple[Path, Path], ...], seed: int) -> str:
    """Return a split.csv: whole scenes for val where there are enough, else blocks of each."""
    whole = len(pairs) >= SCENES_TO_SPLIT_WHOLE
    rows = _by_scene(pairs, seed) if whole else _by_blocks(pairs, seed)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("scene", "split", "image", "mask", "windows"))
    for (image, mask), split, windows in rows:
        paths = (image.relative_to(folder).as_posix(), mask.relative_to(folder).as_posix())
        writer.writerow((image.stem, split, *paths, windows_text(windows)))
    return text.getvalue()


type _Row = tuple[tuple[Path, Path], str, tuple[Window, ...]]


def _by_scene(pairs: tuple[tuple[Path, Path], ...], seed: int) -> list[_Row]:
    order = np.random.default_rng(seed).permutation(len(pairs))
    val = set(order[: round(VAL_SHARE * len(pairs))].tolist())
    return [(pair, "val" if at in val else "train", ()) for at, pair in enumerate(pairs)]


def _by_blocks(pairs: tuple[tuple[Path, Path], ...], seed: int) -> list[_Row]:
    blocks = {image.stem: blocks_of(*_grid(image)[0], BLOCK_PX) for image, _ in pairs}
    if sum(map(len, blocks.values())) < 2:
        raise InputError(
            f"{pairs[0][0]}: is too small to be shared out between train and val: "
            f"give more scenes, or scenes of more than {BLOCK_PX} px"
        )
    splits = block_split(blocks, share=VAL_SHARE, buffer_px=BUFFER_PX, seed=seed)
    return [
        (pair, split, windows)
        for pair in pairs
        for split, windows in (
            ("train", splits[pair[0].stem].fit),
            ("val", splits[pair[0].stem].choose),
        )
        if windows
    ]
