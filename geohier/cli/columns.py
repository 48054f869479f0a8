"""Plain tables: columns as wide as their widest cell, numbers to the right."""

from collections.abc import Iterable, Iterator


def columns(rows: Iterable[Iterable[str]], *, text: int = 1) -> Iterator[str]:
    """Yield the lines of a table.

    Args:
        rows: its cells, the heads first.
        text: how many columns, from the left, are text; the others are numbers.
    """
    table = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  ".join(
            cell.ljust(width) if at < text else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
