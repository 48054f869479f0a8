"""Probe features against raw bands on real scenes, and write docs/results/probe-NAME.json.

A few labelled pixels of each class are drawn from the train scenes, a head is fitted on the
features there, and the val scenes are mapped with it and scored. All features get the same pixels.

    python tests/bench/probe.py                              # all data sets
    python tests/bench/probe.py forest --model mine=runs/mine/model
"""

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from machine import describe_machine
from numpy.typing import NDArray
from rasterio.windows import Window
from torch import nn

from geohier.config.load import load_config
from geohier.config.schema import DataConfig
from geohier.data.catalog import read_catalog
from geohier.evaluation.bootstrap import BLOCK_PX, Range, bootstrap, paired_difference
from geohier.inference.embed import embed_raster
from geohier.inference.options import PredictOptions
from geohier.models.card import ModelCard
from geohier.models.directory import load_model
from geohier.raster.durable import write_durably
from geohier.studies.probe_fit import Examples, HeadName, HeadOptions, fit_head

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "data" / "demo" / "model"
SEEDS = (0, 1, 2)
POINTS = (5, 20, 100)
"""Labelled pixels of each class; the more hold the fewer."""
HEADS: tuple[HeadName, ...] = ("linear", "prototype", "neighbours")
IGNORE = 255
SIDE_PX = 2048
"""Of larger scenes, the middle is taken."""

type Json = dict[str, Any]
type Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Scenes, and how the network of the demo looks at them.

    Args:
        config: names data set and classes.
        fed: `whole` feeds the demo's network as the demo does, at means of 4 x 4 px; `own` feeds it
            the image's own pixels.
        thin: of the val scenes, each so-manieth row and column is judged.
        remark: what a reader must know.
    """

    config: str
    fed: str
    thin: int
    remark: str


DATA_SETS: Mapping[str, DataSet] = {
    "forest": DataSet(
        config="forest",
        fed="own",
        thin=2,
        remark="The demo's network has never seen forest, satellites or these labels: it learnt to "
        "find buildings in drone images of 7.5 cm, and is fed pixels of 10 m.",
    ),
    "buildings": DataSet(
        config="buildings",
        fed="whole",
        thin=4,
        remark="The demo's network was trained on all labels of these train scenes: its features "
        "know the classes. It has not seen the scene that judges.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Makes features of an image: a module with a card and the levels, or means of raw bands.

    Args:
        stride: pixels of the image per cell of the features.
        module: network whose levels are features; None for raw bands.
    """

    stride: int
    module: nn.Module | None = None
    card: ModelCard | None = None
    levels: tuple[int, ...] = ()

    def features(self, image: Path, folder: Path) -> Array:
        """Return features `(C, H / stride, W / stride)` of an image."""
        if self.module is None:
            with rasterio.open(image) as file:
                pixels = torch.from_numpy(file.read()).float()
            mean, std = pixels.mean((1, 2), keepdim=True), pixels.std((1, 2), keepdim=True)
            pixels = (pixels - mean) / std  # as the demo's network reads them
            return np.asarray(nn.functional.avg_pool2d(pixels, self.stride).numpy())
        target = folder / "features.tif"
        options = PredictOptions(force_gsd=True, force_scale=True, overwrite=True, device="cpu")
        embed_raster(image, target, self.module, self.levels, card=self.card, options=options)
        with rasterio.open(target) as file:
            scales, offsets = (np.reshape(one, (-1, 1, 1)) for one in (file.scales, file.offsets))
            return np.asarray(file.read() * scales + offsets, np.float32)


def makers(fed: str, more: Mapping[str, Path]) -> dict[str, Maker]:
    """Return all makers of features, by name: raw bands, networks, and other models' if any."""
    demo = load_model(DEMO)
    levels = (0, 1, 2)
    network, card, stride = demo.module, demo.card, demo.card.strides[0]
    if fed == "own":
        factor = demo.config.model.downsample
        network = demo.module.get_submodule("network")
        stride //= factor
        card = ModelCard(
            bands=card.bands, classes=card.classes, stride=card.stride // factor,
            normalise=card.normalise, margins_px={95: card.margins_px[95] // factor},
        )  # fmt: skip
    torch.manual_seed(0)
    fresh = load_model(DEMO).module
    fresh.apply(_drawn_anew)
    unlearnt = fresh.get_submodule("network") if fed == "own" else fresh
    found = {
        "raw bands": Maker(stride=1),
        f"raw bands, means of {stride} x {stride} px": Maker(stride=stride),
        "network of the demo": Maker(stride=stride, module=network, card=card, levels=levels),
        "its random weights": Maker(stride=stride, module=unlearnt, card=card, levels=levels),
    }
    for name, path in more.items():
        own = load_model(path)
        found[name] = Maker(
            stride=own.card.strides[0], module=own.module, card=own.card, levels=levels
        )
    return found


def _drawn_anew(module: nn.Module) -> None:
    reset = getattr(module, "reset_parameters", None)
    if callable(reset):
        reset()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledImage:
    """An image on disk, and its labels."""

    name: str
    image: Path
    mask: NDArray[np.uint8]


def read_scenes(data: DataConfig, split: str, folder: Path) -> list[LabelledImage]:
    """Return the scenes of a split; of large ones the middle, copied into a folder."""
    scenes = getattr(read_catalog(data), split)
    return [_middle(scene.id, scene.image, scene.mask, folder) for scene in scenes]


def _middle(name: str, image: Path, mask: Path, folder: Path) -> LabelledImage:
    with rasterio.open(image) as file, rasterio.open(mask) as labels:
        height, width = (min(SIDE_PX, length) for length in file.shape)
        window = Window((file.width - width) // 2, (file.height - height) // 2, width, height)
        own = labels.read(1, window=window)
        if (height, width) == file.shape:
            return LabelledImage(name=name, image=image, mask=own)
        place = {"height": height, "width": width, "transform": file.window_transform(window)}
        profile = {**file.profile, **place, "driver": "GTiff", "compress": "deflate"}
        profile = {key: value for key, value in profile.items() if key != "photometric"}
        target = folder / f"{name}.tif"
        with rasterio.open(target, "w", **profile) as copy:
            copy.write(file.read(window=window))
            copy.descriptions = file.descriptions
    return LabelledImage(name=name, image=target, mask=own)


def draw(scenes: Sequence[LabelledImage], classes: int, seed: int) -> list[NDArray[np.int64]]:
    """Draw labelled pixels, `(classes, POINTS[-1], 3)`: scene, row and column, each alike."""
    rng = np.random.default_rng(seed)
    drawn = []
    for index in range(classes):
        at = [np.flatnonzero(scene.mask == index) for scene in scenes]
        counts = np.cumsum([len(one) for one in at])
        wanted = rng.choice(counts[-1], POINTS[-1], replace=False)
        of = np.searchsorted(counts, wanted, side="right")
        for scene, place in zip(of, wanted - np.append(0, counts)[of], strict=True):
            drawn.append((scene, *divmod(at[scene][place], scenes[scene].mask.shape[1])))
    return list(np.array(drawn).reshape(classes, POINTS[-1], 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one maker makes of the scenes: standardised by the mean and deviation of train.

    Shape:
        - points: of each seed `(classes, POINTS[-1], C)`
        - val: of each scene `(C, h, w)`
    """

    points: list[Array]
    val: list[Array]


def look(
    maker: Maker,
    train: Sequence[LabelledImage],
    val: Sequence[LabelledImage],
    drawn: Sequence[NDArray[np.int64]],
    folder: Path,
    thin: int,
) -> Seen:
    """Make the features of all scenes; of the train scenes, only the pixels drawn are kept."""
    points, sums = [], []
    for number, scene in enumerate(train):
        found = maker.features(scene.image, folder)
        rows = found.reshape(len(found), -1).astype(np.float64)
        sums.append([np.full(len(rows), rows.shape[1]), rows.sum(1), np.square(rows).sum(1)])
        for seed, places in enumerate(drawn):
            if not number:
                points.append(np.empty((*places.shape[:2], len(found)), np.float32))
            here = places[..., 0] == number
            row, column = (places[here][:, 1:] // maker.stride).T
            points[seed][here] = found[:, row, column].T
    count, total, squares = np.sum(sums, axis=0)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    std[std == 0] = 1
    step = max(1, thin // maker.stride)
    kept = [maker.features(scene.image, folder)[:, ::step, ::step] for scene in val]
    return Seen(
        points=[((one - mean) / std).astype(np.float32) for one in points],
        val=[((one - mean[:, None, None]) / std[:, None, None]).astype("f4") for one in kept],
    )


def examples(points: Array, count: int) -> Examples:
    """Return the first pixels of each class as places of their own."""
    some = points[:, :count].reshape(-1, points.shape[-1])
    classes = np.repeat(np.arange(len(points)), count)
    return Examples(features=some, classes=classes, places=np.arange(len(some)), count=len(points))


def judge(
    head: nn.Module, val: Sequence[LabelledImage], seen: Seen, stride: int, thin: int
) -> Array:
    """Return confusion counts of the blocks of all val scenes, `(N, K, K)`."""
    side, stride = BLOCK_PX // thin, max(1, stride // thin)
    counts = []
    for scene, features in zip(val, seen.val, strict=True):
        with torch.inference_mode():
            cells = head(torch.from_numpy(features)[None])[0].argmax(0).numpy()
        found = cells.repeat(stride, 0).repeat(stride, 1)
        mask = scene.mask[::thin, ::thin][: found.shape[0], : found.shape[1]]
        for row in range(0, mask.shape[0], side):
            for column in range(0, mask.shape[1], side):
                block = np.s_[row : row + side, column : column + side]
                counts.append(_confusion(mask[block], found[block], seen.points[0].shape[0]))
    return np.stack(counts)


def _confusion(mask: NDArray[np.uint8], found: NDArray[np.int64], classes: int) -> Array:
    known = mask != IGNORE
    pairs = mask[known].astype(np.int64) * classes + found[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def compare(name: str, root: Path, more: Mapping[str, Path]) -> Json:
    """Return the figures of one data set."""
    one = DATA_SETS[name]
    path = REPOSITORY / "configs" / f"{one.config}.yaml"
    data = load_config(path, [f"data_root={root.resolve()}"]).data
    classes = [entry.name for entry in data.classes]
    with tempfile.TemporaryDirectory(prefix="geohier-bench-") as place:
        folder = Path(place)
        train, val = (read_scenes(data, split, folder) for split in ("train", "val"))
        drawn = [np.stack(draw(train, len(classes), seed)) for seed in SEEDS]
        blocks: dict[tuple[str, str, int], Array] = {}
        made = makers(one.fed, more)
        for maker_name, maker in made.items():
            print(f"{name}: {maker_name}", flush=True)
            seen = look(maker, train, val, drawn, folder, one.thin)
            for head in HEADS:
                for count in POINTS:
                    blocks[maker_name, head, count] = np.stack(
                        [
                            judge(
                                fit_head(examples(points, count), HeadOptions(head=head)),
                                val,
                                seen,
                                maker.stride,
                                one.thin,
                            )
                            for points in seen.points
                        ]
                    )
    return {
        "classes": classes,
        "train": [scene.name for scene in train],
        "val": [scene.name for scene in val],
        "remark": one.remark,
        "block_px": BLOCK_PX,
        "thin": one.thin,
        "runs": [_of(key, found, classes) for key, found in blocks.items()],
        "gains": _gains(blocks, list(made)),
    }


def _of(key: tuple[str, str, int], blocks: Array, classes: Sequence[str]) -> Json:
    seeds = [[one.value for one in bootstrap(run, draws=1)] for run in blocks]
    return {
        "features": key[0],
        "head": key[1],
        "points": key[2],
        "iou": {name: [seed[at] for seed in seeds] for at, name in enumerate((*classes, "macro"))},
    }


def _gains(blocks: Mapping[tuple[str, str, int], Array], names: Sequence[str]) -> list[Json]:
    """Return what each maker's linear head gains over the same on means of raw bands."""
    return [
        {
            "features": name,
            "over": names[1],
            "points": count,
            "macro": _as_dict(
                paired_difference(blocks[name, "linear", count], blocks[names[1], "linear", count])[
                    -1
                ]
            ),
        }
        for name in names[2:]
        for count in POINTS
    ]


def _as_dict(one: Range) -> Json:
    return {"value": one.value, "low": one.low, "high": one.high, "n": one.n}


def main(words: Sequence[str] | None = None) -> None:
    """Compare on the data sets that are asked for, and write the page."""
    import render

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data_sets", nargs="*", default=list(DATA_SETS), help="default: all")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=DIR")
    root = os.environ.get("GEOHIER_DATA") or None
    parser.add_argument("--data-root", type=Path, default=root, help="default: $GEOHIER_DATA")
    arguments = parser.parse_args(words)
    if arguments.data_root is None:
        parser.error("give the folder of the data sets with --data-root, or in GEOHIER_DATA")
    more = {name: Path(path) for name, _, path in (one.partition("=") for one in arguments.model)}
    for name in arguments.data_sets:
        document = {
            "command": f"python tests/bench/probe.py {name}",
            "machine": describe_machine(),
            "found": compare(name, arguments.data_root, more),
        }
        path = REPOSITORY / "docs" / "results" / f"probe-{name}.json"
        write_durably(path, (json.dumps(document, indent=1) + "\n").encode())
    render.main()


if __name__ == "__main__":
    main()
