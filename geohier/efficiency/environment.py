"""Whether this machine can run geohier, found out by trying: what `geohier doctor` prints."""

import importlib.metadata
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import psutil

from geohier.efficiency.memory import total_bytes, usable_bytes
from geohier.efficiency.processor import bf16_features

type State = Literal["ok", "warn", "fail", "skipped"]

MIB, GIB = 2**20, 2**30

LEAST_DISK, GOOD_DISK = 256 * MIB, 5 * GIB
"""Free disk below which nothing can be written, and below which large rasters may not fit."""

LEAST_MEMORY, GOOD_MEMORY = GIB, 4 * GIB
"""Memory below which no model loads, and below which tiles have to be small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was tried on this machine.

    Args:
        name: what was tried.
        state: `fail` where prediction cannot work, `warn` where something else may not.
        found: what was found, versions and sizes included.
        advice: what to do about it; empty where all is well.
    """

    name: str
    state: State
    found: str
    advice: str = ""


def examine(folder: Path, *, fast: bool = False) -> Iterator[Check]:
    """Try everything that prediction needs, with results written to `folder`.

    Args:
        folder: folder in which results are to be written.
        fast: leave out what needs torch, which takes seconds to import.
    """
    yield _attempt("python", _python)
    yield _skipped("torch") if fast else _attempt("torch", _torch)
    yield _skipped("cuda") if fast else _attempt("cuda", _cuda, broken="warn")
    yield _attempt("processor", _processor)
    yield _attempt("memory", _memory)
    yield _attempt("gdal", _gdal)
    yield _attempt("proj", _proj)
    yield _attempt("drivers", _drivers)
    yield _attempt("gdal threads", _threads)
    yield _attempt("disk", lambda: _disk(folder))
    yield _attempt("write test", lambda: _write(folder))


type _Finding = tuple[State, str, str]


def _attempt(name: str, check: Callable[[], _Finding], *, broken: State = "fail") -> Check:
    """Run one check; whatever it raises is what it found."""
    try:
        state, found, advice = check()
    except Exception as error:  # a broken library may raise anything
        text = str(error).splitlines() or [""]
        reason = f"{type(error).__name__}: {text[0]}"
        return Check(name=name, state=broken, found=reason, advice=_REPAIRS.get(name, _REINSTALL))
    return Check(name=name, state=state, found=found, advice=advice)


def _skipped(name: str) -> Check:
    version = _version(name) if name == "torch" else None
    found = f"{name} {version}, not tried" if version else "not tried"
    return Check(name=name, state="skipped", found=found, advice="run without --fast to try it")


def _python() -> _Finding:
    return "ok", f"Python {platform.python_version()}, geohier {_version('geohier')}", ""


def _torch() -> _Finding:
    import torch
    import torchvision

    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 8.0], [20.0, 20.0, 30.0, 30.0]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)
    pair = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    if kept.tolist() != [0, 2]:
        return "fail", f"{pair}, whose nms answers {kept.tolist()}", _REPAIRS["torch"]
    return "ok", f"{pair}, operators work", ""


def _cuda() -> _Finding:
    import torch

    if torch.cuda.is_available():
        torch.zeros(1, device="cuda").add_(1).item()
        names = [torch.cuda.get_device_name(at) for at in range(torch.cuda.device_count())]
        return "ok", f"{', '.join(names)} (CUDA {torch.version.cuda})", ""
    if torch.backends.mps.is_available():
        return "ok", "no CUDA, but Apple's mps", ""
    built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    if Path("/dev/nvidia0").exists():
        advice = f"an NVIDIA device is there but torch cannot use it: update its driver ({built})"
        return "warn", "device not usable", advice
    return "ok", f"no GPU, the processor is used ({built})", ""


def _processor() -> _Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    features = bf16_features()
    bf16 = f"bf16 in hardware ({', '.join(features)})" if features else "no bf16 in hardware"
    return "ok", f"{platform.machine()}, {cores} cores, {bf16}", ""


def _memory() -> _Finding:
    usable = usable_bytes()
    found = f"{usable / GIB:.1f} GiB usable of {total_bytes() / GIB:.1f} GiB"
    return _judge(usable, LEAST_MEMORY, GOOD_MEMORY, found, "free memory, or use smaller tiles")


def _gdal() -> _Finding:
    import pyogrio
    import rasterio

    vectors = ".".join(str(part) for part in pyogrio.__gdal_version__)
    found = f"rasterio {rasterio.__version__} (GDAL {rasterio.__gdal_version__}), "
    found += f"pyogrio {pyogrio.__version__} (GDAL {vectors})"
    outside = [name for name in ("GDAL_DATA", "GDAL_DRIVER_PATH") if os.environ.get(name)]
    if outside:
        return "warn", f"{found}; {' and '.join(outside)} set", "unset it: it may name another GDAL"
    return "ok", found, ""


def _proj() -> _Finding:
    import pyproj
    from rasterio.warp import transform

    (x,), (y,) = transform("EPSG:4326", "EPSG:32631", [3.0], [0.0])
    if abs(x - 500_000) > 1 or abs(y) > 1:
        return "fail", f"3 E 0 N becomes {x:.0f} {y:.0f} in UTM 31", _REPAIRS["proj"]
    east, _ = pyproj.Transformer.from_crs(4326, 32631, always_xy=True).transform(3.0, 0.0)
    if abs(east - 500_000) > 1:
        return "fail", f"pyproj puts 3 E 0 N at {east:.0f} in UTM 31", _REPAIRS["proj"]
    found = f"PROJ {pyproj.proj_version_str}, coordinates agree"
    outside = [name for name in ("PROJ_LIB", "PROJ_DATA") if os.environ.get(name)]
    if outside:
        return "warn", f"{found}; {' and '.join(outside)} set", _REPAIRS["proj"]
    return "ok", found, ""


def _drivers() -> _Finding:
    import pyogrio
    from rasterio.env import Env

    with Env() as env:
        rasters = env.drivers()
    lacking = [name for name in ("GTiff", "COG") if name not in rasters]
    if lacking:
        return "fail", f"GDAL without {' and '.join(lacking)}", _REINSTALL
    optional = {"JP2OpenJPEG": "JP2OpenJPEG" in rasters}
    vectors = pyogrio.list_drivers()
    optional |= {name: name in vectors for name in ("GPKG", "FlatGeobuf", "GeoJSON")}
    there = ["GTiff", "COG", *(name for name, found in optional.items() if found)]
    missing = [name for name, found in optional.items() if not found]
    if missing:
        return "warn", ", ".join(there), f"files of {', '.join(missing)} cannot be used"
    return "ok", ", ".join(there), ""


def _threads() -> _Finding:
    value = os.environ.get("GDAL_NUM_THREADS")
    if value in (None, "1"):
        return "ok", "GDAL_NUM_THREADS is not above 1", ""
    advice = "geohier writes with 1 all the same: threaded GeoTIFF writing hides a full disk"
    return "warn", f"GDAL_NUM_THREADS={value}", advice


def _disk(folder: Path) -> _Finding:
    usage = psutil.disk_usage(str(folder))
    found = f"{usage.free / GIB:.1f} GiB free of {usage.total / GIB:.1f} GiB in {folder}"
    return _judge(usage.free, LEAST_DISK, GOOD_DISK, found, "free some disk space")


def _write(folder: Path) -> _Finding:
    import rasterio
    import rasterio.shutil

    values = np.random.default_rng(0).integers(0, 255, size=(256, 256), dtype="uint8")
    shape = {"count": 1, "height": 256, "width": 256, "dtype": "uint8"}
    place = {"crs": "EPSG:32631", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 0)}
    with tempfile.TemporaryDirectory(prefix=".geohier-doctor-", dir=folder) as name:
        plain, final = Path(name) / "plain.tif", Path(name) / "final.tif"
        with rasterio.open(plain, "w", driver="GTiff", num_threads=1, **shape, **place) as file:
            file.write(values, 1)
        rasterio.shutil.copy(plain, final, driver="COG", compress="DEFLATE")
        with rasterio.open(final) as file:
            same = np.array_equal(file.read(1), values)
    if not same:
        return "fail", f"{folder}: a raster does not read back as it was written", "check the disk"
    return "ok", f"a COG was written to {folder}, read back and removed", ""


def _judge(amount: int, least: int, good: int, found: str, advice: str) -> _Finding:
    """Fail below what is needed at all, warn below what is comfortable."""
    if amount >= good:
        return "ok", found, ""
    return ("fail" if amount < least else "warn"), found, advice


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


_REINSTALL = "install geohier's requirements again"
_REPAIRS = {
    "cuda": "update the GPU's driver, or predict with --device cpu",
    "torch": "install torch and torchvision as one pair, from the same place",
    "proj": "unset PROJ_LIB and PROJ_DATA: they may name the data of another PROJ",
    "disk": "choose a folder that is there",
    "write test": "choose a folder that can be written, with --folder",
}
