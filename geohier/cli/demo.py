"""`geohier demo`: a real scene mapped, scored and drawn, with nothing to prepare."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geohier.cli.errors import reports_errors, say, say_note
from geohier.cli.progress import megapixels_per_second
from geohier.cli.usual_options import AsJson

if TYPE_CHECKING:
    from geohier.studies.demo import Demo

SHOWS = {
    "labels": "class of each pixel",
    "confidence": "how sure the model was of it",
    "picture": "image, prediction, truth and errors, to look at",
}


@reports_errors
def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the demo's files and results.")
    ] = Path("geohier-demo"),
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on stderr.")] = False,
) -> None:
    """Map a bundled drone image with a bundled model, score the map and draw it.

    Scene, labels and model are copied into the folder too, so that you can go on with them.
    """
    if not quiet:
        say("mapping a drone image of 135 x 135 m with a small model that finds buildings ...")
    from geohier.studies.demo import run_demo

    done = run_demo(out)
    if not quiet:
        for note in done.prediction.notes:
            say_note(note)
    if as_json:
        typer.echo(json.dumps(_as_dict(done), indent=2))
    else:
        _print(done)
    raise typer.Exit(done.prediction.exit_code)


def _print(done: "Demo") -> None:
    from geohier.cli.score_tables import print_scores

    print_scores(done.evaluation)
    typer.echo(f"\n{_what_happened(done)}")
    width = max(len(str(path)) for path in done.outputs.values())
    for name, path in done.outputs.items():
        typer.echo(f"  {path!s:{width}}  {SHOWS[name]}")
    typer.echo("\nTry next:")
    for command, why in next_steps(done):
        typer.echo(f"  # {why}\n  {command}")


def _what_happened(done: "Demo") -> str:
    grid, seconds = done.prediction.plan.grid, done.prediction.seconds
    size = f"{grid.height} x {grid.width} px"
    if done.prediction.up_to_date:
        return f"{size}, up to date:"
    rate = megapixels_per_second(grid.height * grid.width, seconds)
    return f"{size} mapped in {seconds:.1f} s ({rate}):"


def next_steps(done: "Demo") -> list[tuple[str, str]]:
    """Return commands that work on what the demo made, and what each is good for."""
    from geohier.studies.demo import IMAGE, LABELS, MAP, MODEL

    image, labels, mapped, model = (
        shlex.quote(str(done.folder / name)) for name in (IMAGE, LABELS, MAP, MODEL)
    )
    again = shlex.quote(str(done.folder / "all.tif"))
    return [
        (f"geohier inspect {model}", "what the model reads, answers and was trained on"),
        (f"geohier plan {image} --model {model}", "what mapping a scene will take"),
        (
            f"geohier predict {image} --model {model} --out {again} --probabilities --entropy",
            "more layers; give an image of your own instead, of any size",
        ),
        (f"geohier evaluate {mapped} --labels {labels}", "the scores once more, from the files"),
        ("geohier init --help", "from your own images and masks to a model"),
    ]


def _as_dict(done: "Demo") -> dict[str, object]:
    return {
        "status": "up to date" if done.prediction.up_to_date else "written",
        "outputs": {name: str(path) for name, path in done.outputs.items()},
        "seconds": done.prediction.seconds,
        "notes": list(done.prediction.notes),
        "scores": done.evaluation.to_json(),
        "next": [command for command, _ in next_steps(done)],
    }
