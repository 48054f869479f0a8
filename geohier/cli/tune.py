"""`geohier tune`: a config and what may change in it to the best config of many trials."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geohier.cli.errors import reports_errors, say
from geohier.cli.usual_options import TrainingQuiet

if TYPE_CHECKING:
    from geohier.studies.tune_record import Tried


@reports_errors
def tune(
    config: Annotated[Path, typer.Argument(help="YAML config to search around.")],
    space: Annotated[
        Path,
        typer.Option(
            help="YAML of what may change, such as training.learning_rate: {low: 1e-4, high: 1e-2, "
            "log: true} or model.encoder: [resnet18, resnet10t]."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the search.")],
    trials: Annotated[
        int, typer.Option(min=1, help="Trials in all, those of before --resume included.")
    ] = 20,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the config; repeatable."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search that is in --out, if any.")
    ] = False,
    allow_download: Annotated[
        bool, typer.Option("--allow-download", help="Fetch published weights that are not here.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the trials as JSON.")] = False,
    quiet: TrainingQuiet = False,
) -> None:
    """Train CONFIG with other values again and again, and write the best as OUT/best.yaml.

    Trials are judged on the choose blocks; the scenes that judge the model are never looked at.
    Bad trials are given up early. A search that was stopped or killed goes on with --resume.

    Examples:
      geohier tune buildings.yaml --space space.yaml --trials 30 --out runs/search

      geohier train runs/search/best.yaml --out runs/best
    """
    from geohier.studies.tune import tune as search

    def tell(one: "Tried") -> None:
        if not quiet:
            say(f"trial {one.number + 1}/{trials}: {_in_words(one)}")

    tried = search(
        config,
        space,
        out,
        trials=trials,
        overrides=overrides or [],
        resume=resume,
        allow_download=allow_download,
        tell=tell,
    )
    typer.echo(_as_json(tried, out) if as_json else _table(tried, out))


def _in_words(one: "Tried") -> str:
    values = ", ".join(f"{key} {_short(value)}" for key, value in one.values.items())
    if one.ended == "failed":
        return f"failed ({one.problem}); {values}"
    return f"{one.ended}, mean IoU {one.score:.3f} in {one.epochs} epochs; {values}"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value).strip('"')


def _table(tried: "list[Tried]", out: Path) -> str:
    from geohier.studies.tune_report import best_of

    best = best_of(tried)
    assert best is not None
    keys = list(best.values)
    rows = [["trial", "ended", "IoU", "epochs", *keys]]
    for one in sorted(tried, key=lambda one: -1 if one.score is None else one.score, reverse=True):
        score = "" if one.score is None else f"{one.score:.3f}"
        values = [_short(one.values[key]) for key in keys]
        rows.append([str(one.number), one.ended, score, str(one.epochs), *values])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(
        [
            *lines,
            f"{out / 'best.yaml'}: trial {best.number}, mean IoU {best.score:.3f} on the choose "
            "blocks; next:",
            f"geohier train {out / 'best.yaml'} --out RUN",
        ]
    )


def _as_json(tried: "list[Tried]", out: Path) -> str:
    from dataclasses import asdict

    from geohier.studies.tune_report import best_of

    best = best_of(tried)
    assert best is not None
    return json.dumps(
        {
            "best": best.number,
            "score": best.score,
            "config": str(out / "best.yaml"),
            "trials": [asdict(one) for one in tried],
        }
    )
