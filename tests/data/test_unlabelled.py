"""Images without labels: which may be learnt from, and which lie on the ground of val."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.warp import calculate_default_transform, reproject

from geohier.config.schema import TrainConfig
from geohier.data.unlabelled import prepare_unlabelled
from geohier.errors import InputError

SIDE = 64
WriteImage = Callable[..., None]


@pytest.fixture
def write_image(tmp_path: Path) -> WriteImage:
    """Return a function that writes an image at a place, and its line in split.csv."""
    rows: list[dict[str, str]] = []

    def write(
        name: str,
        *,
        split: str = "train",
        east: float = 0,
        crs: str | None = "EPSG:32631",
        dtype: str = "uint8",
    ) -> None:
        draw = np.random.default_rng(len(rows))
        values = draw.integers(1, np.iinfo(dtype).max, (2, SIDE, SIDE)).astype(dtype)
        here = Affine(1, 0, 500_000 + east, 0, -1, 5_000_000)
        box = here.c, here.f - SIDE, here.c + SIDE, here.f
        place, size = here, (SIDE, SIDE)
        if crs not in (None, "EPSG:32631"):
            place, width, height = calculate_default_transform("EPSG:32631", crs, SIDE, SIDE, *box)
            assert height is not None
            assert width is not None
            size = height, width
            moved = np.zeros((2, *size), dtype)
            reproject(values, moved, src_transform=here, src_crs="EPSG:32631",
                      dst_transform=place, dst_crs=crs)  # fmt: skip
            values = moved
        profile = {"count": 2, "height": size[0], "width": size[1], "dtype": dtype, "nodata": 0}
        path = tmp_path / f"{name}.tif"
        with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=place, **profile) as file:
            file.write(values)
        rows.append({"scene": name, "split": split, "image": path.name})
        with (tmp_path / "split.csv").open("w", newline="") as table:
            writer = csv.DictWriter(table, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    return write


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "data": {"root": tmp_path, "classes": {"ground": 0, "roof": 1}},
            "chips": {"size_px": 32},
            "training": {"block_px": 16, "buffer_px": 0},
            "pretraining": {"contrast": 1},
        }
    )


def names(config: TrainConfig) -> set[str]:
    return {one.scene.id for one in prepare_unlabelled(config).scenes}


def test_wide_values_among_bytes_are_refused(write_image: WriteImage, config: TrainConfig) -> None:
    write_image("a")
    write_image("wide", east=1000, dtype="uint16")
    with pytest.raises(InputError, match=r"wide\.tif: band band_1 is uint16 with values from"):
        prepare_unlabelled(config)


def test_scenes_need_no_labels_at_all(write_image: WriteImage, config: TrainConfig) -> None:
    write_image("a")
    write_image("b", east=1000)
    data = prepare_unlabelled(config)
    assert [one.scene.id for one in data.scenes] == ["a", "b"]
    assert data.bands.names == ("band_1", "band_2")
    assert set(data.hashes) == {"train/a", "train/b"}


@pytest.mark.parametrize("folder", ["", "images", "train", "train/images"])
def test_a_folder_of_images_is_enough(
    write_image: WriteImage, config: TrainConfig, tmp_path: Path, folder: str
) -> None:
    write_image("a")
    write_image("b", east=1000)
    (tmp_path / "split.csv").unlink()
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for name in ("a", "b"):
        (tmp_path / f"{name}.tif").rename(tmp_path / folder / f"{name}.tif")
    assert names(config) == {"a", "b"}


def test_neither_val_nor_anything_on_its_ground_is_learnt_from(
    write_image: WriteImage, config: TrainConfig
) -> None:
    """Another date, half a scene further, another CRS; but not the neighbour that touches it."""
    write_image("judge", split="val")
    write_image("other_date")
    write_image("half", east=SIDE / 2)
    write_image("degrees", east=3, crs="EPSG:4326")
    write_image("other_zone", east=-SIDE / 2, crs="EPSG:32632")
    write_image("neighbour", east=SIDE)
    write_image("far", east=1000)
    data = prepare_unlabelled(config)
    assert {one.scene.id for one in data.scenes} == {"neighbour", "far"}
    assert data.notes[0] == "1 val scenes are left out"
    assert data.notes[1] == (
        "4 of 6 train scenes are left out, since they lie on the ground of val scenes: "
        "other_date, half, degrees, ..."
    )


def test_without_a_crs_the_same_file_is_the_same_ground(
    write_image: WriteImage, config: TrainConfig, tmp_path: Path
) -> None:
    for name in ("a", "b", "copy"):
        write_image(name, crs=None)
    write_image("judge", split="val", crs=None)
    (tmp_path / "copy.tif").write_bytes((tmp_path / "judge.tif").read_bytes())
    assert names(config) == {"a", "b"}


def test_it_is_told_when_nothing_is_left(write_image: WriteImage, config: TrainConfig) -> None:
    write_image("judge", split="val")
    write_image("other_date")
    with pytest.raises(InputError, match="no imagery is left to pretrain on: all 1 train scenes"):
        prepare_unlabelled(config)


def test_dates_of_one_grid_are_twins_and_judged_on_the_same_ground(
    write_image: WriteImage, config: TrainConfig
) -> None:
    for date in range(3):
        write_image(f"date{date}")
    write_image("shifted", east=SIDE / 2)
    write_image("far", east=1000)
    data = prepare_unlabelled(config)
    assert data.twins == ((1, 2, 3), (0, 2, 3), (0, 1, 3), (0, 1, 2), ())
    assert data.choose[0].parts == data.choose[1].parts == data.choose[2].parts
    alone = config.model_copy(
        update={"pretraining": config.pretraining.model_copy(update={"contrast": 0})}
    )
    assert set(prepare_unlabelled(alone).twins) == {()}
