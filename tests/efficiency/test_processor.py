"""What the processor is said to compute in hardware."""

from pathlib import Path

import pytest
import torch

from geohier.efficiency import processor
from geohier.efficiency.environment import examine
from geohier.efficiency.precision import choose_precision


@pytest.mark.parametrize(
    ("cpuinfo", "bf16"),
    [
        ("processor : 0\nflags : fpu avx512_bf16 amx_bf16\n", True),
        ("flags : fpu amx_bf16\n", True),
        ("flags : fpu avx2\n", False),
        ("flags : fpu my_avx512_bf16\n", False),
        ("Features : fp asimd bf16 i8mm\n", False),
        ("model name : a bf16 amx_bf16 machine\nflags : fpu\n", False),
        (None, False),
    ],
)
def test_doctor_promises_bf16_where_predict_uses_it(
    cpuinfo: str | None, bf16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    said = next(check for check in examine(tmp_path, fast=True) if check.name == "processor")
    assert ("no bf16 in hardware" not in said.found) is bf16
    assert (choose_precision("auto", torch.device("cpu")) == "bf16") is bf16
