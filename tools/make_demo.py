"""Make data/demo from a trained run: scene, labels, model, and a manifest of where each comes from.

    geohier train configs/demo.yaml --half --out runs/demo
    python tools/make_demo.py runs/demo

The folder of the data sets is --data-root or $GEOHIER_DATA, as for training. The scene is of the
val split: it is refused where the model was trained on it. Two pictures are made on the way: the
demo's own is drawn to score the model as users will, and a smaller copy goes to docs/images.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from geohier.data.bundled import MANIFEST
from geohier.models.card import ModelCard
from geohier.models.manifest import read_card
from geohier.studies.demo import IMAGE, LABELS, MODEL, NAME, PICTURE, Demo, run_demo

REPOSITORY = Path(__file__).resolve().parent.parent
BUNDLE = REPOSITORY / "data" / "demo"
DOCS_PICTURE = REPOSITORY / "docs" / "images" / "demo.png"
DOCS_WIDTH_PX = 1600

SCENE = "banepa_b"
COPIES = {IMAGE: f"hot_buildings/images/{SCENE}.tif", LABELS: f"hot_buildings/masks/{SCENE}.tif"}
COMMAND = "geohier train configs/demo.yaml --half --out runs/demo"

MIB = 2**20
LARGEST_MODEL = 3 * MIB
LARGEST_SCENE = 4 * MIB

SOURCES = {
    IMAGE: (
        "CC-BY-4.0",
        f"OpenAerialMap contributors; {SCENE} of hot_buildings (docs/data.md), byte for byte",
    ),
    LABELS: (
        "ODbL-1.0",
        f"OpenStreetMap contributors; outlines of {SCENE} of hot_buildings (docs/data.md), "
        "burnt into the image's grid, byte for byte",
    ),
    MODEL: ("Apache-2.0; see NOTICE.md", f"made by: {COMMAND}"),
    "NOTICE.md": ("Apache-2.0", "written for geohier"),
}


def main() -> None:
    """Make data/demo and the picture of the README."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a run of configs/demo.yaml")
    parser.add_argument("--data-root", type=Path, default=os.environ.get("GEOHIER_DATA"))
    given = parser.parse_args()
    if given.data_root is None:
        parser.error("give --data-root FOLDER, or set GEOHIER_DATA")
    card = read_card(given.run / "model")
    if f"train/{SCENE}" in card.trained_on["data_sha256"]:
        parser.error(f"{given.run} was trained on {SCENE}: the demo's scene must be new to it")
    place(given.run / "model", given.data_root)
    with tempfile.TemporaryDirectory() as folder:
        write_manifest(card)
        done = run_demo(Path(folder), bundle=BUNDLE)
        write_manifest(card, done)
        shrink_picture(Path(folder) / PICTURE, DOCS_PICTURE)
    sys.stdout.write((BUNDLE / MANIFEST).read_text(encoding="utf-8"))


def place(model: Path, data_root: Path) -> None:
    """Put scene, labels and model where the package finds them."""
    for target, source in COPIES.items():
        (BUNDLE / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data_root / source, BUNDLE / target)
    shutil.rmtree(BUNDLE / MODEL, ignore_errors=True)
    shutil.copytree(model, BUNDLE / MODEL)
    sizes = {name: size(BUNDLE / name) for name in (IMAGE, MODEL)}
    if sizes[IMAGE] > LARGEST_SCENE or sizes[MODEL] > LARGEST_MODEL:
        sys.exit(f"too large for the package: {sizes} bytes (train with --half)")


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def write_manifest(card: ModelCard, done: Demo | None = None) -> None:
    """List every file with its hash, licence and source, and how the model was made and scored."""
    files = sorted(path for path in BUNDLE.rglob("*") if path.is_file() and path.name != MANIFEST)
    manifest = {
        "name": NAME,
        "scene": f"{SCENE} of hot_buildings: val, so neither fitted on nor used to choose",
        "model": {"command": COMMAND, "data": trained_scenes(card), **facts(card)},
        "scores": {} if done is None else scores(done),
        "files": {path.relative_to(BUNDLE).as_posix(): entry(path) for path in files},
    }
    text = json.dumps(manifest, indent=2) + "\n"
    (BUNDLE / MANIFEST).write_text(text, encoding="utf-8")


def trained_scenes(card: ModelCard) -> str:
    """Name the scenes that were learned from."""
    names = [name.removeprefix("train/") for name in card.trained_on["data_sha256"]]
    train = [name for name in names if not name.startswith("val/")]
    return f"hot_buildings: {' '.join(train)} (docs/data.md; SHA-256 in {MODEL}/card.json)"


def facts(card: ModelCard) -> dict[str, object]:
    """Return how the model was made, as its card has it."""
    kept = ("config_sha256", "seed", "epochs", "best_epoch", "steps")
    return {
        **{name: card.trained_on[name] for name in kept},
        "choose": card.scores["choose"],
        "versions": card.versions,
    }


def scores(done: Demo) -> dict[str, object]:
    """Return the scores on the demo's scene, and what they were computed with."""
    pooled = done.evaluation.to_json()["pooled"]
    plan = done.prediction.plan
    return {
        "device": plan.device,
        "precision": plan.precision,
        "accuracy": pooled["accuracy"],
        "classes": {
            name: {score: values[score] for score in ("iou", "f1", "precision", "recall")}
            for name, values in pooled["classes"].items()
        },
        "iou_range_95": pooled["iou_range_95"],
        "blocks": pooled["blocks"],
    }


def entry(path: Path) -> dict[str, str]:
    """Return hash, licence and source of a file."""
    name = path.relative_to(BUNDLE).as_posix()
    licence, source = SOURCES[MODEL if name.startswith(f"{MODEL}/") else name]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"sha256": digest, "licence": licence, "source": source}


def shrink_picture(source: Path, target: Path) -> None:
    """Save a picture in 256 colours, at the width of a page."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as full:
        height = round(full.height * DOCS_WIDTH_PX / full.width)
        small = full.convert("RGB").resize((DOCS_WIDTH_PX, height), Image.Resampling.LANCZOS)
    small.quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    main()
