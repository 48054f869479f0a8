"""Labelled scenes as tables for people to read."""

import sys
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from geohier.data.resplit import Resplit
from geohier.studies.data_report import PERCENTILES, DataReport, SplitReport

PIPED_WIDTH = 120
"""Columns of a table that no terminal shows."""


def print_report(report: DataReport) -> None:
    """Print the tables of a report, and what would suit the objects, to stdout."""
    print_tables(_tables(report))


def print_tables(tables: Iterator[Table | str]) -> None:
    """Print tables and lines to stdout."""
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    for one in tables:
        console.print(one)


def new_table(title: str, *columns: str) -> Table:
    """Return a table whose first column is text and whose others are numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for at, column in enumerate(columns):
        table.add_column(column, justify="right" if at else "left", no_wrap=True)
    return table


def _tables(report: DataReport) -> Iterator[Table | str]:
    yield _splits(report)
    yield _classes(report)
    if report.objects:
        yield _objects(report)
        yield _levels(report)
    yield from (_bands(name, split) for name, split in report.splits.items() if split.bands)
    yield from _advice(report)


def _splits(report: DataReport) -> Table:
    table = new_table("Scenes", "split", "scenes", "labelled", "pixels", "valid", "labelled px")
    for name, split in report.splits.items():
        table.add_row(
            name,
            f"{split.scenes}",
            f"{split.labelled_scenes}",
            f"{split.pixels:,}",
            _share(split.valid, split.pixels),
            f"{split.labelled:,} ({_share(split.labelled, split.pixels)})",
        )
    return table


def _classes(report: DataReport) -> Table:
    splits = report.splits
    columns = [f"{name} {what}" for name in splits for what in ("px", "share")]
    table = new_table("Classes", "class", *columns)
    for one in next(iter(splits.values())).class_px if splits else ():
        cells = []
        for split in splits.values():
            count = split.class_px[one]
            cells += [f"{count:,}", _share(count, split.labelled)]
        table.add_row(one, *cells)
    return table


def _objects(report: DataReport) -> Table:
    at = "" if report.gsd_m is None else f" of {report.gsd_m:.3g} m"
    table = new_table(
        f"Objects: percentiles of their diameter, in metres and in pixels{at}",
        "class",
        "objects",
        "of 1 px",
        *(f"{share} %, {unit}" for unit in ("m", "px") for share in PERCENTILES),
        "width, px",
    )
    for name, one in report.objects.items():
        metres = one.diameters_m or ("-",) * len(one.diameters_px)
        table.add_row(
            name,
            f"{one.count:,}",
            _share(one.one_pixel, one.count),
            *(size if isinstance(size, str) else f"{size:.3g}" for size in metres),
            *(f"{size:.3g}" for size in (*one.diameters_px, one.width_px)),
        )
    return table


def _levels(report: DataReport) -> Table:
    strides = [
        f"{stride} px" + (f" = {stride * report.gsd_m:.3g} m" if report.gsd_m else "")
        for stride in report.strides
    ]
    title = "Share of each class on the level whose stride suits its objects best"
    table = new_table(title, "class", *strides)
    for name, one in report.objects.items():
        table.add_row(name, *(f"{share:.0%}" for share in one.level_shares))
    return table


def _bands(name: str, split: SplitReport) -> Table:
    columns = ("dtype", "lowest", "2 %", "50 %", "98 %", "highest", "mean", "deviation")
    table = new_table(f"Bands of {name}", "band", *columns)
    for band in split.bands:
        numbers = (band.low, *band.percentiles, band.high, band.mean, band.std)
        table.add_row(band.name, band.dtype, *(f"{value:.4g}" for value in numbers))
    return table


def _advice(report: DataReport) -> Iterator[str]:
    advice = report.advice
    if advice is None:
        return
    at = "" if report.gsd_m is None else f" of {report.gsd_m:.3g} m"
    gsd = "" if report.gsd_m is None else f" (GSD {report.gsd_m * advice.downsample:.3g} m)"
    yield (
        f"Small objects span {advice.small_px:.3g} px{at}, middle ones {advice.large_px:.3g} px; "
        "that suggests:"
    )
    yield f"  model.downsample: {advice.downsample}{gsd}"
    strides = " ".join(f"{stride}" for stride in advice.strides)
    yield f"  model.encoder_depth: {advice.encoder_depth} (levels with strides of {strides} px)"
    yield f"  chips.size_px: {advice.chip_px}"


def print_folds(found: Resplit) -> None:
    """Print how many blocks val has in each fold, and the share of each class, beside the whole."""
    several = len(found.folds) > 1
    names = [f"fold {number}" if several else "val" for number, _ in enumerate(found.folds, 1)]
    parts = [(fold.val_blocks, fold.val_px) for fold in found.folds]
    parts.append((found.blocks, found.class_px))
    totals = [sum(pixels.values()) for _, pixels in parts]
    table = new_table("What is in val, and in all" if not several else "Val", "", *names, "all")
    table.add_row("blocks", *(f"{blocks:,}" for blocks, _ in parts))
    table.add_row("labelled px", *(f"{total:,}" for total in totals))
    table.add_section()
    for name in found.class_px:
        shares = zip(parts, totals, strict=True)
        table.add_row(name, *(_share(pixels[name], total) for (_, pixels), total in shares))
    print_tables(iter([table]))


def _share(part: int, whole: int) -> str:
    """Return a share in percent; a small one keeps two digits.

    Example:
        >>> _share(1, 3), _share(1, 8000), _share(0, 0)
        ('33.3%', '0.013%', '-')
    """
    if not whole:
        return "-"
    percent = 100 * part / whole
    return f"{percent:.1f}%" if percent >= 1 or not part else f"{percent:.2g}%"
