"""The demo: a bundled real scene, mapped by a bundled model and scored against its labels.

Everything comes to lie in one folder, the bundled files too, so that each command that worked on
them can be tried again:

    images/, masks/      the scene and its labels, as `geohier init` finds pairs
    model/               the model directory
    map.tif              the classes, and beside it how sure the model was
    picture.png          image, prediction, truth and errors
    NOTICE.md            whose pixels these are; manifest.json names the source of each file
"""

import json
from dataclasses import dataclass
from pathlib import Path

from geohier.data.bundled import MANIFEST, bundled_demo
from geohier.errors import OutputExistsError
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import Prediction, predict_raster
from geohier.raster.durable import sha256_of, write_durably, writing
from geohier.studies.evaluate import Evaluation, Pair, evaluate_rasters
from geohier.studies.picture import draw_result

NAME = "geohier demo"
"""How a manifest says that its folder is the demo's."""

IMAGE = "images/banepa.tif"
LABELS = "masks/banepa.tif"
MODEL = "model"
MAP = "map.tif"
PICTURE = "picture.png"

PLACE = "Banepa, Nepal"
CREDIT = (
    "image: OpenAerialMap contributors, CC BY 4.0; outlines: OpenStreetMap contributors, ODbL 1.0"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What the demo made.

    Args:
        folder: where everything lies.
        prediction: the map, and how it was made.
        evaluation: its scores against the labels.
    """

    folder: Path
    prediction: Prediction
    evaluation: Evaluation

    @property
    def outputs(self) -> dict[str, Path]:
        """The files that were made, by what they show."""
        layers = self.prediction.run.outputs
        made = {name: self.folder / path.name for name, path in layers.items()}
        return {**made, "picture": self.folder / PICTURE}


def run_demo(out: Path, *, bundle: Path | None = None) -> Demo:
    """Map the bundled scene with the bundled model, score the map and draw it.

    Done again in the same folder, it makes only what is not there yet.

    Args:
        out: folder to make, or a demo's folder to bring up to date.
        bundle: folder of scene, labels, model and manifest; the bundled one if None.

    Raises:
        OutputExistsError: `out` holds something that is not a demo.
        ResourceError: this installation carries no demo, or `out` cannot be written.
        GeohierError: the bundled files are damaged.
    """
    bring_along(bundle or bundled_demo(), out)
    prediction = _predict(out)
    pair = Pair(name=PLACE, prediction=out / MAP, labels=out / LABELS, image=out / IMAGE)
    evaluation = evaluate_rasters([pair])
    _draw(pair, evaluation, out / PICTURE)
    return Demo(folder=out, prediction=prediction, evaluation=evaluation)


def bring_along(bundle: Path, out: Path) -> None:
    """Copy the bundled files into `out`; those that are there already stay as they are.

    The manifest goes first: a folder that has it is a demo's, however far the copying came.

    Raises:
        OutputExistsError: `out` holds something that is not a demo.
    """
    with writing(out):
        if out.exists() and not _may_hold_demo(out):
            raise OutputExistsError(
                f"{out} holds something else than a demo: give a new folder with --out"
            )
        for source in (bundle / MANIFEST, *_listed(bundle)):
            target = out / source.relative_to(bundle)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.is_file() or sha256_of(target) != sha256_of(source):
                write_durably(target, source.read_bytes())


def _may_hold_demo(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("name") == NAME


def _listed(bundle: Path) -> list[Path]:
    """Return the files that a bundle's manifest lists."""
    manifest = json.loads((bundle / MANIFEST).read_bytes())
    return [bundle / name for name in manifest["files"]]


def _predict(out: Path) -> Prediction:
    """Map the scene. What an earlier demo left there is the demo's own, so it may be replaced."""

    def predict(*, restart: bool) -> Prediction:
        options = PredictOptions(confidence=True, restart=restart, overwrite=True)
        return predict_raster(out / IMAGE, out / MAP, out / MODEL, options=options)

    try:
        return predict(restart=False)
    except OutputExistsError:  # parts that another version had begun
        return predict(restart=True)


def _draw(pair: Pair, evaluation: Evaluation, target: Path) -> None:
    wanted = evaluation.scores["class"].values[-1]
    iou = evaluation.scores.pooled_iou.sel({"class": wanted}).item()
    draw_result(
        target,
        pair.prediction,
        image=pair.image,
        truth=pair.labels,
        title=f"{str(wanted).capitalize()}s in {PLACE}: IoU {iou:.3f}\n{CREDIT}",
    )
