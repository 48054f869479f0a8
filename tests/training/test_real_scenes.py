"""Every config that is shipped trains on its real scenes."""

from pathlib import Path

import pytest

from geohier.config.load import load_config
from geohier.models.manifest import read_card
from geohier.training.fit import train
from geohier.training.log import read_rows
from geohier.training.pretrain import pretrain
from geohier.training.run_folder import shortened

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
UNLABELLED = "pucallpa"
NAMES = sorted(
    path.stem for path in CONFIGS.glob("*.yaml") if path.stem not in ("base", UNLABELLED)
)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_a_config_trains_on_its_scenes(shared_data: Path, tmp_path: Path, name: str) -> None:
    config = load_config(CONFIGS / f"{name}.yaml", [f"data_root={shared_data}"])
    model = train(shortened(config), tmp_path / name, quiet=True)
    card = read_card(model)
    assert card.trained_on["steps"] > 0  # type: ignore[operator]
    assert [one.name for one in card.classes] == [one.name for one in config.data.classes]


@pytest.mark.slow
@pytest.mark.shared
def test_what_nobody_has_labelled_is_pretrained_on(shared_data: Path, tmp_path: Path) -> None:
    """After a short run every level beats the mean predictor."""
    said = [f"data_root={shared_data}", "training.epochs=3", "model.encoder=resnet10t"]
    config = load_config(CONFIGS / f"{UNLABELLED}.yaml", said)
    pretrain(config, tmp_path / "run", quiet=True)
    last = read_rows(tmp_path / "run")[-1]
    assert all(last[f"gain.level_{level}"] > 0.1 for level in range(4))
