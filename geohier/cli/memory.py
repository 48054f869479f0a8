"""`geohier memory`: what a model remembers, written anew from scenes, in a new model directory."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from geohier.cli.errors import reports_errors
from geohier.cli.memory_flags import MemoryFlags
from geohier.cli.prediction_flags import takes_flags
from geohier.cli.usual_options import Quiet, ResultAsJson
from geohier.errors import ConfigError

if TYPE_CHECKING:
    from geohier.models.card import ModelCard
    from geohier.studies.memory_scenes import MemoryScene
    from geohier.studies.update_memory import MemoryUpdate


@reports_errors
@takes_flags
def memory(
    model: Annotated[Path, typer.Argument(help="Model directory.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Model directory to make.", show_default=False)
    ],
    flags: MemoryFlags,
    scenes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SCENE]...",
            help="Scenes, as `geohier predict` takes them, for a memory of motifs.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Config that says which labelled scenes there are."),
    ] = None,
    split: Annotated[
        Literal["train", "val"] | None,
        typer.Option(help="Scenes of --data to write.", show_default="train"),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the config.")
    ] = None,
    wipe: Annotated[bool, typer.Option("--wipe", help="Begin with an empty memory.")] = False,
    as_json: ResultAsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write what a model remembers from more scenes; the result is a new model directory.

    Nothing but the memory changes, and the model that is read stays as it is. A memory of classes
    needs labelled scenes (--data), one of motifs takes any.

    Examples:
      geohier memory model --data new.yaml --out model-new
      geohier memory model scenes/ --out model-new
    """
    _check_source(scenes, data, split, overrides, flags)
    from geohier.cli.outcomes import notes_and_progress, quietly
    from geohier.studies.update_memory import check_update, update_memory

    card = check_update(model, out).card
    found = (
        _plain(scenes or [], flags)
        if data is None
        else _labelled(data, split or "train", overrides or [], card)
    )
    watch = quietly if quiet else notes_and_progress
    options = flags.predict_options()
    _report(
        update_memory(model, found, out, wipe=wipe, options=options, watch=watch), as_json=as_json
    )


def _check_source(
    scenes: list[str] | None,
    data: Path | None,
    split: str | None,
    overrides: list[str] | None,
    flags: MemoryFlags,
) -> None:
    """Refuse what is said of scenes in two ways, or in none.

    Raises:
        ConfigError: it is.
    """
    if bool(scenes) == (data is not None):
        raise ConfigError("give scenes, or labelled ones with --data CONFIG: one of the two")
    if data is None:
        for name, value in (("split", split), ("set", overrides)):
            if value:
                raise ConfigError(f"--{name} is of --data, which is missing")
    elif flags.of_files:
        raise ConfigError(f"--{flags.of_files[0]} is of scenes, --data lists its own: leave it out")


def _plain(names: list[str], flags: MemoryFlags) -> "list[MemoryScene]":
    from geohier.cli.scenes import named_scenes
    from geohier.inference.many import assign
    from geohier.studies.memory_scenes import plain_scenes

    found = named_scenes(names, flags)
    opened = assign(found, Path("scenes"), mosaic=flags.mosaic, **flags.open_options())
    return plain_scenes(opened)


def _labelled(
    data: Path, split: Literal["train", "val"], overrides: list[str], card: "ModelCard"
) -> "list[MemoryScene]":
    from geohier.config.load import load_config
    from geohier.studies.memory_scenes import labelled_scenes

    return labelled_scenes(load_config(data, overrides).data, split, card)


def _report(done: "MemoryUpdate", *, as_json: bool) -> None:
    if as_json:
        values = {
            "model": str(done.folder),
            "scenes": done.scenes,
            "tiles": done.tiles,
            "pixels": done.pixels,
        }
        typer.echo(json.dumps(values, indent=2))
        return
    scenes = "1 scene" if len(done.scenes) == 1 else f"{len(done.scenes)} scenes"
    tiles = "1 tile" if done.tiles == 1 else f"{done.tiles} tiles"
    counts = ", ".join(f"{name} {count / 1e6:.3g} Mpx" for name, count in done.pixels.items())
    typer.echo(f"{done.folder}: memory written from {scenes} in {tiles} ({counts})")
