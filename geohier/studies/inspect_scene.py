"""What geohier sees in a scene: grid, bands, validity, values, and how its files are laid out."""

from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geohier.data.scene import Scene, open_scene, scene_at
from geohier.geo.gsd import gsd_m, pixel_size_m
from geohier.raster.access import open_dataset, raster_io
from geohier.raster.files import shown
from geohier.raster.grid import crs_name
from geohier.raster.sample import sample_pixels
from geohier.raster.source import PixelSource, SourceBand
from geohier.studies.class_raster import classes_of

MOST_FILES = 20
"""Files of a scene that are described one by one."""

PERCENTILES = (2, 50, 98)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """How one file is laid out."""

    path: str
    driver: str
    size_bytes: int
    block_shape: tuple[int, int]
    compression: str | None
    interleave: str | None
    overviews: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BandReport:
    """One band as its file declares it, and what a sample of it holds.

    Args:
        declared: what the file declares.
        valid_share: share of the sample that is valid; None where nothing could be read.
        percentiles: 2nd, 50th and 98th percentile of the valid pixels of the sample, in file units.
        lowest: lowest valid value of the sample.
        highest: highest valid value of the sample.
    """

    declared: SourceBand
    valid_share: float | None
    percentiles: tuple[float, ...] | None
    lowest: float | None
    highest: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneReport:
    """A scene, described.

    Args:
        name: short name of the scene.
        height: rows.
        width: columns.
        crs: authority code or name of the CRS; None without one.
        transform: the six numbers of the affine from pixels to the ground, row by row.
        pixel_m: height and width of the middle pixel on the ground, in metres.
        gsd_m: ground sample distance, in metres.
        bands: each band.
        classes: names of the classes, where the scene is a class raster.
        files: each file, the first of them if there are very many.
        sampled_px: pixels that the sample holds.
        notes: what a user should know, the decision on an alpha band included.
    """

    name: str
    height: int
    width: int
    crs: str | None
    transform: tuple[float, ...]
    pixel_m: tuple[float, float] | None
    gsd_m: float | None
    bands: tuple[BandReport, ...]
    classes: tuple[str, ...]
    files: tuple[FileReport, ...]
    sampled_px: int
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values; NaN and infinity, which JSON lacks, as text."""
        fields = asdict(self)
        fields["bands"] = [_plain_band(band) for band in fields["bands"]]
        return fields


def describe_scene(path: Path | str, *, nodata: float | None = None) -> SceneReport:
    """Describe a raster, a scene file or a SAFE folder from its head and a small sample.

    Args:
        path: the scene.
        nodata: nodata value, in place of what the files declare.

    Raises:
        InputError: it cannot be opened.
    """
    scene = scene_at(Path(path))
    with open_scene(scene, allow_ungeoreferenced=True, nodata=nodata) as source:
        files = tuple(_describe_file(file) for file in islice(source.files, MOST_FILES))
        bands, sampled, notes = _describe_bands(source)
        box = source.geobox
        return SceneReport(
            name=source.name,
            height=box.height,
            width=box.width,
            crs=crs_name(box),
            transform=tuple(box.transform[:6]),
            pixel_m=pixel_size_m(box),
            gsd_m=gsd_m(box),
            bands=bands,
            classes=_class_names(scene),
            files=files,
            sampled_px=sampled,
            notes=(*_place_notes(box), *notes),
        )


def _describe_file(path: Path) -> FileReport:
    with open_dataset(path) as dataset, raster_io(path):
        profile = dataset.profile
        return FileReport(
            path=shown(path),
            driver=dataset.driver,
            size_bytes=path.stat().st_size,
            block_shape=dataset.block_shapes[0],
            compression=_in_lower_case(profile.get("compress")),
            interleave=_in_lower_case(profile.get("interleave")),
            overviews=tuple(dataset.overviews(1)),
        )


def _in_lower_case(option: object) -> str | None:
    return None if option is None else str(option).lower()


def _class_names(scene: Scene) -> tuple[str, ...]:
    if not scene.is_one_raster:
        return ()
    with open_dataset(scene.path) as dataset, raster_io(scene.path):
        return tuple(one.name for one in classes_of(dataset, scene.path))


def _place_notes(box: GeoBox) -> tuple[str, ...]:
    notes = []
    transform = box.transform
    if box.crs is None:
        notes.append("it does not say where it lies: predict it with --allow-ungeoreferenced")
    if not box.axis_aligned:
        notes.append("its rows are rotated against its CRS")
    elif transform.e > 0 and box.crs is not None:
        notes.append("its first row is the southernmost")
    return tuple(notes)


def _describe_bands(
    source: PixelSource,
) -> tuple[tuple[BandReport, ...], int, tuple[str, ...]]:
    """Return the bands, how many pixels were sampled, and notes.

    Bands that are tagged alpha are read as data, and the others as a model that does not read the
    tagged ones would see them.
    """
    tagged = [at for at, band in enumerate(source.bands) if band.tagged_alpha]
    others = [at for at, _ in enumerate(source.bands) if at not in tagged]
    found: dict[int, BandReport] = {}
    notes: list[str] = []
    sampled = 0
    for indexes in filter(None, (others, tagged)):
        reader = source.select(indexes, valid="any")
        notes += [note for note in reader.notes if note not in notes]
        sample = sample_pixels(reader, len(indexes))
        if sample.unread:
            notes.append(f"{sample.unread} of the places that were sampled cannot be decoded")
        sampled = max(sampled, sample.values.shape[1])
        for row, at in enumerate(indexes):
            found[at] = _describe_band(source.bands[at], sample.values[row], sample.valid[row])
    if sampled and not any(band.valid_share for band in found.values()):
        notes.append("no pixel of the sample is valid: is the nodata value right (--nodata)?")
    if tagged and others:
        notes.append(f"a model that reads band {tagged[-1] + 1} takes it as data")
    return tuple(found[at] for at in range(len(source.bands))), sampled, tuple(notes)


def _describe_band(
    band: SourceBand, values: NDArray[np.generic], valid: NDArray[np.bool_]
) -> BandReport:
    kept = values[valid].astype(np.float64)
    return BandReport(
        declared=band,
        valid_share=float(valid.mean()) if valid.size else None,
        percentiles=tuple(np.percentile(kept, PERCENTILES).tolist()) if kept.size else None,
        lowest=float(kept.min()) if kept.size else None,
        highest=float(kept.max()) if kept.size else None,
    )


def _plain_band(fields: dict[str, Any]) -> dict[str, Any]:
    del fields["declared"]["formula"]  # of a band that is computed, which no file has
    taken = fields["declared"].pop("taken")
    if taken is not None:
        fields["declared"]["taken"] = taken.isoformat()
    nodata = fields["declared"]["nodata"]
    if nodata is not None and not np.isfinite(nodata):
        fields["declared"]["nodata"] = str(nodata)
    return fields
