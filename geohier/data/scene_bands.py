"""Which bands of a training scene the model reads, and which are computed for it."""

from pathlib import Path

from geohier.config.bands import BandConfig, BandFormula
from geohier.data.catalog import LabelledScene
from geohier.data.scene import open_scene
from geohier.errors import BandMismatchError, InputError
from geohier.geo.bands import canonical, input_names, match_bands
from geohier.geo.formula import read_formula
from geohier.geo.indices import INDICES
from geohier.raster.derived import BandChoice, choose, computed_band
from geohier.raster.reader import band_looks_like_alpha
from geohier.raster.source import PixelSource, SourceBand


def choose_bands(
    scene: LabelledScene, wanted: tuple[BandConfig, ...] | None
) -> tuple[tuple[str, ...], tuple[SourceBand, ...]]:
    """Return names of the model's bands, and what a scene's file, or a formula, says of each.

    Args:
        scene: the first train scene.
        wanted: names, indexes from 0, or formulas; None for all bands except one that is truly
            alpha. A name that no band has may be that of a well-known index.

    Raises:
        InputError: the scene has no such band.
    """
    with open_scene(scene.raster(), allow_ungeoreferenced=True) as source:
        found = source.bands
        if wanted is None:
            chosen = [at for at, _ in enumerate(found) if not _is_alpha(source, at)]
            wanted = tuple(chosen)
    bands = [_wanted(one, found, scene.image) for one in wanted]
    return tuple(name for name, _ in bands), tuple(band for _, band in bands)


def find_bands(
    scene: LabelledScene, names: tuple[str, ...], declared: tuple[SourceBand, ...]
) -> BandChoice:
    """Return how the model's bands come from a scene: by name, or else by place.

    Args:
        scene: one of the scenes.
        names: names of the model's bands.
        declared: what the first scene's file, or a formula, says of each.

    Raises:
        InputError: the scene lacks some, or holds other units than a formula is made for.
    """
    bands = [(name, band.formula) for name, band in zip(names, declared, strict=True)]
    needed = input_names(bands)
    with open_scene(scene.raster(), allow_ungeoreferenced=True) as source:
        claimed = {canonical(name) for name in needed}
        kept = [
            at
            for at in range(len(source.bands))
            if canonical(_name(source.bands, at)) in claimed or not _is_alpha(source, at)
        ]
        found = tuple(_name(source.bands, at) for at in kept)
    try:
        indexes = [kept[at] for at in match_bands(needed, found)[0]]
    except BandMismatchError as error:
        raise InputError(
            f"{scene.image}: has the bands {' '.join(found)}, but the first train scene has "
            f"{' '.join(needed)}: give data.bands, or exclude the scene"
        ) from error
    places = dict(zip(map(canonical, needed), indexes, strict=True))
    choice = choose(bands, places, len(source.bands))
    wrong = choice.wrong_units(source.bands)
    if wrong:
        raise InputError(
            f"{scene.image}: {wrong}: declare it (a scene file may), or give data.bands a formula "
            "for these units"
        )
    return choice


def _wanted(
    wanted: BandConfig, found: tuple[SourceBand, ...], image: Path
) -> tuple[str, SourceBand]:
    """Return name and description of a band of the scene, or of one computed from its bands."""
    names = [_name(found, at) for at in range(len(found))]
    common = [canonical(name) for name in names]
    if isinstance(wanted, int) and wanted < len(found):
        return names[wanted], found[wanted]
    if isinstance(wanted, str) and canonical(wanted) in common:
        at = common.index(canonical(wanted))
        return names[at], found[at]
    if isinstance(wanted, str) and wanted.lower() in INDICES:
        wanted = BandFormula(name=wanted.lower(), formula=INDICES[wanted.lower()].formula)
    if isinstance(wanted, BandFormula):
        missing = [n for n in read_formula(wanted.formula).names if canonical(n) not in common]
        if not missing:
            return wanted.name, computed_band(wanted.name, wanted.formula)
        raise InputError(
            f"{image}: data.bands asks for {wanted.name} = {wanted.formula}, the bands are "
            f"{' '.join(names)}: no {' '.join(missing)}"
        )
    raise InputError(
        f"{image}: data.bands asks for {wanted}, the bands are {' '.join(names)}: give names, "
        f"indexes from 0, indices ({' '.join(INDICES)}) or {{name: ratio, formula: a / b}}"
    )


def _name(bands: tuple[SourceBand, ...], at: int) -> str:
    return bands[at].name or f"band_{at + 1}"


def _is_alpha(source: PixelSource, at: int) -> bool:
    """Return whether a band is tagged alpha and its values, in some places, look like it."""
    return source.bands[at].tagged_alpha and band_looks_like_alpha(source, at)
