import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from geohier.config.schema import TrainConfig
from geohier.data import prepare as preparing
from geohier.data.chips import Chip, ChipDataset, choose_chips, fit_chips
from geohier.data.labelled import inside
from geohier.data.labels import IGNORE_INDEX
from geohier.data.prepare import TrainingData, prepare
from geohier.data.sampling import RandomPlaces, sample_rng
from geohier.geo.window import Window

AddScene = Callable[..., None]
MakeConfig = Callable[..., TrainConfig]

PLAIN = {"flips": False, "rotations": False, "scale": [1, 1]} | dict.fromkeys(
    ("gain", "offset", "band_gain", "band_offset", "gamma"), 0
)


def random_scene(rng: np.random.Generator, side: int, bands: int = 3) -> tuple[np.ndarray, ...]:
    image = rng.integers(1, 255, (bands, side, side), dtype="uint8")
    return image, rng.integers(0, 2, (side, side), dtype="uint8")


def same(one: Chip, other: Chip) -> bool:
    return (
        torch.equal(one["image"], other["image"])
        and torch.equal(one["mask"], other["mask"])
        and one["scene"] == other["scene"]
    )


def in_file_units(chips: ChipDataset, chip: Chip) -> torch.Tensor:
    """Undo the normalisation of a chip; all scenes have the same."""
    mean, std = chips.statistics[0]
    return chip["image"] * std + mean


@pytest.fixture
def prepared(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> tuple[TrainingData, TrainConfig]:
    add_scene("a", *random_scene(rng, 128))
    add_scene("b", *random_scene(rng, 96))
    config = make_config()
    return prepare(config), config


def test_a_chip_has_normalised_bands_and_class_indexes(
    prepared: tuple[TrainingData, TrainConfig],
) -> None:
    chips = fit_chips(*prepared)
    chip = chips[0]
    assert (chip["image"].shape, chip["image"].dtype) == ((3, 32, 32), torch.float32)
    assert (chip["mask"].shape, chip["mask"].dtype) == ((32, 32), torch.int64)
    assert set(chip["mask"].unique().tolist()) <= {0, 1, IGNORE_INDEX}
    assert chip["scene"] in "ab"


def test_a_scene_can_be_normalised_by_its_own_statistics(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    """A flight in the dusk looks like one at noon, though they are far apart in the files."""
    noon, mask = random_scene(rng, 128)
    add_scene("noon", noon, mask)
    add_scene("dusk", noon // 4, mask)
    config = make_config(data={"normalise": "scene"}, augment=PLAIN)
    chips = choose_chips(prepare(config), config)
    seen = {
        name: torch.stack([chip["image"] for chip in map(chips.__getitem__, range(len(chips)))
                           if chip["scene"] == name])
        for name in ("noon", "dusk")
    }  # fmt: skip
    for images in seen.values():
        shown = images[images != 0]
        assert abs(float(shown.mean())) < 0.1
        assert float(shown.std()) == pytest.approx(1, abs=0.05)


def test_a_chip_depends_on_seed_epoch_and_index_alone(
    prepared: tuple[TrainingData, TrainConfig],
) -> None:
    chips = fit_chips(*prepared)
    first = [chips[at] for at in range(len(chips))]
    torch.manual_seed(99)
    again = {at: chips[at] for at in reversed(range(len(chips)))}
    assert all(same(one, again[at]) for at, one in enumerate(first))
    chips.set_epoch(1)
    assert not any(same(one, chips[at]) for at, one in enumerate(first))


def test_chips_leave_the_global_generator_alone(
    prepared: tuple[TrainingData, TrainConfig],
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit_chips(*prepared)[0]
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("share", [0.25, 0.0], ids=["in memory", "from files"])
def test_workers_change_nothing_and_see_the_epoch(
    prepared: tuple[TrainingData, TrainConfig], monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    monkeypatch.setattr(preparing, "MEMORY_SHARE", share)
    config = prepared[1]
    chips = fit_chips(prepare(config), config)
    loader = DataLoader(chips, batch_size=None, num_workers=2, persistent_workers=True)
    for epoch in (0, 1):
        chips.set_epoch(epoch)
        for at, chip in enumerate(loader):
            assert same(chip, chips[at])


def test_memory_and_files_give_the_same_chips(
    prepared: tuple[TrainingData, TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, config = prepared
    monkeypatch.setattr(preparing, "MEMORY_SHARE", 0)
    kept, read = fit_chips(data, config), fit_chips(prepare(config), config)
    sent = pickle.loads(pickle.dumps(kept))
    for at in range(len(kept)):
        assert same(kept[at], read[at])
        assert same(kept[at], sent[at])


def shown_pixels(chips: ChipDataset, count: int) -> set[int]:
    """Return the values, one per pixel of the scene, that any chip shows or labels."""
    seen: set[int] = set()
    for at in range(count):
        image = in_file_units(chips, chips[at])
        seen |= set(image[0].round().long()[chips[at]["image"][0] != 0].tolist())
    return seen


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_fit_chips_never_show_a_choose_block_nor_its_buffer(
    prepared_maze: Callable[[int], tuple[TrainingData, TrainConfig]], seed: int
) -> None:
    """Each pixel has a value of its own, so a chip tells which pixels it shows."""
    data, config = prepared_maze(seed)
    seen = shown_pixels(fit_chips(data, config), 40)
    numbers = np.arange(1, 96 * 160 + 1).reshape(96, 160)
    allowed = inside(Window(row_off=0, col_off=0, height=96, width=160), data.fit[0].parts)
    assert seen <= set(numbers[allowed].tolist())
    assert len(seen) > 0.5 * allowed.sum()


def test_what_lies_in_choose_blocks_and_buffers_changes_no_fit_chip(
    prepared: tuple[TrainingData, TrainConfig],
) -> None:
    """Also not by way of resampling: the scale jitter is on."""
    data, config = prepared
    chips = fit_chips(data, config)
    before = [chips[at] for at in range(len(chips))]
    for pixels, field in zip(data.train, data.fit, strict=True):
        height, width = pixels.shape
        whole = Window(row_off=0, col_off=0, height=height, width=width)
        cut = pixels.read(whole)
        cut.values[:, ~inside(whole, field.parts)] = 255
        cut.labels[~inside(whole, field.parts)] = 1
    assert all(same(one, chips[at]) for at, one in enumerate(before))


@pytest.fixture
def prepared_maze(
    add_scene: AddScene, make_config: MakeConfig
) -> Callable[[int], tuple[TrainingData, TrainConfig]]:
    numbers = np.arange(1, 96 * 160 + 1, dtype="float32").reshape(1, 96, 160)
    add_scene("maze", numbers, (numbers[0] % 2).astype("uint8"))

    def make(seed: int) -> tuple[TrainingData, TrainConfig]:
        training = {"block_px": 32, "buffer_px": 4, "choose_share": 0.2, "seed": seed}
        chips = {"size_px": 32, "per_epoch": 40}
        config = make_config(augment=PLAIN, training=training, chips=chips)
        return prepare(config), config

    return make


def test_choose_chips_label_each_pixel_of_the_choose_blocks_once(
    prepared_maze: Callable[[int], tuple[TrainingData, TrainConfig]],
) -> None:
    data, config = prepared_maze(1)
    chips = choose_chips(data, config)
    labelled: list[int] = []
    for at in range(len(chips)):
        image = in_file_units(chips, chips[at])[0].round().long()
        assert (image > 0).all(), "the surroundings are shown"
        labelled += image[chips[at]["mask"] != IGNORE_INDEX].tolist()
        right = chips[at]["mask"] == image % 2
        assert (right | (chips[at]["mask"] == IGNORE_INDEX)).all()
    numbers = np.arange(1, 96 * 160 + 1).reshape(96, 160)
    whole = Window(row_off=0, col_off=0, height=96, width=160)
    expected = numbers[inside(whole, data.choose[0].parts)]
    assert sorted(labelled) == sorted(expected.tolist())


def test_image_and_mask_move_together(
    prepared_maze: Callable[[int], tuple[TrainingData, TrainConfig]], make_config: MakeConfig
) -> None:
    data, plain = prepared_maze(0)
    turning = plain.model_copy(
        update={"augment": plain.augment.model_copy(update={"flips": True, "rotations": True})}
    )
    straight, turned = fit_chips(data, plain), fit_chips(data, turning)
    moved = 0
    for at in range(10):
        chip = turned[at]
        image = in_file_units(turned, chip)[0].round().long()
        known = chip["mask"] != IGNORE_INDEX
        assert torch.equal(chip["mask"][known], (image % 2)[known])
        moved += not torch.equal(chip["image"], straight[at]["image"])
    assert moved >= 5


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_nodata_stays_zero_and_ignored_and_bleeds_into_nothing(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator, dtype: str
) -> None:
    """A hole in a nearly constant image: all that is shown keeps to it, at any scale."""
    image = rng.choice([100, 102], (2, 128, 128)).astype(dtype)
    image[:, 50:80, 40:90] = 0
    add_scene("holed", image, rng.integers(0, 2, (128, 128), dtype="uint8"), nodata=0)
    config = make_config(
        augment={**PLAIN, "scale": [0.5, 2.0]}, chips={"size_px": 64, "per_epoch": 12}
    )
    chips = fit_chips(prepare(config), config)
    blank, rounding = 0, 2.01 if dtype == "uint8" else 0.1
    for at in range(len(chips)):
        chip = chips[at]
        invalid = (chip["image"] == 0).all(dim=0)
        values = in_file_units(chips, chip)[:, ~invalid]
        assert ((values > 100 - rounding) & (values < 102 + rounding)).all()
        assert (chip["mask"][invalid] == IGNORE_INDEX).all()
        blank += int(invalid.sum())
    assert blank > 0


def test_scenes_of_different_gsd_are_brought_to_one(
    add_scene: AddScene, make_config: MakeConfig
) -> None:
    """A chequerboard of 8 m squares has them at 8 m whatever the scene's GSD."""
    for name, gsd_m, side in (("fine", 0.5, 256), ("coarse", 1.0, 128), ("coarser", 2.0, 64)):
        at = np.arange(side) * gsd_m // 8
        squares = ((at[:, None] + at) % 2).astype("uint8")
        add_scene(name, squares[None] * 100 + 50, squares, gsd_m=gsd_m)
    config = make_config({"gsd_m": 1.0}, augment=PLAIN, chips={"size_px": 64, "per_epoch": 30})
    data = prepare(config)
    assert data.gsd_m == pytest.approx((1.0, 1.0), rel=0.01)
    chips, names = fit_chips(data, config), set()
    for at in range(len(chips)):
        chip = chips[at]
        known = chip["mask"] != IGNORE_INDEX
        runs = [len(run) for row in chip["mask"].tolist() for run in _inner_runs(row)]
        if runs:
            assert 7 <= np.median(runs) <= 9
            names.add(chip["scene"])
        agree = (chip["image"][0] > 0) == (chip["mask"] == 1)
        assert agree[known].float().mean() > 0.85
    assert names == {"fine", "coarse", "coarser"}


def _inner_runs(row: list[int]) -> list[list[int]]:
    """Return runs of one class that end within the row on both sides."""
    runs: list[list[int]] = []
    for value in row:
        if runs and runs[-1][0] == value:
            runs[-1].append(value)
        else:
            runs.append([value])
    return [
        run
        for before, run, after in zip(runs, runs[1:], runs[2:], strict=False)
        if IGNORE_INDEX not in (before[0], run[0], after[0])
    ]


def test_scenes_are_drawn_by_their_area(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    add_scene("big", *random_scene(rng, 192))
    add_scene("small", *random_scene(rng, 64))
    config = make_config(chips={"size_px": 32, "per_epoch": 400}, augment=PLAIN)
    data = prepare(config)
    chips = fit_chips(data, config)
    share = np.mean([chips[at]["scene"] == "big" for at in range(len(chips))])
    sizes = [field.chip_pixels for field in data.fit]
    assert share == pytest.approx(sizes[0] / sum(sizes), abs=0.06)


@pytest.mark.parametrize(
    ("chips", "length"),
    [
        ({"size_px": 32, "per_epoch": 7}, 7),
        ({"size_px": 32, "megapixels_per_epoch": 0.1024}, 100),
    ],
)
def test_an_epoch_is_as_long_as_the_config_says(
    add_scene: AddScene,
    make_config: MakeConfig,
    rng: np.random.Generator,
    chips: dict[str, float],
    length: int,
) -> None:
    add_scene("a", *random_scene(rng, 96))
    config = make_config(chips=chips)
    dataset = fit_chips(prepare(config), config)
    assert len(dataset) == length
    with pytest.raises(IndexError):
        dataset[length]


def test_a_scene_smaller_than_a_chip_is_surrounded_by_ignored_pixels(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    add_scene("a", *random_scene(rng, 40))
    add_scene("b", *random_scene(rng, 40))
    config = make_config(chips={"size_px": 64, "per_epoch": 4}, augment=PLAIN)
    chips = fit_chips(prepare(config), config)
    for at in range(4):
        assert int((chips[at]["mask"] != IGNORE_INDEX).sum()) == 40 * 40


def test_tone_jitter_changes_bands_alike_and_leaves_the_mask(
    prepared: tuple[TrainingData, TrainConfig], make_config: MakeConfig
) -> None:
    data, _ = prepared
    tones = {**PLAIN, "gain": 0.3, "offset": 0.3}
    plain, toned = (fit_chips(data, make_config(augment=one)) for one in (PLAIN, tones))
    changes = []
    for at in range(8):
        before, after = plain[at], toned[at]
        assert torch.equal(before["mask"], after["mask"])
        shown = before["image"].abs().sum(dim=0) > 0
        slope, shift = np.polyfit(
            before["image"][:, shown].ravel(), after["image"][:, shown].ravel(), 1
        )
        assert 0.7 <= slope <= 1.3
        assert abs(shift) <= 0.3
        changes.append((slope, shift))
    assert len(set(changes)) == 8


def resized(values: np.ndarray, side: int) -> np.ndarray:
    """Resize as Pillow does: bilinearly, over all pixels that fall into one where it shrinks."""
    whole = Image.fromarray(np.asarray(values, np.float32))
    return np.asarray(whole.resize((side, side), Image.Resampling.BILINEAR))


def test_a_scaled_chip_is_its_window_resampled_in_image_labels_and_validity_alike(
    add_scene: AddScene, make_config: MakeConfig, rng: np.random.Generator
) -> None:
    image, mask = random_scene(rng, 128)
    image[:, 20:70, 30:75] = 0
    add_scene("holed", image, mask, nodata=0)
    scale = {**PLAIN, "scale": [0.5, 2.0]}
    config = make_config(augment=scale, chips={"size_px": 32, "per_epoch": 12})
    chips = fit_chips(prepare(config), config)
    assert isinstance(chips.places, RandomPlaces)
    zooms = []
    for at in range(len(chips)):
        place = chips.places.draw(sample_rng(config.training.seed, 0, at))
        rows, cols = place.window.slices
        fitted = inside(place.window, place.labelled)
        seen = fitted & (image[0, rows, cols] > 0)
        share = resized(seen, 32)
        own = (np.arange(32) + 0.5) * place.window.height / 32
        nearest = np.ix_(own.astype(int), own.astype(int))
        labelled = (share >= 0.5) & seen[nearest]
        expected = np.where(labelled, mask[rows, cols][nearest], IGNORE_INDEX)
        sure = abs(share - 0.5) > 1e-3
        np.testing.assert_array_equal(chips[at]["mask"].numpy()[sure], expected[sure])
        shown = in_file_units(chips, chips[at]).numpy()[:, sure & (share > 0.5)]
        means = [resized(one * seen, 32) / share.clip(1e-6) for one in image[:, rows, cols]]
        np.testing.assert_allclose(shown, np.stack(means)[:, sure & (share > 0.5)], atol=2.01)
        assert not chips[at]["image"].numpy()[:, sure & (share < 0.5)].any()
        zooms.append(32 / place.window.height)
    assert min(zooms) < 0.7
    assert max(zooms) > 1.4
