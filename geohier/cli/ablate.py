"""`geohier ablate`: a config and variants of it to what each of them gains and costs."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from geohier.cli.columns import columns
from geohier.cli.errors import reports_errors, say, say_note, say_scene
from geohier.cli.usual_options import Resume, TrainingQuiet
from geohier.errors import FINISHED_WITH_FAILURES

if TYPE_CHECKING:
    from geohier.studies.ablate import Results
    from geohier.studies.ablate_plan import Ablation, Cell
    from geohier.studies.ablate_report import Row


@reports_errors
def ablate(
    config: Annotated[Path, typer.Argument(help="YAML config that is varied.")],
    axes: Annotated[
        list[str],
        typer.Option(
            metavar="FILE|KEY=VALUES",
            help="What is varied: model.decoder=fpn,unet, or a YAML file of such keys with lists "
            "of values, and of variants by name, {narrow: {model.pyramid_channels: 64}}; "
            "repeatable.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the ablation.", show_default=False)
    ],
    seeds: Annotated[
        int,
        typer.Option(
            min=1, max=99, help="Trainings of each variant, seeds counted from the config's."
        ),
    ] = 3,
    grid: Annotated[
        bool, typer.Option("--grid", help="Take each value of an axis with each of the others.")
    ] = False,
    judge: Annotated[
        Literal["choose", "val"],
        typer.Option(
            help="What scores are taken on: choose, the blocks held out of train, by which you may "
            "choose a variant; or val, which judges the one that was chosen."
        ),
    ] = "choose",
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the config in all cells."),
    ] = None,
    resume: Resume = False,
    allow_download: Annotated[
        bool, typer.Option("--allow-download", help="Fetch published weights that are not here.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be trained, and train nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    quiet: TrainingQuiet = False,
) -> None:
    """Train variants of CONFIG with the same steps and seeds, and say what each gains and costs.

    Each value of an axis is a variant: the config but for this value. All are compared with the
    config as it is, seed by seed. An ablation that was stopped or killed goes on with --resume;
    cells that are done are not trained again.

    Examples:
      geohier ablate buildings.yaml --axes model.decoder=fpn,unet --out runs/decoders

      geohier ablate buildings.yaml --axes axes.yaml --seeds 1 --out runs/first --dry-run
    """
    from geohier.studies.ablate import ablate as run
    from geohier.studies.ablate import states
    from geohier.studies.ablate_plan import plan_ablation
    from geohier.studies.ablate_report import to_json

    planned = plan_ablation(
        config, axes, overrides=overrides or [], grid=grid, seeds=seeds, judge=judge
    )
    if not quiet:
        for note in planned.notes:
            say_note(note)
    if dry_run:
        typer.echo(_plan(planned, states(planned, out), as_json=as_json))
        return
    cells = list(planned.cells)

    def tell(cell: "Cell", found: dict[str, Any] | None, problem: str) -> None:
        if not quiet:
            said = f"failed: {problem}" if found is None else _in_words(found, judge)
            say(f"cell {cells.index(cell) + 1}/{len(cells)}: {cell}: {said}")

    def tell_scene(name: str) -> None:
        if not quiet:
            say_scene(name)

    done = run(
        planned,
        out,
        resume=resume,
        allow_download=allow_download,
        tell=tell,
        on_scene=tell_scene,
    )
    if as_json:
        typer.echo(json.dumps(to_json(planned, done.rows), allow_nan=False))
    else:
        for line in _report(planned, done, out):
            typer.echo(line)
    raise typer.Exit(FINISHED_WITH_FAILURES if done.problems else 0)


def _in_words(found: dict[str, Any], judge: str) -> str:
    score, epochs = found[judge]["mean_iou"], found["epochs"]
    return f"mean IoU {score:.4f} on {judge}, epoch {found['best_epoch']} of {epochs}"


def _plan(planned: "Ablation", states: "dict[Cell, str]", *, as_json: bool) -> str:
    from geohier.studies.ablate_plan import steps_of

    cells = [
        {
            "variant": cell.variant.name,
            "seed": cell.seed,
            "changes": dict(cell.variant.values),
            "steps": steps_of(planned.load(cell)) or "to cover the scenes",
            "state": state,
        }
        for cell, state in states.items()
    ]
    if as_json:
        return json.dumps({"cells": cells, "notes": list(planned.notes)})
    keys = ("variant", "seed", "steps", "state")
    rows = [tuple(str(one[key]) for key in keys) for one in cells]
    table = columns([keys, *rows])
    left = sum(state != "done" for state in states.values())
    return "\n".join([*table, f"{len(cells)} cells, {left} of them to train"])


def _report(planned: "Ablation", done: "Results", out: Path) -> Iterator[str]:
    on_val = planned.judge == "val"
    heads = ["variant", "IoU", "difference", "95 % by seeds", *(["by blocks"] if on_val else [])]
    costs = ["M weights", "kFLOP/px", "s/step", "steps", "Mpx", "rising"]
    yield from columns([heads + costs, *(_cells(row, on_val=on_val) for row in done.rows)])
    yield ""
    yield from _how(planned, done.rows)
    for cell, problem in done.problems.items():
        yield f"failed: {cell}: {problem}"
    yield f"{out / 'ablation.csv'}, ablation.json, ablation.png; of each level: levels.csv"


def _cells(row: "Row", *, on_val: bool) -> list[str]:
    gain, blocks = row.difference, row.blocks
    between = "" if gain is None or gain.low is None else f"{gain.low:+.4f} to {gain.high:+.4f}"
    over = "" if blocks is None else f"{blocks.low:+.4f} to {blocks.high:+.4f}"
    cells = [row.variant, "" if row.mean is None else f"{row.mean:.4f}"]
    cells += ["" if gain is None else f"{gain.mean:+.4f}", between, *([over] if on_val else [])]
    if not row.figures:
        return [*cells, *[""] * 6]
    figures = row.figures
    return [
        *cells,
        _scaled(figures["parameters"], 1e6, ".3f"),
        _scaled(figures["flops_per_px"], 1e3, ".2f"),
        _scaled(figures["seconds_per_step"], 1, ".3f"),
        _scaled(figures["steps"], 1, ".0f"),
        _scaled(figures["megapixels"], 1, ".3g"),
        f"{row.still_rising} of {len(row.scores)}",
    ]


def _scaled(value: float | None, by: float, form: str) -> str:
    return "" if value is None else format(value / by, form)


def _how(planned: "Ablation", rows: "Sequence[Row]") -> Iterator[str]:
    """Say what the figures are."""
    count = len(planned.seeds)
    means = f"mean of {count} seeds" if count > 1 else "of a single seed"
    if planned.judge == "val":
        yield f"IoU: mean of the classes on val, {means}. Val judges: choose no variant by it."
    else:
        yield f"IoU: mean of the classes on the choose blocks, {means}; val was not looked at."
    spread = (
        f"range: Student's t of {count} differences."
        if count > 1
        else "a single seed gives no range."
    )
    yield f"Difference: variant minus baseline, seed by seed; {spread}"
    if any(row.is_baseline_again for row in rows):
        again = ", ".join(row.variant for row in rows if row.is_baseline_again)
        yield f"The config as it is under another name, whose difference is chance: {again}."
