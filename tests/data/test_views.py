"""Views of the same ground: their places meet, whatever GSD, date and turn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from torch.nn.functional import grid_sample

from geohier.config.schema import TrainConfig
from geohier.data.unlabelled import prepare_unlabelled
from geohier.data.views import MOST_JUDGED, POINTS, ViewDataset, choose_views, fit_views

SIDE = 256


def write_ramps(path: Path, *, gsd: float, east: float = 0, north: float = 0) -> None:
    """Write an image whose two bands say how far east and north a pixel lies, in metres."""
    count = round(SIDE / gsd)
    place = Affine(gsd, 0, 500_000 + east, 0, -gsd, 5_000_000 + north)
    middles = (np.arange(count) + 0.5) * gsd
    ramps = np.stack(np.broadcast_arrays(east + middles[None, :], north - middles[:, None]))
    profile = {"count": 2, "height": count, "width": count, "dtype": "float32"}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", crs="EPSG:32631", transform=place, **profile
    ) as file:
        file.write(ramps.astype("float32"))


@pytest.fixture
def make_views(tmp_path: Path) -> Any:  # noqa: ANN401 - a function with defaults
    def make(scenes: list[dict[str, float]], **sections: dict[str, Any]) -> ViewDataset:
        lines = ["scene,split,image"]
        for at, scene in enumerate(scenes):
            write_ramps(tmp_path / f"{at}.tif", **scene)
            lines.append(f"s{at},train,{at}.tif")
        (tmp_path / "split.csv").write_text("\n".join(lines))
        plain = dict.fromkeys(("gain", "offset", "band_gain", "band_offset", "gamma"), 0.0)
        values: dict[str, dict[str, Any]] = {
            "data": {"root": tmp_path, "classes": {"a": 0, "b": 1}},
            "chips": {"size_px": 64, "per_epoch": 24},
            "augment": plain,
            "training": {"block_px": 64, "buffer_px": 0},
            "pretraining": {"contrast": 1},
        }
        for name, section in sections.items():
            values[name] = {**values.get(name, {}), **section}
        config = TrainConfig.model_validate(values)
        return fit_views(prepare_unlabelled(config), config)

    return make


@pytest.mark.parametrize(
    "scenes",
    [
        [{"gsd": 1.0}],
        [{"gsd": 1.0}, {"gsd": 1.0}],
        [{"gsd": 1.0}, {"gsd": 2.0, "east": 32, "north": -16}],
    ],
    ids=["one scene", "two dates", "another grid"],
)
def test_points_lie_on_the_same_ground_in_both_views(
    make_views: Any,  # noqa: ANN401
    scenes: list[dict[str, float]],
) -> None:
    views = make_views(scenes)
    compared = 0
    for at in range(len(views)):
        view = views[at]
        seen = view["seen"]
        assert view["points"].shape == (2, POINTS**2, 2)
        found = grid_sample(view["image"], view["points"][:, :, None], align_corners=False)[..., 0]
        metres = found[:, :, seen] * torch.tensor([[b.std] for b in views.data.bands])
        inner = (view["points"][:, seen].abs() < 0.9).all(dim=2).all(dim=0)  # no half pixels
        whole = view["valid"].all()
        if whole:
            torch.testing.assert_close(metres[0][:, inner], metres[1][:, inner], atol=1.5, rtol=0)
            compared += int(inner.sum())
    assert compared > 200


def test_the_second_view_has_the_gsd_that_was_asked_for(make_views: Any) -> None:  # noqa: ANN401
    still = {"flips": False, "rotations": False, "scale": (1.0, 1.0)}
    views = make_views([{"gsd": 0.5}], augment=still, pretraining={"gsd_range": (2.0, 2.0)})
    steps = []
    for at in range(len(views)):
        view = views[at]
        if bool(view["valid"].all()):
            east = view["image"][:, 0] * views.data.bands.bands[0].std
            steps.append([float((one[:, -1] - one[:, 0]).mean()) / 63 for one in east])
    assert len(steps) > 3
    np.testing.assert_allclose(steps, [[0.5, 1.0]] * len(steps), rtol=0.03)


def test_a_sample_depends_on_seed_epoch_and_index_alone(make_views: Any) -> None:  # noqa: ANN401
    views = make_views([{"gsd": 1.0}])
    first = views[3]["image"]
    views.set_epoch(1)
    assert not torch.equal(views[3]["image"], first)
    views.set_epoch(0)
    _ = views[5]
    assert torch.equal(views[3]["image"], first)


def test_without_contrast_there_is_one_view(make_views: Any) -> None:  # noqa: ANN401
    views = make_views([{"gsd": 1.0}], pretraining={"contrast": 0})
    assert views[0]["image"].shape == (1, 2, 64, 64)
    assert views[0]["points"].shape == (1, 0, 2)


def test_fitting_sees_nothing_of_what_judges(make_views: Any) -> None:  # noqa: ANN401
    views = make_views([{"gsd": 1.0}, {"gsd": 1.0}], augment={"scale": (1.0, 1.0)})
    judged = {
        (int(east), int(north))
        for field in views.data.choose
        for part in field.parts
        for east in range(part.col_off, part.col_stop)
        for north in range(part.row_off, part.row_stop)
    }
    bands = views.data.bands.bands
    for at in range(len(views)):
        view = views[at]
        first = view["image"][0] * torch.tensor([b.std for b in bands])[:, None, None]
        metres = first + torch.tensor([b.mean for b in bands])[:, None, None]
        known = metres[:, view["valid"][0, 0]].T.numpy()
        shown = {(int(east), int(-north)) for east, north in known}
        assert not shown & judged
    choose = choose_views(views.data, views.config)
    assert 0 < len(choose) <= MOST_JUDGED
