"""What the processor computes in hardware. Imports no torch, so that `geohier doctor` may ask."""

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
BF16 = ("avx512_bf16", "amx_bf16")
"""Features of a processor that multiplies in bf16; others only convert, which is slower."""


def bf16_features() -> tuple[str, ...]:
    """Return the features for bf16 that the processor lists (Linux on x86; elsewhere none)."""
    try:
        info = CPUINFO.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ()
    listed = next((line for line in info.splitlines() if line.startswith("flags")), "").split()
    return tuple(feature for feature in BF16 if feature in listed)
