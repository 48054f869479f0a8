"""The machine that figures were measured on, in words; no host name, no user, no date."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

LIBRARIES = ("geohier", "torch", "torchvision", "timm", "rasterio", "numpy")


def describe_machine() -> dict[str, str]:
    """Return processor, cores, memory, GPU and versions, each as one line of text."""
    import rasterio
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    versions = [f"{name} {version(name)}" for name in LIBRARIES]
    return {
        "processor": f"{_processor()}, {cores} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "gpu": gpu,
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *versions, f"GDAL {rasterio.__gdal_version__}"]
        ),
    }


def _processor() -> str:
    """Return the processor's own name; clouds hide it, so its bfloat16 units are named too."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    lines = [line.partition(":") for line in cpuinfo.read_text(encoding="utf-8").splitlines()]
    facts = {key.strip(): value.strip() for key, _, value in lines}
    flags = facts.get("flags", "").split()
    units = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return f"{facts.get('model name', platform.machine())} ({', '.join(units) or 'no AVX2'})"
