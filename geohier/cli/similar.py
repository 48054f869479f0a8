"""`geohier similar`: where a raster looks as it does at given places."""

import csv
import io
import json
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from geohier.errors import FINISHED_WITH_FAILURES, ConfigError, OutputExistsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geohier.studies.similar import SimilarPlace
    from geohier.studies.similarity import SimilarityMap


@reports_errors
def similar(
    raster: FeaturesArgument,
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y", help="A place, in the raster's CRS; may be repeated."),
    ] = None,
    places: Annotated[
        Path | None,
        typer.Option(help="Points and polygons (see probe --labels), in place of --at."),
    ] = None,
    lonlat: Annotated[
        bool, typer.Option("--lonlat", help="What --at gives is longitude and latitude.")
    ] = False,
    radius_m: RadiusM = 0,
    count: Annotated[int, typer.Option("--count", "-n", help="Places to list.")] = 10,
    apart_m: Annotated[
        float | None,
        typer.Option(help="Smallest distance between places, m.", show_default="16 pixels"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="GeoTIFF of similarity to write, 0 to 1.")
    ] = None,
    listing: Annotated[
        Path | None, typer.Option("--list", help="File for the list: .geojson or .csv.")
    ] = None,
    bands: FeatureBands = None,
    nodata: Nodata = None,
    restart: Restart = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List the places of a raster that are most similar to given ones; map the similarity.

    Similarity is the cosine of standardised features: 1 is alike, 0 has nothing in common. Places
    around the given ones are left out of the list.

    Examples:
      geohier similar features.tif --at 9528331,3203542 --out similarity.tif
      geohier similar features.tif --at 85.525,27.632 --lonlat --list places.geojson
    """
    from geohier.data.scene import open_scene
    from geohier.studies.places import read_places
    from geohier.studies.similar import places_at, query, similar_places
    from geohier.studies.similarity import map_similarity

    _check_start(at, places, lonlat=lonlat, radius_m=radius_m)
    coordinates = [_coordinates(one) for one in at or ()]
    if listing is not None:
        _check_listing(
            listing, [raster] if places is None else [raster, places], overwrite=overwrite
        )
    written: SimilarityMap | None = None
    with open_scene(raster, nodata=nodata) as source:
        if places is None:
            given = places_at(coordinates, source.geobox, lonlat=lonlat, radius_m=radius_m)
        else:
            given = read_places(places, source.geobox, radius_m=radius_m)
        asked = query(source, given, bands=None if bands is None else parse_list(bands))
        if not quiet:
            for note in asked.notes:
                say_note(note)
        found = similar_places(asked, count, apart_m)
        if not found and not quiet:
            say_note("no place with data is that far from the given ones: lower --apart-m")
        if out is not None:
            shown = (lambda _: nullcontext()) if quiet else pixel_progress
            with shown(source.name) as progress:
                written = map_similarity(
                    asked.similarity,
                    out,
                    labels=places,
                    restart=restart,
                    overwrite=overwrite,
                    progress=progress,
                )
    if listing is not None:
        _write_list(listing, found)
    _report(found, written, as_json=as_json)
    raise typer.Exit(FINISHED_WITH_FAILURES if written and written.run.failures else 0)


def _check_start(
    at: list[str] | None, places: Path | None, *, lonlat: bool, radius_m: float
) -> None:
    if (at is None) == (places is None):
        raise ConfigError("say where to start: give either --at X,Y or --places FILE")
    if places is not None and lonlat:
        raise ConfigError("--lonlat is for --at: a file says itself what its CRS is")
    if not 0 <= radius_m < float("inf"):
        raise ConfigError(f"radius of {radius_m:g} m: give 0 (the pixel of a place) or more")


def _coordinates(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in parse_list(text))
    except ValueError:
        raise ConfigError(
            f"--at {text!r} is no place: give X,Y, as in --at 500020,4999980"
        ) from None
    if not (abs(x) < float("inf") and abs(y) < float("inf")):
        raise ConfigError(f"--at {text} is no place: give finite numbers")
    return x, y


def _check_listing(path: Path, read: "Sequence[Path]", *, overwrite: bool) -> None:
    from geohier.inference.target import check_not_read, check_outside_models

    if path.suffix.lower() not in (".geojson", ".csv"):
        raise ConfigError(f"--list {path}: give a file that ends in .geojson or .csv")
    check_outside_models(path)
    check_not_read([path], read)
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} is there already: choose --overwrite or another path")


def _write_list(path: Path, found: "Sequence[SimilarPlace]") -> None:
    from geohier.raster.durable import write_durably, writing

    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    text = _geojson(found) if path.suffix.lower() == ".geojson" else _csv(found)
    write_durably(path, text.encode())


def _geojson(found: "Sequence[SimilarPlace]") -> str:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [one.lon, one.lat]},
            "properties": {
                name: value for name, value in asdict(one).items() if name not in ("lon", "lat")
            },
        }
        for one in found
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}, indent=1) + "\n"


def _csv(found: "Sequence[SimilarPlace]") -> str:
    from geohier.studies.similar import SimilarPlace

    text = io.StringIO()
    rows = csv.DictWriter(text, SimilarPlace.__dataclass_fields__, lineterminator="\n")
    rows.writeheader()
    rows.writerows(map(asdict, found))
    return text.getvalue()


def _report(
    found: "Sequence[SimilarPlace]", written: "SimilarityMap | None", *, as_json: bool
) -> None:
    if as_json:
        typer.echo(json.dumps(_as_dict(found, written), indent=2))
        return
    from geohier.cli.data_tables import new_table, print_tables

    table = new_table("Similar places", "rank", "similarity", "x", "y", "lon", "lat")
    for one in found:
        place = (f"{one.x:.10g}", f"{one.y:.10g}", f"{one.lon:.6f}", f"{one.lat:.6f}")
        table.add_row(f"{one.rank}", f"{one.similarity:.4f}", *place)
    print_tables(iter([table]))
    if written is not None:
        lost = len(written.run.failures)
        blocks = f"; {lost} blocks could not be read and became nodata" if lost else ""
        state = "up to date" if written.up_to_date else "written"
        typer.echo(f"{written.run.target}: {state}{blocks}")


def _as_dict(found: "Sequence[SimilarPlace]", written: "SimilarityMap | None") -> dict[str, object]:
    rows: dict[str, object] = {"places": [asdict(one) for one in found]}
    if written is not None:
        rows["output"] = str(written.run.target)
        rows["status"] = "up to date" if written.up_to_date else "written"
        rows["failures"] = list(written.run.failures)
    return rows
