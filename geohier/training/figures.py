"""Figures of matplotlib as files: the same bytes for the same figure."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from geohier.raster.durable import write_durably

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_png(figure: "Figure", path: Path, dpi: int) -> None:
    """Write a figure as a PNG that does not name the version of matplotlib.

    Raises:
        ResourceError: the disk is full or failing.
    """
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=dpi, metadata={"Software": None})
    write_durably(path, image.getvalue())
