"""`geohier pretrain`: images without labels to an encoder that a training starts from."""

import json
from pathlib import Path
from typing import Annotated

import typer

from geohier.cli.errors import reports_errors
from geohier.cli.usual_options import ResultAsJson, Resume, TrainingQuiet


@reports_errors
def pretrain(
    config: Annotated[Path, typer.Argument(help="YAML config, the same as for `geohier train`.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change the config, such as pretraining.contrast=0.5; repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder of the run. [default: runs/NAME-pretrain of the config, and "
            "runs/NAME-pretrain-fast with --fast-dev-run]",
        ),
    ] = None,
    resume: Resume = False,
    fast_dev_run: Annotated[
        bool,
        typer.Option(
            "--fast-dev-run", help="Try everything once: two batches, all choose blocks, the file."
        ),
    ] = False,
    as_json: ResultAsJson = False,
    quiet: TrainingQuiet = False,
) -> None:
    """Train encoder and pyramid of CONFIG on the images of its train scenes, without any labels.

    The network rebuilds what it is not shown of an image, on every level of its pyramid. Scenes of
    val, and all that lies on their ground, are left out. The result, OUT/encoder.safetensors, is
    what `geohier train --init` starts from.

    Examples:
      geohier pretrain trees.yaml --out runs/trees-pretrain

      geohier train trees.yaml --init runs/trees-pretrain/encoder.safetensors
    """
    from geohier.config.load import load_config
    from geohier.training.pretrain import pretrain as run
    from geohier.training.run_folder import shortened

    settings = load_config(config, overrides or (), needs_classes=False)
    folder = out or Path("runs") / (config.stem + "-pretrain" + ("-fast" if fast_dev_run else ""))
    if fast_dev_run:
        settings = shortened(settings)
    encoder = run(settings, folder, resume=resume, quiet=quiet)
    typer.echo(_summary(encoder, config, as_json=as_json))


def _summary(encoder: Path, config: Path, *, as_json: bool) -> str:
    from geohier.training.pretrain_result import read_about

    about = read_about(encoder)
    if as_json:
        return json.dumps({"encoder": str(encoder), **about})
    gains = [value for name, value in about["scores"].items() if name.startswith("gain.level_")]
    levels = " ".join(f"{value:.1f}" for value in gains)
    found = f"{levels} dB above the mean predictor, fine to coarse, " if gains else ""
    return (
        f"{encoder}: {found}epoch {about['best_epoch']}; next:\n"
        f"geohier train {config} --init {encoder}"
    )
