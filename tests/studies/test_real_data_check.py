"""Every config that is shipped can be checked: its scenes hold what they should, and are drawn."""

from pathlib import Path

import pytest
from matplotlib.image import imread

from geohier.config.load import load_config
from geohier.studies.data_check import check_data
from geohier.studies.data_picture import draw_scenes

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

pytestmark = [pytest.mark.slow, pytest.mark.shared]


@pytest.mark.parametrize(
    ("name", "small_m", "large_m"),
    [
        ("buildings", 3, 30),
        ("coast", 10, 150),
        ("crowns", 1, 20),
        ("forest", 10, 300),
        ("landcover", 10, 3000),
        ("landsat", 40, 300),
        ("trees", 3, 10),
    ],
)
def test_real_scenes_are_described_and_drawn(
    shared_data: Path, tmp_path: Path, name: str, small_m: float, large_m: float
) -> None:
    """Each class that is not ground has objects of a size that such things have."""
    config = load_config(CONFIGS / f"{name}.yaml", [f"data_root={shared_data}"])
    report = check_data(config)
    assert report.exit_code == 0, report.findings
    things = [one for label, one in report.objects.items() if label != "background"]
    for one in things:
        assert one.diameters_m is not None
        assert small_m <= one.diameters_m[0] <= one.diameters_m[2] <= large_m
    assert report.advice is not None
    assert report.splits["train"].labelled > 1000 or name == "coast"
    target = draw_scenes(tmp_path / "check.png", report.views, config.data.classes, title=name)
    pixels = imread(target)
    assert pixels.shape[1] == 1605
    assert pixels[..., :3].std() > 0.05


def test_images_that_nobody_has_labelled_are_described_and_drawn(
    shared_data: Path, tmp_path: Path
) -> None:
    config = load_config(CONFIGS / "pucallpa.yaml", [f"data_root={shared_data}"])
    report = check_data(config, unlabelled=True)
    assert report.exit_code == 0, report.findings
    assert report.splits["train"].scenes == 8
    assert report.gsd_m == pytest.approx(89, abs=3)
    target = draw_scenes(tmp_path / "check.png", report.views, report.classes)
    assert imread(target)[..., :3].std() > 0.05


def test_two_chips_of_one_place_in_two_splits_are_found(shared_data: Path) -> None:
    """The published lists of urban_trees_naip have such a pair: chips that overlap by 26 m."""
    config = load_config(CONFIGS / "trees.yaml", [f"data_root={shared_data}", "data.exclude=[]"])
    report = check_data(config)
    assert report.exit_code == 3
    leaks = [(one.train, one.val) for one in report.nearnesses if one.overlap]
    assert leaks == [("palm_springs_2020_40", "palm_springs_2020_41")]
