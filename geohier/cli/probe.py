"""`geohier probe`: a raster of features and a handful of labelled places to a map."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from geohier.cli.errors import reports_errors, say_note
from geohier.cli.prediction_flags import parse_list
from geohier.cli.progress import pixel_progress
from geohier.cli.usual_options import (
    AsJson,
    FeatureBands,
    FeaturesArgument,
    Nodata,
    Overwrite,
    Quiet,
    RadiusM,
    Restart,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from geohier.inference.pipeline import Prediction
    from geohier.studies.probe import Probe


@reports_errors
def probe(
    raster: FeaturesArgument,
    labels: Annotated[
        Path,
        typer.Option(
            "--labels",
            "-l",
            help="Points and polygons in any CRS: GeoPackage, GeoJSON, FlatGeobuf or shapefile.",
            show_default=False,
        ),
    ],
    attribute: Annotated[
        str | None, typer.Option("--attribute", "-a", help="Column of them that names the classes.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="GeoTIFF to write; without it, the head is only judged."),
    ] = None,
    head: Annotated[
        Literal["linear", "prototype", "neighbours"],
        typer.Option(help="Logistic regression, nearest mean of a class, or nearest examples."),
    ] = "linear",
    k: Annotated[
        int | None, typer.Option("--k", help="Neighbours that vote.", show_default="5")
    ] = None,
    l2: Annotated[
        float | None,
        typer.Option("--l2", help="How small the linear head keeps weights.", show_default="0.01"),
    ] = None,
    distance: Annotated[
        Literal["euclidean", "cosine"] | None,
        typer.Option(
            help="What near means to prototypes and neighbours.", show_default="euclidean"
        ),
    ] = None,
    radius_m: RadiusM = 0,
    bands: FeatureBands = None,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Also write the probability of the chosen class.")
    ] = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write the probability of each class.")
    ] = False,
    aoi: Annotated[
        Path | None, typer.Option(help="Polygons in a vector file; the map is nodata outside.")
    ] = None,
    nodata: Nodata = None,
    restart: Restart = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Tell classes by a handful of labelled places, in seconds and without a GPU.

    A small head is fitted on the features at the places and judged on places that it has not seen;
    with --out, the whole raster is mapped with it.

    Examples:
      geohier probe features.tif --labels points.geojson --attribute class --out map.tif
      geohier probe features.tif --labels points.geojson --attribute class --head neighbours
    """
    from geohier.data.scene import open_scene
    from geohier.inference.options import PredictOptions
    from geohier.studies.probe import fit_probe, map_probe
    from geohier.studies.probe_fit import HeadOptions

    chosen = HeadOptions(head=head, k=k, l2=l2, distance=distance)
    options = PredictOptions(
        confidence=confidence,
        probabilities=probabilities,
        aoi=aoi,
        restart=restart,
        overwrite=overwrite,
    )
    wanted = None if bands is None else parse_list(bands)
    done: Prediction | None = None
    with open_scene(raster, nodata=nodata) as source:
        fitted = fit_probe(source, labels, attribute, chosen, bands=wanted, radius_m=radius_m)
        if not quiet:
            for note in fitted.notes:
                say_note(note)
        if out is not None:
            shown = (lambda _: nullcontext()) if quiet else pixel_progress
            with shown(source.name) as progress:
                done = map_probe(fitted, out, options, labels=labels, progress=progress)
    if as_json:
        typer.echo(json.dumps(_as_dict(fitted, done), indent=2))
    else:
        _print(fitted, done)
    raise typer.Exit(0 if done is None else done.exit_code)


def _print(fitted: "Probe", done: "Prediction | None") -> None:
    from geohier.cli.data_tables import print_tables

    print_tables(iter([_table(fitted), _sum_up(fitted)]))
    if done is not None:
        lost = len(done.run.failures)
        blocks = f"; {lost} blocks could not be read and became nodata" if lost else ""
        state = "up to date" if done.up_to_date else f"written in {done.seconds:.1f} s"
        typer.echo(f"{done.run.target}: {state}{blocks}")


def _table(fitted: "Probe") -> "Table":
    from geohier.cli.data_tables import new_table
    from geohier.cli.score_tables import shown

    table = new_table(
        "Places that were left out, and how they were told",
        "class",
        "places",
        "pixels",
        "judged",
        "recall",
        "precision",
    )
    for row in _classes(fitted):
        scores = (shown(float(row[name])) for name in ("recall", "precision"))
        table.add_row(
            str(row["class"]), f"{row['places']}", f"{row['pixels']:,}", f"{row['judged']}", *scores
        )
    return table


def _sum_up(fitted: "Probe") -> str:
    found = fitted.estimate
    if not found.n:
        return "each class has one place: none can be left out, so nothing is known of the accuracy"
    low, high = found.range_95
    return (
        f"accuracy {found.accuracy:.3f} ({low:.3f} to {high:.3f}) of n = {found.n} places, "
        f"left out in {found.folds} turns; places close together are alike, and flatter"
    )


def _classes(fitted: "Probe") -> "Iterator[dict[str, str | int | float]]":
    import numpy as np

    examples, found = fitted.examples, fitted.estimate
    places = np.bincount(examples.place_classes[1], minlength=examples.count)
    pixels = np.bincount(examples.classes, minlength=examples.count)
    for at, label in enumerate(fitted.card.classes):
        yield {
            "class": label.name,
            "places": int(places[at]),
            "pixels": int(pixels[at]),
            "judged": round(float(found.confusion[at].sum())),
            "recall": float(found.recall[at]),
            "precision": float(found.precision[at]),
        }


def _as_dict(fitted: "Probe", done: "Prediction | None") -> dict[str, object]:
    found = fitted.estimate
    estimate = {"accuracy": found.accuracy, "range_95": found.range_95}
    row: dict[str, object] = {
        "bands": list(fitted.raster.bands.names),
        "classes": [_without_nan(one) for one in _classes(fitted)],
        "estimate": {
            "n": found.n,
            "turns": found.folds,
            **({} if not found.n else estimate),
            "confusion": found.confusion.round(6).tolist(),
        },
        "notes": list(fitted.notes),
    }
    if done is not None:
        row |= {
            "status": "up to date" if done.up_to_date else "written",
            "outputs": {name: str(path) for name, path in done.run.outputs.items()},
            "seconds": done.seconds,
            "failures": list(done.run.failures),
        }
    return row


def _without_nan(row: "dict[str, str | int | float]") -> "dict[str, str | int | float | None]":
    return {name: None if value != value else value for name, value in row.items()}
