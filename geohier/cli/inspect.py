"""`geohier inspect`: what geohier sees in a scene, or what a model says about itself."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geohier.cli.errors import reports_errors, say_note
from geohier.cli.usual_options import AsJson
from geohier.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from geohier.geo.class_tree import TreeLevel
    from geohier.models.card import ModelCard
    from geohier.raster.source import SourceBand
    from geohier.studies.inspect_model import ModelReport
    from geohier.studies.inspect_scene import FileReport, SceneReport


@reports_errors
def inspect(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="RASTER|SCENE|MODEL",
            help="Raster, scene file, SAFE folder or model directory.",
            show_default=False,
        ),
    ],
    nodata: Annotated[
        float | None, typer.Option(help="Nodata value, in place of what the files declare.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Describe a scene as geohier reads it, or a model and whether `geohier predict` takes it.

    Of a scene, the values and the share of valid pixels come from a small sample.
    """
    from geohier.models.manifest import is_model

    if is_model(path):
        from geohier.studies.inspect_model import describe_model, why_refused

        if nodata is not None:
            raise ConfigError(f"{path} is a model: --nodata is for rasters")
        model = describe_model(path)
        refused = why_refused(path)
        lines = _model_lines(path, model, takes=refused is None)
        _print(model.to_json() | {"refused": refused} if as_json else lines)
        if model.damaged:
            raise ModelError(
                f"{path}: {' '.join(model.damaged)} damaged, changed or missing (SHA-256): copy "
                "the model again"
            )
        if refused is not None:
            raise ModelError(refused)
        return
    from geohier.studies.inspect_scene import describe_scene

    scene = describe_scene(path, nodata=nodata)
    _print(scene.to_json() if as_json else _scene_lines(scene))
    if as_json:
        return
    for note in scene.notes:
        say_note(note)


def _print(what: dict[str, object] | Iterable[str]) -> None:
    if isinstance(what, dict):
        typer.echo(json.dumps(what, indent=2, allow_nan=False))
        return
    for line in what:
        typer.echo(line)


def _scene_lines(scene: "SceneReport") -> Iterator[str]:
    yield f"{scene.name}: {scene.height} x {scene.width} px, {len(scene.bands)} bands"
    yield f"CRS      {scene.crs or 'none'}"
    if scene.pixel_m is not None:
        height, width = scene.pixel_m
        yield f"pixel    {height:.4g} x {width:.4g} m on the ground (GSD {scene.gsd_m:.4g} m)"
    yield f"affine   {' '.join(f'{value:.10g}' for value in scene.transform)}"
    if scene.classes:
        yield f"classes  {', '.join(f'{at} {name}' for at, name in enumerate(scene.classes))}"
    for file in scene.files:
        yield f"file     {_file_line(file)}"
    yield ""
    yield from _table(_band_rows(scene))
    yield f"values from a sample of {scene.sampled_px:,} px"


def _file_line(file: "FileReport") -> str:
    rows, columns = file.block_shape
    layout = f"{file.compression or 'uncompressed'}, blocks {rows} x {columns}"
    small = f"overviews {' '.join(map(str, file.overviews))}" if file.overviews else "no overviews"
    return f"{file.path} ({file.driver}, {file.size_bytes / 1e6:.1f} MB, {layout}, {small})"


def _band_rows(scene: "SceneReport") -> Iterator[tuple[str, ...]]:
    yield "band", "name", "dtype", "nodata", "scale", "offset", "valid", "p2", "p50", "p98", ""
    for number, band in enumerate(scene.bands, start=1):
        declared = band.declared
        yield (
            str(number),
            declared.name or "-",
            declared.dtype,
            "-" if declared.nodata is None else f"{declared.nodata:g}",
            f"{declared.scale:g}",
            f"{declared.offset:g}",
            "?" if band.valid_share is None else f"{band.valid_share:.1%}",
            *(f"{value:.5g}" for value in band.percentiles or ()),
            *(("-", "-", "-") if band.percentiles is None else ()),
            _remark(declared),
        )


def _remark(band: "SourceBand") -> str:
    taken = "" if band.taken is None else f"{band.taken} "
    return f"{taken}{'tagged alpha' if band.tagged_alpha else ''}".strip()


def _what_it_reads(card: "ModelCard") -> Iterator[str]:
    yield f"reads        {', '.join(card.bands.inputs)}"
    if card.may_miss:
        yield f"             of which a scene may lack {' '.join(card.may_miss)}"
    if card.dates is not None:
        yield f"             of a stack of dates (trained on {card.dates} at most)"


def _what_it_answers(card: "ModelCard") -> Iterator[str]:
    yield f"classes      {', '.join(f'{at} {one.name}' for at, one in enumerate(card.classes))}"
    if card.points is not None:
        least = ", ".join(f"{name} {score:.2f}" for name, score in card.points.thresholds.items())
        yield f"finds        points: {least} or more, {card.points.apart_px:g} px apart or more"
    for number, level in enumerate(card.tree.levels if card.tree else (), start=1):
        groups = ", ".join(_group(level, at, card) for at in range(len(level.names)))
        yield f"{f'tree level {number}':<12} {groups}"


def _model_lines(path: Path, model: "ModelReport", *, takes: bool) -> Iterator[str]:
    card = model.card
    name = model.item.get("id", "model")
    yield f"{path}: {name}, {len(card.bands)} bands to {len(card.classes)} classes"
    yield from _what_it_reads(card)
    yield from _what_it_answers(card)
    damaged = " ".join(model.damaged)
    yield f"files        {f'damaged: {damaged}' if damaged else 'whole (SHA-256)'}"
    yield f"predict      {'takes it' if takes else 'refuses it'}"
    if card.gsd_m is not None:
        yield f"trained at   {_range(*card.gsd_m)} m per pixel, chips of {card.tile_size_px} px"
    if card.scale is not None:
        yield f"             with objects {_range(*card.scale)} times as large"
    margins = ", ".join(
        f"{share} % within {px} px" for share, px in sorted(card.margins_px.items())
    )
    by = "the scene that is read" if card.normalise == "scene" else "the train scenes"
    yield f"normalised   by mean and deviation of {by}"
    yield f"looks around {margins or 'not measured'}"
    if card.tile_dependent:
        yield "             and at the whole tile: it is predicted at its training tile size"
    yield ""
    rows = [("band", "dtype", "mean", "std", "p2", "p98", "scale", "offset", "nodata", "")]
    for band in card.bands:
        numbers = (band.mean, band.std, band.low, band.high, band.scale, band.offset, band.nodata)
        shown = ("-" if value is None else f"{value:.5g}" for value in numbers)
        formula = f"= {band.formula}" if band.formula else ""
        rows.append((band.name, band.dtype, *shown, formula))  # type: ignore[arg-type]
    yield from _table(rows)
    if model.levels:
        yield ""
        yield from _table(_level_rows(model))
    for title, facts in (
        ("trained on", card.trained_on),
        ("scores", card.scores),
        ("versions", card.versions),
    ):
        if facts:
            yield ""
            yield f"{title}:"
            yield from (f"  {name}: {_fact(value)}" for name, value in facts.items())


def _group(level: "TreeLevel", at: int, card: "ModelCard") -> str:
    """Return a group with its classes, or a class that stands for itself."""
    name, inside = level.names[at], [card.classes[one].name for one in level.members(at)]
    return f"{at} {name}" if inside == [name] else f"{at} {name} ({', '.join(inside)})"


def _level_rows(model: "ModelReport") -> Iterator[tuple[str, ...]]:
    yield "level", "stride", "GSD", "objects"
    for at, level in enumerate(model.levels):
        smallest, largest = level.object_m
        if smallest == 0:
            objects = f"below {_number(largest)} m"
        elif largest == float("inf"):
            objects = f"above {_number(smallest)} m"
        else:
            objects = f"{_number(smallest)}-{_number(largest)} m"
        yield str(at), f"{level.stride_px} px", f"{_range(*level.gsd_m)} m", objects


def _range(low: float, high: float) -> str:
    return _number(low) if _number(low) == _number(high) else f"{_number(low)}-{_number(high)}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def _fact(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _table(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Lay out rows in columns as wide as their widest cell."""
    table = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    for row in table:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
