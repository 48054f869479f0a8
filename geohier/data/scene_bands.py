"""Which bands of a training scene the model reads."""

from pathlib import Path

from geohier.data.catalog import LabelledScene
from geohier.data.scene import open_scene
from geohier.errors import BandMismatchError, InputError
from geohier.geo.bands import canonical, match_bands
from geohier.raster.reader import band_looks_like_alpha
from geohier.raster.source import PixelSource, SourceBand


def choose_bands(
    scene: LabelledScene, wanted: tuple[str | int, ...] | None
) -> tuple[tuple[str, ...], tuple[SourceBand, ...]]:
    """Return names of the model's bands, and what a scene's file says of each.

    Args:
        scene: the first train scene.
        wanted: names or indexes from 0; None for all bands except one that is truly alpha.

    Raises:
        InputError: the scene has no such band.
    """
    with open_scene(scene.raster(), allow_ungeoreferenced=True) as source:
        found = source.bands
        if wanted is None:
            indexes = [at for at, _ in enumerate(found) if not _is_alpha(source, at)]
        else:
            indexes = [_index(one, found, scene.image) for one in wanted]
    names = tuple(_name(found, at) for at in indexes)
    return names, tuple(found[at] for at in indexes)


def find_bands(scene: LabelledScene, names: tuple[str, ...]) -> tuple[int, ...]:
    """Return the indexes of the model's bands in a scene: by name, or else by place.

    Raises:
        InputError: the scene lacks some.
    """
    with open_scene(scene.raster(), allow_ungeoreferenced=True) as source:
        claimed = {canonical(name) for name in names}
        kept = [
            at
            for at in range(len(source.bands))
            if canonical(_name(source.bands, at)) in claimed or not _is_alpha(source, at)
        ]
        found = tuple(_name(source.bands, at) for at in kept)
    try:
        return tuple(kept[at] for at in match_bands(names, found)[0])
    except BandMismatchError as error:
        raise InputError(
            f"{scene.image}: has the bands {' '.join(found)}, but the first train scene has "
            f"{' '.join(names)}: give data.bands, or exclude the scene"
        ) from error


def _index(wanted: str | int, found: tuple[SourceBand, ...], image: Path) -> int:
    names = [_name(found, at) for at in range(len(found))]
    if isinstance(wanted, int) and wanted < len(found):
        return wanted
    common = [canonical(name) for name in names]
    if isinstance(wanted, str) and canonical(wanted) in common:
        return common.index(canonical(wanted))
    raise InputError(
        f"{image}: data.bands asks for {wanted}, the bands are {' '.join(names)}: "
        "give names or indexes from 0"
    )


def _name(bands: tuple[SourceBand, ...], at: int) -> str:
    return bands[at].name or f"band_{at + 1}"


def _is_alpha(source: PixelSource, at: int) -> bool:
    """Return whether a band is tagged alpha and its values, in some places, look like it."""
    return source.bands[at].tagged_alpha and band_looks_like_alpha(source, at)
