"""Every ablation that is shipped is one that can be run."""

from pathlib import Path

import pytest
from cli.conftest import Run

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
NAMES = sorted(path.stem for path in (CONFIGS / "ablations").glob("*.yaml"))


def test_there_are_some() -> None:
    assert {"fusion", "merge", "levels", "attention", "memory", "objectives"} <= {*NAMES}


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_each_of_its_networks_can_be_built(
    run: Run, shared_data: Path, tmp_path: Path, name: str
) -> None:
    axes = CONFIGS / "ablations" / f"{name}.yaml"
    root = f"data_root={shared_data}"
    done = run(
        *("ablate", CONFIGS / "hierarchy.yaml", "--axes", axes, "--set", root),
        *("--seeds", 1, "--out", tmp_path / name, "--dry-run"),
    )
    assert done.code == 0, done.err
    assert "baseline" in done.out
