"""`geohier models`: what networks can be made of, and what one network is made of."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geohier.cli.columns import columns
from geohier.cli.errors import Commands, reports_errors, say_note
from geohier.cli.given_once import GivenOnce
from geohier.cli.usual_options import AsJson
from geohier.errors import ConfigError

if TYPE_CHECKING:
    from geohier.config.options import Option
    from geohier.studies.encoder_table import EncoderView
    from geohier.studies.show_model import LevelView, ModelView

app = typer.Typer(
    cls=Commands,
    invoke_without_command=True,
    help="List what networks are made of; `show` describes one network.",
)


@app.callback()
@reports_errors
def models(
    context: typer.Context,
    encoders: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="List encoders by name, with * and ?: 'resnet*'."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List decoders and parts of the hierarchy with their values, or encoders by name."""
    if context.invoked_subcommand is not None:
        if encoders is not None or as_json:
            raise ConfigError("--encoders and --json stand after `models` alone, not before show")
        return
    if encoders is not None:
        from geohier.studies.encoder_table import list_encoders

        found = list_encoders(encoders)
        lines = _encoder_lines(found)
        _print([asdict(one) for one in found] if as_json else lines)
        return
    from geohier.config.model import ModelConfig
    from geohier.config.options import options_of

    options = list(options_of(ModelConfig, "model"))
    _print([asdict(one) for one in options] if as_json else _option_lines(options))


@app.command(cls=GivenOnce)
@reports_errors
def show(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG|MODEL", help="YAML config or model directory.", show_default=False
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the config; repeatable."),
    ] = None,
    receptive_field: Annotated[
        bool,
        typer.Option(
            "--receptive-field",
            help="Measure how far each level looks; of a config, with random weights.",
        ),
    ] = False,
    objects: Annotated[
        bool,
        typer.Option("--objects", help="Read the labels and say how large the objects are."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="PNG to write: the levels as a ladder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Describe the network of CONFIG, or a trained MODEL: its levels, and what its parts cost.

    Examples:
      geohier models show buildings.yaml --objects --receptive-field --out ladder.png
    """
    if out is not None and out.suffix.lower() != ".png":
        raise ConfigError(f"--out {out}: give a name that ends in .png")
    from geohier.studies.show_model import show_model

    view = show_model(path, overrides or [], fields=receptive_field, objects=objects)
    for note in view.notes:
        say_note(note)
    if out is not None:
        from geohier.studies.ladder_picture import draw_ladder

        draw_ladder(out, view)
    _print(view.to_json() if as_json else _view_lines(view, out))


def _print(what: object) -> None:
    if isinstance(what, Iterator):
        for line in what:
            typer.echo(line)
    else:
        typer.echo(json.dumps(what, indent=2, allow_nan=False))


def _option_lines(options: "list[Option]") -> Iterator[str]:
    from geohier.config.search import text_of

    rows = [(one.key, text_of(one.default), one.form) for one in options]
    yield from columns([("key", "default", "values"), *rows], text=3)
    yield ""
    yield "`geohier config show` explains each key, `geohier models --encoders 'resnet*'` lists"
    yield "encoders, `geohier models show CONFIG` describes a network."


def _encoder_lines(found: "tuple[EncoderView, ...]") -> Iterator[str]:
    if all(one.parameters is None and not one.refused for one in found):
        yield from (one.name for one in found)
        yield f"{len(found)} encoders; a narrower pattern says what each of them costs"
        return
    rows = [("encoder", "strides", "M weights", "kFLOP/px")]
    for one in found:
        if one.parameters is None or one.flops_per_px is None:
            rows.append((one.name, f"refused: {one.refused}", "", ""))
        else:
            strides = " ".join(map(str, one.strides))
            costs = (f"{one.parameters / 1e6:.2f}", f"{one.flops_per_px / 1e3:.1f}")
            rows.append((one.name, strides, *costs))
    yield from columns(rows, text=2)


def _view_lines(view: "ModelView", out: Path | None) -> Iterator[str]:
    scale = "" if view.gsd_m is None else f" of {_number(view.gsd_m)} m"
    yield (
        f"{view.name}: {view.encoder}, {view.decoder}; {view.bands} bands to {view.classes} "
        f"classes, chips of {view.chip_px} px{scale}"
    )
    yield ""
    heads = ("level", "stride", "GSD", "channels", "cells", "objects", "receptive field, 95 %")
    measured = any(level.field_px is not None for level in view.levels)
    rows = [heads, *(_level_row(at, one, view) for at, one in enumerate(view.levels))]
    yield from columns([row if measured else row[:-1] for row in rows], text=0)
    yield ""
    whole = view.costs["all"]
    rows_of_costs = [("part", "weights", "kFLOP/px", "share")]
    for name, cost in view.costs.items():
        if cost.parameters or cost.flops_per_px:
            share = cost.flops_per_px / whole.flops_per_px
            flops = f"{cost.flops_per_px / 1e3:.2f}"
            rows_of_costs.append((name, f"{cost.parameters:,}", flops, f"{share:.0%}"))
    yield from columns([rows_of_costs[0], *rows_of_costs[2:], rows_of_costs[1]])
    yield "Each pixel of the image; a multiplication and an addition are two operations."
    for name, (low, middle, high) in view.objects_m.items():
        found = [_number(one) for one in (low, middle, high)]
        yield f"objects of {name}: {found[1]} m across, 8 of 10 between {found[0]} and {found[2]} m"
    if out is not None:
        yield f"{out}"


def _level_row(at: int, level: "LevelView", view: "ModelView") -> tuple[str, ...]:
    gsd = view.gsd_m
    unit, factor = ("px", 1.0) if gsd is None else ("m", gsd)
    low, high = level.object_px
    if high is None:
        objects = f"above {_number(low * factor)} {unit}"
    elif low == 0:
        objects = f"below {_number(high * factor)} {unit}"
    else:
        objects = f"{_number(low * factor)}-{_number(high * factor)} {unit}"
    look = level.field_px
    ground = "" if gsd is None or look is None else f", {_number(look * gsd)} m"
    return (
        str(at),
        f"{level.stride_px} px",
        "" if gsd is None else f"{_number(level.stride_px * gsd)} m",
        str(level.channels),
        f"{level.cells} x {level.cells}",
        objects,
        "" if look is None else f"{look} px{ground}",
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"
