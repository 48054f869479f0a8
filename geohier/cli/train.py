"""`geohier train`: labelled scenes to a model directory."""

import json
from pathlib import Path
from typing import Annotated

import typer

from geohier.cli.errors import reports_errors
from geohier.cli.usual_options import ResultAsJson, Resume, TrainingQuiet


@reports_errors
def train(
    config: Annotated[Path, typer.Argument(help="YAML config; `geohier init` writes one.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the config; repeatable."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder of the run. [default: runs/NAME of the config, and runs/NAME-fast with "
            "--fast-dev-run]",
        ),
    ] = None,
    resume: Resume = False,
    label_share: Annotated[
        float | None,
        typer.Option(help="Share of the labelled blocks to fit on, to see what fewer labels do."),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="WEIGHTS",
            help="Start from these: a model directory, a file of tensors, or published weights by "
            "name, such as ResNet18_Weights.SENTINEL2_ALL_MOCO or timm/resnet18.a1_in1k.",
        ),
    ] = None,
    allow_download: Annotated[
        bool,
        typer.Option(
            "--allow-download",
            help="Fetch what is not here yet: published weights, and the files of data.torchgeo, "
            "which are unpacked in its folder.",
        ),
    ] = False,
    fast_dev_run: Annotated[
        bool,
        typer.Option(
            "--fast-dev-run",
            help="Try everything once: two batches, all choose blocks, the model directory.",
        ),
    ] = False,
    half: Annotated[
        bool, typer.Option("--half", help="Store the model's weights in half the space (float16).")
    ] = False,
    as_json: ResultAsJson = False,
    quiet: TrainingQuiet = False,
) -> None:
    """Train a model on the scenes of CONFIG and write its directory, OUT/model.

    A run that was stopped or killed goes on with --resume and gives the same model.

    Examples:
      geohier train buildings.yaml

      geohier train buildings.yaml --set training.seed=1 --out runs/seed1

      geohier train roads.yaml --init runs/buildings/model
    """
    from geohier.config.load import load_config
    from geohier.data.catalog import fetch_data
    from geohier.training.fit import train as run
    from geohier.training.run_folder import shortened

    said = [*(overrides or []), *_share(label_share), *_first_weights(init)]
    settings = load_config(config, said)
    if allow_download:
        fetch_data(settings.data)
    folder = out or Path("runs") / (config.stem + ("-fast" if fast_dev_run else ""))
    model = run(
        shortened(settings) if fast_dev_run else settings,
        folder,
        resume=resume,
        half=half,
        quiet=quiet,
        allow_download=allow_download,
    )
    typer.echo(_summary(model, as_json=as_json))


def _share(label_share: float | None) -> list[str]:
    return [] if label_share is None else [f"training.label_share={label_share}"]


def _first_weights(init: str | None) -> list[str]:
    """Return --init as what it stands for in the config: a path if there is one, else a name."""
    if init is None:
        return []
    is_path = Path(init).exists() or Path(init).suffix in (".safetensors", ".pth", ".pt")
    is_path |= "/" in init and not init.startswith(("timm/", "smp/"))
    key, other = ("file", "name") if is_path else ("name", "file")
    others = (other, "sha256", "bands")
    return [f"weights.{key}={json.dumps(init)}", *(f"weights.{one}=null" for one in others)]


def _summary(model: Path, *, as_json: bool) -> str:
    from geohier.models.manifest import read_card

    card = read_card(model)
    found = card.scores["choose"]
    assert isinstance(found, dict)
    best = card.trained_on["best_epoch"]
    name, score = ("F1", found["f1"]) if "f1" in found else ("mean IoU", found["mean_iou"])
    if as_json:
        return json.dumps({"model": str(model), "best_epoch": best, "choose": found})
    out = "map.tif" if card.points is None else "objects.gpkg"
    return (
        f"{model}: {name} {score:.3f} on the choose blocks, epoch {best}; next:\n"
        f"geohier predict SCENE --model {model} --out {out}"
    )
