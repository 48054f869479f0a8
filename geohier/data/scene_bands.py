"""Which bands of a training scene the model reads, and which are computed for it."""

from collections.abc import Sequence, Sized
from pathlib import Path

from geohier.config.bands import BandConfig, BandFormula
from geohier.data.catalog import LabelledScene
from geohier.data.scene import open_scene
from geohier.errors import BandMismatchError, ConfigError, InputError
from geohier.geo.bands import canonical, input_names, match_bands
from geohier.geo.formula import read_formula
from geohier.geo.indices import INDICES
from geohier.raster.band_choice import BandChoice, choose, choose_by_date, lacks_all, with_second
from geohier.raster.derived import computed_band
from geohier.raster.reader import band_looks_like_alpha
from geohier.raster.source import PixelSource, SourceBand, bands_by_date


def choose_bands(
    scene: LabelledScene, wanted: tuple[BandConfig, ...] | None, second: Sequence[str] = ()
) -> tuple[tuple[str, ...], tuple[SourceBand, ...]]:
    """Return names of the model's bands, and what a scene's file, or a formula, says of each.

    Args:
        scene: the first train scene.
        wanted: names, indexes from 0, or formulas; None for all bands except one that is truly
            alpha. A name that no band has may be that of a well-known index.
        second: names of the bands of a second sensor, which come last.

    Raises:
        InputError: the scene has no such band.
        ConfigError: bands of the second sensor are none of the model's, or all are.
    """
    with open_scene(scene.raster(), allow_ungeoreferenced=True) as source:
        newest = next(iter(bands_by_date(source.bands).values()), range(len(source.bands)))
        found = tuple(source.bands[at] for at in newest)
        if wanted is None:
            wanted = tuple(at for at, one in enumerate(newest) if not _is_alpha(source, one))
    bands = _second_last([_wanted(one, found, scene.image) for one in wanted], second)
    return tuple(name for name, _ in bands), tuple(band for _, band in bands)


def _second_last(
    bands: list[tuple[str, SourceBand]], second: Sequence[str]
) -> list[tuple[str, SourceBand]]:
    among = {canonical(name): (name, band) for name, band in bands}
    missing = [name for name in second if canonical(name) not in among]
    first = [one for one in bands if canonical(one[0]) not in set(map(canonical, second))]
    if missing or not first:
        wrong = f"no {' '.join(missing)}" if missing else "none is left for the first"
        raise ConfigError(
            f"model.hierarchy.second.bands: {' '.join(second)} of the bands "
            f"{' '.join(name for name, _ in bands)}: {wrong}"
        )
    return [*first, *(among[canonical(name)] for name in second)]


def find_bands(
    scene: LabelledScene,
    names: tuple[str, ...],
    declared: tuple[SourceBand, ...],
    *,
    dates: bool | None = False,
    second: Sequence[str] = (),
) -> BandChoice:
    """Return how the model's bands come from a scene: by name, or else by place.

    Args:
        scene: one of the scenes.
        names: names of the model's bands.
        declared: what the first scene's file, or a formula, says of each.
        dates: whether the model reads a stack of dates; None if whatever the scene is will do.
        second: names of its last bands, those of a second sensor, which the scene may lack.

    Raises:
        InputError: the scene lacks some, or holds other units than a formula is made for; or it is
            a stack of dates and should not be, or is none and should be.
    """
    bands = [(name, band.formula) for name, band in zip(names, declared, strict=True)]
    needed = input_names(bands)
    with open_scene(scene.raster(), allow_ungeoreferenced=True) as source:
        stack = bands_by_date(source.bands)
        if dates is not None:
            _check_dates(scene, stack, dates=dates)
        if stack and dates is not False:
            places = {day: _places(scene, source, own, needed) for day, own in stack.items()}
            choice = choose_by_date(bands, places, len(source.bands))
        else:
            everything = tuple(range(len(source.bands)))
            absent = second if lacks_all(source.bands, second) else ()
            own = bands[: len(bands) - len(absent)]
            found = _places(scene, source, everything, input_names(own))
            choice = choose(own, found, len(source.bands))
            if second:
                choice = with_second(choice, len(second), absent, len(source.bands))
    wrong = choice.wrong_units(source.bands)
    if wrong:
        raise InputError(
            f"{scene.image}: {wrong}: declare it (a scene file may), or give data.bands a formula "
            "for these units"
        )
    return choice


def _check_dates(scene: LabelledScene, stack: Sized, *, dates: bool) -> None:
    if dates and not stack:
        raise InputError(
            f"{scene.image}: has no date, and model.hierarchy.time reads a stack of dates: give "
            "data.dates, or a scene file with dates"
        )
    if len(stack) > 1 and not dates:
        raise InputError(
            f"{scene.image}: is a stack of {len(stack)} dates, and the network reads one image: "
            "set model.hierarchy.time (decoder hierarchy), or name the files of one date"
        )


def _places(
    scene: LabelledScene, source: PixelSource, own: tuple[int, ...], needed: tuple[str, ...]
) -> dict[str, int]:
    """Return where the needed bands stand among all, of which some are looked through."""
    among = tuple(source.bands[at] for at in own)
    claimed = {canonical(name) for name in needed}
    kept = [
        (one, _name(among, at))
        for at, one in enumerate(own)
        if canonical(_name(among, at)) in claimed or not _is_alpha(source, one)
    ]
    found = tuple(name for _, name in kept)
    try:
        indexes = [kept[at][0] for at in match_bands(needed, found)[0]]
    except BandMismatchError as error:
        day = f" of {among[0].taken}" if among and among[0].taken else ""
        raise InputError(
            f"{scene.image}: has the bands {' '.join(found)}{day}, but the first train scene has "
            f"{' '.join(needed)}: give data.bands, or exclude the scene"
        ) from error
    return dict(zip(map(canonical, needed), indexes, strict=True))


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
