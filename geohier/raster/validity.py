"""Which pixels hold data: declared nodata, NaN and infinity, masks, and bands that are alpha.

Validity is judged per band and then merged by the reader's rule. A fourth band that is tagged alpha
is often near infrared in truth, so a tag alone decides nothing (see `alpha_band`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geohier.errors import ConfigError
from geohier.raster.source import AlphaRule, SourceBand, ValidRule

MOSTLY = 0.9
"""Share of an alpha band's non-zero samples that are fully opaque."""
MANY_ZEROS = 0.05
"""Share of samples that are exactly 0 in all bands from which undeclared nodata is likely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """How the pixels of some bands are judged.

    Args:
        dtype: data type of the values.
        nodata: of each band; None where it has none that its data type can hold.
        rule: `all` merges the bands into one mask; `any` leaves them apart where they differ.
    """

    dtype: np.dtype[np.generic]
    nodata: tuple[float | None, ...]
    rule: ValidRule

    @property
    def always(self) -> bool:
        """Whether every value counts as valid, whatever it is."""
        return self.dtype.kind != "f" and self.nodata_unknown

    @property
    def nodata_unknown(self) -> bool:
        """Whether no band declares which value means no data."""
        return all(value is None for value in self.nodata)

    @property
    def layers(self) -> int:
        """Masks that `judge` returns: one, or one for each band."""
        return 1 if self.rule == "all" or self.always else len(self.nodata)

    def judge(
        self, values: NDArray[np.generic], mask: NDArray[np.bool_] | None
    ) -> NDArray[np.bool_]:
        """Return the valid pixels of `values` (C, H, W); `mask` (H, W) overrules all bands.

        Shape:
            - result: `(1, H, W)`, or `(C, H, W)` if `layers` says so; do not write into it
        """
        if self.always:
            if mask is None:
                return np.broadcast_to(np.True_, (1, *values.shape[1:]))
            return mask[None]
        valid = self._per_band(values)
        if self.layers == 1:
            valid = _valid_in_all(valid)
        if mask is not None:
            valid &= mask
        return valid

    def _per_band(self, values: NDArray[np.generic]) -> NDArray[np.bool_]:
        valid = np.empty(values.shape, np.bool_)
        for band, value in enumerate(self.nodata):
            if self.dtype.kind == "f":
                np.isfinite(values[band], out=valid[band])
                if value is not None and np.isfinite(value):
                    valid[band] &= values[band] != value
            elif value is None:
                valid[band] = True
            else:
                np.not_equal(values[band], self.dtype.type(value), out=valid[band])
        return valid


def _valid_in_all(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    for band in valid[1:]:
        valid[0] &= band
    return valid[:1]


def holds(dtype: str, value: float) -> bool:
    """Whether a band of this data type can hold a nodata value.

    Example:
        >>> holds("uint8", -9999), holds("int16", -9999), holds("float32", float("nan"))
        (False, True, True)
    """
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return bool(np.isfinite(kind.type(value)) or not np.isfinite(value))
    return float(value).is_integer() and np.iinfo(kind).min <= value <= np.iinfo(kind).max


def alpha_candidate(
    bands: Sequence[SourceBand], indexes: Sequence[int], rule: AlphaRule
) -> int | None:
    """Return the band that could be alpha: tagged so and not among the bands that are read.

    Raises:
        ConfigError: the rule asks for an alpha band where there is none to take.
    """
    if rule == "none":
        return None
    free = [at for at in range(len(bands)) if at not in indexes]
    tagged = [at for at in free if bands[at].tagged_alpha]
    if rule == "band" and not free:
        raise ConfigError(
            f"no band is left to be alpha: all {len(bands)} are read; use --alpha none"
        )
    if rule == "band":
        return (tagged or free)[-1]
    return tagged[-1] if tagged else None


def looks_like_alpha(values: NDArray[np.generic]) -> bool:
    """Whether values are mostly transparent or fully opaque, as near infrared never is.

    Example:
        >>> looks_like_alpha(np.array([0, 255, 255])), looks_like_alpha(np.array([0, 90, 255]))
        (True, False)
    """
    shown = values[values != 0]
    top = int(np.iinfo(values.dtype.name).max) if values.dtype.kind in "iu" else 1
    return shown.size == 0 or float(np.isin(shown, (1, 255, top)).mean()) >= MOSTLY
