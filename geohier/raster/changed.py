"""What readers that change another reader's pixels have in common."""

from abc import ABC, abstractmethod

from geohier.geo.window import Window
from geohier.raster.source import PixelReader, Pixels


class ChangedReader(ABC):
    """Reads what another reader reads, and changes it (a `PixelReader`).

    Args:
        reader: the other one.
    """

    def __init__(self, reader: PixelReader) -> None:
        self._reader = reader
        self.geobox = reader.geobox
        self.dtype = reader.dtype
        self.block_shape = reader.block_shape

    @abstractmethod
    def changed(self, read: Pixels) -> Pixels:
        """Return the pixels of a window as they are handed out."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how the bands are read."""
        return self._reader.notes

    def read(self, window: Window) -> Pixels:
        """Read a window that lies inside the raster.

        Raises:
            RasterReadError: a block of the window cannot be decoded.
        """
        return self.changed(self._reader.read(window))

    def read_salvaged(self, window: Window) -> tuple[Pixels, tuple[Window, ...]]:
        """Read a window; blocks that cannot be decoded become invalid, and are returned whole."""
        pixels, lost = self._reader.read_salvaged(window)
        return self.changed(pixels), lost

    def may_hold_data(self, window: Window) -> bool:
        """Return False where no pixel of the window can be valid."""
        return self._reader.may_hold_data(window)
