"""Scenes of several dates, from their files to chips."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dated_scenes import write_image, write_stack
from doubles import ArrayReader
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geohier.config.schema import DataConfig, TrainConfig
from geohier.data.catalog import read_catalog
from geohier.data.chips import choose_chips, fit_chips
from geohier.data.labels import IGNORE_INDEX
from geohier.data.prepare import prepare
from geohier.data.resplit import Resplit, resplit
from geohier.data.scene import find_scenes, open_scene
from geohier.data.scene_file import read_scene_file
from geohier.data.stacks import resample_groups
from geohier.errors import ConfigError, InputError
from geohier.geo.dates import read_date
from geohier.geo.window import Window
from geohier.layers.dates import stack_of
from geohier.raster.groups import BandGroup, GroupedReader, seen_by
from geohier.raster.source import Pixels, bands_by_date

YEARS = (2016, 2018, 2020)


def noise(seed: int, side: int = 96) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (3, side, side), dtype="uint8")


def split(data: DataConfig) -> Resplit:
    return resplit(data, shares=[0.5], block_px=32, buffer_px=0, seed=0)


def config(root: Path, data: dict[str, object] | None = None, **sections: object) -> TrainConfig:
    values: dict[str, Any] = {
        "data": {
            "root": root,
            "classes": {0: "ground", 1: "roof"},
            "dates": {"place": "place", "date": "year"},
            **(data or {}),
        },
        "model": {"decoder": "hierarchy", "hierarchy": {"time": {"kind": "ltae"}}},
        "chips": {"size_px": 32},
        "training": {"block_px": 32, "buffer_px": 0},
        **sections,
    }
    return TrainConfig.model_validate(values)


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """Place a at three dates, the middle one with nodata in its left half; place b at one."""
    lines = ["scene,split,place,year,image,mask"]
    for number, (place, years) in enumerate({"a": YEARS, "b": (2020,)}.items()):
        for year in years:
            image, name = noise(year + number), f"{place}_{year}"
            if year == 2018:
                image[:, :, :48] = 0
            write_image(tmp_path / f"{name}.tif", image, nodata=0)
            mask = (noise(number)[:1] > 128).astype("uint8")
            write_image(tmp_path / f"{name}_mask.tif", mask)
            split = "train" if year == 2020 else "more"
            lines.append(f"{name},{split},{place},{year},{name}.tif,{name}_mask.tif")
    (tmp_path / "split.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_a_scene_is_a_labelled_row_with_all_earlier_ones_of_its_place(places: Path) -> None:
    a, b = read_catalog(config(places).data).train
    assert (a.id, a.taken, b.id, b.earlier) == ("a_2020", date(2020, 7, 2), "b_2020", ())
    assert [day.year for day, _ in a.earlier] == [2018, 2016]
    assert [path.name for path in a.images] == ["a_2020.tif", "a_2018.tif", "a_2016.tif"]
    everything = {"splits": {"train": ["train", "more"]}}
    found = read_catalog(config(places, everything).data).train
    assert [len(one.images) for one in found] == [1, 2, 3, 1]


@pytest.mark.parametrize(
    ("limits", "dates"),
    [({"least": 2}, [3]), ({"most": 2}, [2, 1]), ({"least": 3, "most": 1}, [1])],
)
def test_too_few_dates_are_no_scene_and_too_many_are_the_newest(
    places: Path, limits: dict[str, int], dates: list[int]
) -> None:
    keys = {"place": "place", "date": "year", **limits}
    found = read_catalog(config(places, {"dates": keys}).data).train
    assert [len(one.images) for one in found] == dates
    assert all(one.taken == date(2020, 7, 2) for one in found)


def test_chips_tell_dates_and_are_0_where_a_date_saw_nothing(places: Path) -> None:
    data = prepare(config(places))
    assert data.most_dates == 3
    assert len(data.bands) == 3
    fit = fit_chips(data, config(places))
    chips = [*choose_chips(data, config(places)), *(fit[at] for at in range(8))]
    assert {chip["image"].shape for chip in chips} == {torch.Size((3 * 5, 32, 32))}
    for chip in chips:
        stack = stack_of(chip["image"][None], 3)
        assert bool((chip["mask"][~stack.seen[0].any(0)] == IGNORE_INDEX).all())
        assert not bool(stack.images[0].movedim(1, -1)[~stack.seen[0]].any())
        if chip["scene"] == "b_2020":
            assert stack.days.tolist() == [[184, 0, 0]]
        else:
            assert stack.days[0, ::2].tolist() == [184, 184]
            assert stack.ages[0, ::2].tolist() == [0, 4]
            assert stack.days[0, 1] in (0, 183)


def test_bands_are_measured_over_all_dates(places: Path) -> None:
    """Each date is as noisy as the others; nodata of one of them hides nothing of the others."""
    for year, dark in ((2016, 100), (2018, 0), (2020, 0)):
        write_image(places / f"a_{year}.tif", np.maximum(noise(1) // 3, 1) + np.uint8(dark))
    keys = {"dates": {"place": "place", "date": "year", "least": 3}}
    means = [band.mean for band in prepare(config(places, keys)).bands]
    expected = (np.maximum(noise(1) // 3, 1).mean(axis=(1, 2)) * 3 + 100) / 3
    np.testing.assert_allclose(means, expected, rtol=0.02)


def test_a_network_of_one_image_refuses_stacks_and_one_of_dates_scenes_without(
    places: Path,
) -> None:
    write_stack(places / "two.scene.yaml", {2016: noise(0), 2020: noise(1)})
    pair = [{"image": "two.scene.yaml", "mask": "a_2020_mask.tif"}]
    lists: dict[str, object] = {"dates": None, "train": pair}
    assert prepare(config(places, lists)).most_dates == 2
    with pytest.raises(InputError, match="a stack of 2 dates, and the network reads one image"):
        prepare(config(places, lists, model={}))
    lists["train"] = [{"image": "a_2020.tif", "mask": "a_2020_mask.tif"}]
    with pytest.raises(InputError, match=r"a_2020.tif: has no date, .* give data.dates"):
        prepare(config(places, lists))


def test_a_date_of_other_bands_is_named(places: Path) -> None:
    write_image(places / "a_2016.tif", noise(0)[:2])
    with pytest.raises(InputError, match="has the bands red green of 2016-07-02, but the first"):
        prepare(config(places))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("x,more,a,2018,a_2018.tif,", "line 6: place a has two images of 2018-07-02"),
        ("x,more,a,,a_2018.tif,", "line 6: year: '' is no date: give 2016-06-30, 2016-06 or"),
        ("x,more,,2011,a_2018.tif,", "line 6: place is empty"),
        ("x,more,a,2011,gone.tif,", r"gone.tif: there is no such file: it is the image of scene a"),
    ],
)
def test_rows_that_make_no_stack_are_told(places: Path, row: str, said: str) -> None:
    with (places / "split.csv").open("a") as table:
        table.write(row + "\n")
    with pytest.raises(InputError, match=said):
        read_catalog(config(places).data)


def test_dates_need_columns_of_a_table(places: Path) -> None:
    with pytest.raises(InputError, match="no column location date among"):
        read_catalog(config(places, {"dates": {"place": "location"}}).data)
    (places / "split.csv").unlink()
    with pytest.raises(ConfigError, match=r"has no split\.csv for data\.dates"):
        read_catalog(config(places).data)


def test_stacks_are_split_as_scene_files_and_not_as_rows(places: Path) -> None:
    with pytest.raises(ConfigError, match=r"split places by data\.splits \(column: place\)"):
        split(config(places).data)
    write_stack(places / "two.scene.yaml", {2016: noise(0), 2020: noise(1)})
    pair = [{"image": "two.scene.yaml", "mask": "a_2020_mask.tif"}]
    assert split(config(places, {"dates": None, "train": pair}).data).blocks == 9


def test_a_scene_file_of_dates_is_one_raster_on_the_grid_of_the_newest(tmp_path: Path) -> None:
    small, large = noise(0, 48), noise(1)
    path = write_stack(tmp_path / "s.scene.yaml", {2016: small, "2020-06-30": large, 2018: large})
    assert [file.taken and file.taken.year for file in read_scene_file(path)] == [2020, 2018, 2016]
    assert [scene.id for scene in find_scenes([tmp_path])] == ["s"]
    with open_scene(path) as source:
        assert source.geobox.shape == (96, 96)
        assert bands_by_date(source.bands) == {
            date(2020, 6, 30): (0, 1, 2),
            date(2018, 7, 2): (3, 4, 5),
            date(2016, 7, 2): (6, 7, 8),
        }
        told = [band.identity.get("taken") for band in source.bands]
    assert told[::3] == ["2020-06-30", "2018-07-02", "2016-07-02"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "dates: [{date: 2016, files: [{path: a.tif}]}, {date: 2016-07-02, files: [{path: b}]}]",
            "date 2016-07-02 stands 2 times: keep one",
        ),
        ("dates: [{date: 16, files: [{path: a.tif}]}]", "dates.0.date: 16 is no date"),
        ("dates: [{date: 2016, file: a.tif}]", "file: unknown key; the keys are date files"),
        ("files: [{path: a.tif}]\ndates: [{date: 2016, files: [{path: a.tif}]}]", "found both"),
        ("{}", "give files, or dates with files each; found neither"),
    ],
)
def test_scene_files_that_make_no_stack_are_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "s.scene.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as error:
        read_scene_file(path)
    assert "\n" not in str(error.value)


def test_a_resampled_pixel_is_valid_where_the_group_is_that_may_not_miss() -> None:
    seen = np.ones((2, 64, 64), np.bool_)
    seen[0, :, :21] = False
    seen[1, :, 40:] = False
    groups = (
        BandGroup(places=(0, 2), may_miss=False),
        BandGroup(places=(1,), may_miss=True),
    )
    values = torch.from_numpy(noise(0, 64)).float()
    image, valid = resample_groups(values, torch.from_numpy(seen), groups, 32)
    assert image.shape == (3, 32, 32)
    assert valid[0, 0].nonzero().flatten().tolist() == [*range(valid[0, 0].int().argmax(), 32)]
    assert 0 < int(valid[1].sum()) < int(valid[0].sum())
    assert not bool((valid[1] & ~valid[0]).any())


@given(st.dates(min_value=date(1900, 1, 1)))
def test_dates_are_read_as_they_are_written(day: date) -> None:
    assert read_date(day) == read_date(day.isoformat()) == read_date(f"{day:%Y%m%d}") == day
    assert read_date(f"{day:%Y-%m}") == day.replace(day=15)
    assert read_date(day.year) == read_date(str(day.year)) == date(day.year, 7, 2)


@given(
    values=arrays(np.uint8, (5, 4, 6)),
    valid=arrays(np.bool_, (5, 4, 6)),
    may_miss=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_a_pixel_is_valid_where_no_group_misses_that_may_not(
    values: np.ndarray, valid: np.ndarray, may_miss: tuple[bool, bool, bool]
) -> None:
    places = ((0, 3), (1,), (2, 4))
    pairs = zip(places, may_miss, strict=True)
    groups = tuple(BandGroup(places=own, may_miss=misses) for own, misses in pairs)
    whole = Window(row_off=0, col_off=0, height=4, width=6)
    found: Pixels = GroupedReader(ArrayReader(values, valid), groups).read(whole)
    seen = [valid[list(own)].all(axis=0) for own in places]
    needed = [mask for mask, misses in zip(seen, may_miss, strict=True) if not misses]
    usable = np.logical_and.reduce(needed) if needed else np.ones((4, 6), bool)
    for mask, own in zip(seen, places, strict=True):
        assert (found.valid[list(own)] == (mask & usable)).all()
    assert (seen_by(groups, found) == [mask & usable for mask in seen]).all()
