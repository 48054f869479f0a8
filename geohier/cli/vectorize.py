"""`geohier vectorize`: a class raster to polygons."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geohier.cli.errors import reports_errors, say_note
from geohier.cli.prediction_flags import parse_list
from geohier.cli.progress import pixel_progress
from geohier.cli.usual_options import AsJson, Quiet
from geohier.errors import OutputExistsError

if TYPE_CHECKING:
    from geohier.studies.vectorize import Vectorized


@reports_errors
def vectorize(
    raster: Annotated[
        Path,
        typer.Argument(
            metavar="MAP",
            help="Raster of class numbers, as `geohier predict` writes it.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="File to write: .gpkg, .fgb or .geojson.", show_default=False
        ),
    ],
    classes: Annotated[
        str | None,
        typer.Option(help="Classes to trace: building,road or 1,3.", show_default="all"),
    ] = None,
    min_area_m2: Annotated[float, typer.Option(help="Leave out what is smaller, m2.")] = 0.0,
    simplify_m: Annotated[
        float,
        typer.Option(help="How coarse outlines may become, m; neighbours keep their borders."),
    ] = 0.0,
    rectangles: Annotated[
        bool, typer.Option("--rectangles", help="Draw the smallest rectangle around each.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write the regions of a class raster as polygons with their class and area.

    Pixels of one class that share an edge are one polygon; holes are kept. A GeoJSON is in degrees,
    any other file in the CRS of the raster. The raster may be far larger than memory, which holds
    the polygons alone.

    Examples:
      geohier vectorize map.tif --out map.gpkg
      geohier vectorize map.tif --classes building --min-area-m2 10 --rectangles -o roofs.geojson
    """
    from geohier.inference.target import check_not_read, check_outside_models
    from geohier.studies.vectorize import VectorOptions
    from geohier.studies.vectorize import vectorize as trace

    check_outside_models(out)
    check_not_read([out], [raster])
    if out.exists() and not overwrite:
        raise OutputExistsError(f"{out} is there already: choose --overwrite or another path")
    options = VectorOptions(
        classes=() if classes is None else parse_list(classes),
        min_area_m2=min_area_m2,
        simplify_m=simplify_m,
        rectangles=rectangles,
    )
    shown = (lambda _: nullcontext(lambda done, total: None)) if quiet else pixel_progress
    with shown(raster.name) as progress:
        done = trace(raster, out, options, progress)
    if not quiet:
        for note in done.notes:
            say_note(note)
    _report(done, as_json=as_json)


def _report(done: "Vectorized", *, as_json: bool) -> None:
    if as_json:
        document = {
            "output": str(done.path),
            "polygons": done.counts,
            "areas_m2": done.areas_m2,
        }
        typer.echo(json.dumps(document, indent=2))
        return
    from geohier.cli.data_tables import new_table, print_tables

    table = new_table(str(done.path), "class", "polygons", "area, m2")
    for name, count in done.counts.items():
        area = "" if done.areas_m2 is None else f"{done.areas_m2[name]:.1f}"
        table.add_row(name, f"{count}", area)
    print_tables(iter([table]))
