"""`geohier data`: look at labelled scenes before they are trained on."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geohier.cli.errors import reports_errors, say, say_note
from geohier.cli.given_once import GivenOnce
from geohier.cli.progress import pixel_progress
from geohier.cli.usual_options import AsJson
from geohier.errors import ConfigError

if TYPE_CHECKING:
    from geohier.config.schema import DataConfig

app = typer.Typer(no_args_is_help=True, help="Look at labelled scenes, and split them.")

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the config; repeatable."),
]


@app.command(cls=GivenOnce)
@reports_errors
def check(
    config: Annotated[Path, typer.Argument(help="YAML config; `geohier init` writes one.")],
    overrides: Overrides = None,
    picture: Annotated[
        Path | None, typer.Option(help="PNG to write: images and labels side by side.")
    ] = None,
    buffer_m: Annotated[
        float,
        typer.Option(min=0, help="Labels of train and val closer than this are a leak too, m."),
    ] = 0.0,
    allow_overlap: Annotated[
        bool,
        typer.Option("--allow-overlap", help="Ground labelled in train and val is no error."),
    ] = False,
    unlabelled: Annotated[
        bool,
        typer.Option("--unlabelled", help="Look at the images alone, as `geohier pretrain` does."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what the scenes of CONFIG hold, what suits them, and what is wrong with them.

    Ends with code 3 if something must be mended before training. All scenes are read once.

    Examples:
      geohier data check scenes/config.yaml --picture scenes.png
    """
    if picture is not None and picture.suffix.lower() != ".png":
        raise ConfigError(f"--picture {picture}: give a name that ends in .png")
    from geohier.config.load import load_config
    from geohier.studies.data_check import check_data

    settings = load_config(config, overrides or [], needs_classes=not unlabelled)
    with pixel_progress(config.name) as show:
        report = check_data(
            settings,
            buffer_m=buffer_m,
            allow_overlap=allow_overlap,
            unlabelled=unlabelled,
            on_pixels=show,
        )
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2, allow_nan=False))
    else:
        from geohier.cli.data_tables import print_report

        print_report(report)
    for finding in report.findings:
        say(f"{'geohier' if finding.is_error else 'note'}: {' '.join(finding.text.split())}")
    if picture is not None and any(survey.view for _, survey in report.views):
        from geohier.studies.data_picture import draw_scenes

        draw_scenes(picture, report.views, report.classes, title=config.stem)
        say(f"{picture}: written")
    elif picture is not None:
        say_note("not written: no scene has a labelled pixel that could be shown", str(picture))
    if report.exit_code:
        raise typer.Exit(report.exit_code)


@app.command(cls=GivenOnce)
@reports_errors
def split(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG|FOLDER", help="YAML config, or folder of images and masks.", exists=True
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="split.csv to write; with --folds, a folder of fold_1, fold_2, ..."
        ),
    ],
    overrides: Overrides = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="So many splits, of which each block is val in one."),
    ] = None,
    val_share: Annotated[
        float | None,
        typer.Option(help="Share of the labels for val, without --folds.", show_default="0.2"),
    ] = None,
    block_px: Annotated[
        int, typer.Option(min=1, help="Side of the blocks, in pixels of the scenes.")
    ] = 512,
    buffer_px: Annotated[
        int, typer.Option(min=0, help="Strip around val blocks that is in no split, in pixels.")
    ] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Decides between blocks of about one size.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is in --out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Split scenes anew into train and val by blocks of ground, with all classes in both.

    A block is on one side in all scenes that show it, also at other dates, and train keeps a
    distance to val. What split the scenes have now counts for nothing.

    Examples:
      geohier data split scenes/config.yaml --out scenes/new/split.csv

      geohier data split scenes --folds 5 --out scenes/folds
    """
    if folds is not None and val_share is not None:
        raise ConfigError("--val-share is not for --folds: each of k folds judges by 1/k")
    share = 0.2 if val_share is None else val_share
    if not 0 < share < 1:
        raise ConfigError(f"--val-share {share:g}: give a share above 0 and below 1")
    from geohier.cli.data_tables import print_folds
    from geohier.data.catalog import SPLIT_FILE
    from geohier.data.resplit import refuse_existing, resplit, write_split_files

    shares = [share] if folds is None else [1 / folds] * folds
    numbers = range(1, len(shares) + 1)
    targets = [out] if folds is None else [out / f"fold_{at}" / SPLIT_FILE for at in numbers]
    refuse_existing(targets, overwrite=overwrite)
    config = _scenes_of(source, overrides or [])
    with pixel_progress(source.name) as show:
        found = resplit(
            config,
            shares=shares,
            block_px=block_px,
            buffer_px=buffer_px,
            seed=seed,
            on_pixels=show,
        )
    write_split_files(found, config, targets, overwrite=overwrite)
    if as_json:
        typer.echo(json.dumps(found.to_json(targets), indent=2))
    else:
        print_folds(found)
    for target in targets:
        say(f"{target}: written")
    file = _config_file(source)
    if file is not None:
        _say_next(file, overrides or [], config, targets[0])


def _config_file(source: Path) -> Path | None:
    """Return the config, that of a folder if it has one."""
    from geohier.data.initialise import CONFIG_FILE

    file = source / CONFIG_FILE if source.is_dir() else source
    return file if file.is_file() else None


def _scenes_of(source: Path, overrides: list[str]) -> "DataConfig":
    """Return the scenes of a config, or of a folder, whose config.yaml counts if it has one."""
    from geohier.config.load import load_config
    from geohier.data.resplit import folder_config

    file = _config_file(source)
    if file is not None:
        return load_config(file, overrides).data
    if overrides:
        raise ConfigError(f"--set changes a config, and {source} is a folder without one")
    return folder_config(source)


def _say_next(file: Path, overrides: list[str], config: "DataConfig", target: Path) -> None:
    """Say how the split is used, unless the config finds it where it lies."""
    from geohier.data.catalog import SPLIT_FILE

    listed = bool(config.train) or config.torchgeo is not None
    found = config.root / (config.catalog or SPLIT_FILE)
    if not listed and found.resolve() == target.resolve():
        return
    settings = {"data.catalog": str(target.absolute())}
    if config.train:
        settings |= {"data.train": "[]", "data.val": "[]"}
    if config.torchgeo is not None:
        settings["data.torchgeo"] = "null"
    kept = [one for one in overrides if one.partition("=")[0] not in settings]
    said = [*kept, *(f"{key}={value}" for key, value in settings.items())]
    words = [str(file), *(word for one in said for word in ("--set", one))]
    say(f"to use it: geohier train {shlex.join(words)}")
