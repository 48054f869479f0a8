"""Every ablation that is shipped is one that can be run."""

from pathlib import Path

import pytest
from cli.conftest import Run

from geohier.config.ablation import read_variants

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
BASES = {"dates": "trees_dates", "second": "landcover_second"}
"""Configs that axes lie over where it is not hierarchy.yaml."""
NAMES = sorted(path.stem for path in (CONFIGS / "ablations").glob("*.yaml"))


def test_there_are_some() -> None:
    assert {"fusion", "merge", "levels", "attention", "memory", "objectives"} <= {*NAMES}


def test_all_of_them_make_one_comparison() -> None:
    files = [str(CONFIGS / "ablations" / f"{name}.yaml") for name in NAMES]
    assert len(read_variants(files)) == sum(len(read_variants([file])) for file in files)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_each_of_its_networks_can_be_built(
    run: Run, shared_data: Path, tmp_path: Path, name: str
) -> None:
    axes = CONFIGS / "ablations" / f"{name}.yaml"
    root, base = f"data_root={shared_data}", BASES.get(name, "hierarchy")
    done = run(
        *("ablate", CONFIGS / f"{base}.yaml", "--axes", axes, "--set", root),
        *("--seeds", 1, "--out", tmp_path / name, "--dry-run"),
    )
    assert done.code == 0, done.err
    assert "baseline" in done.out
