"""Random changes to chips: what moves together, and what stays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision import tv_tensors

from geohier.config.chips import AugmentConfig
from geohier.config.schema import TrainConfig
from geohier.data.augment import BandDropout, Haze, Noise, augmentation
from geohier.data.chips import fit_chips
from geohier.data.cutmix import cut_mix
from geohier.data.labels import IGNORE_INDEX
from geohier.data.prepare import prepare

OFF = dict.fromkeys(
    ("gain", "offset", "band_gain", "band_offset", "gamma", "haze", "noise", "band_dropout"), 0
)


def drawn_chip(seed: int, side: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    """Return an image whose first band tells its labels, the labels, and where it is valid."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.randint(3, (side, side), generator=generator)
    valid = torch.rand(side, side, generator=generator) < 0.8
    image = torch.randn(3, side, side, generator=generator)
    image[0], image[1] = mask.float(), valid.float()
    return image, mask, valid


def changed(config: dict[str, Any], seed: int, chip: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    torch.manual_seed(seed)
    image, mask, valid = chip
    found = augmentation(AugmentConfig(**config))(
        tv_tensors.Image(image), tv_tensors.Mask(mask), tv_tensors.Mask(valid)
    )
    return tuple(one.as_subclass(Tensor) for one in found)


@given(st.integers(0, 10_000))
def test_image_labels_and_validity_move_together(seed: int) -> None:
    image, mask, valid = changed(OFF, seed, drawn_chip(seed))
    assert torch.equal(image[0], mask.float())
    assert torch.equal(image[1], valid.float())


@given(st.integers(0, 10_000))
def test_what_changes_colours_moves_neither_labels_nor_validity(seed: int) -> None:
    still = {"flips": False, "rotations": False}
    colours = {"gain": 0.5, "gamma": 0.5, "haze": 0.9, "noise": 1, "band_dropout": 0.5}
    chip = drawn_chip(seed)
    image, mask, valid = changed(still | colours, seed, chip)
    assert not torch.equal(image, chip[0])
    assert torch.equal(mask, chip[1])
    assert torch.equal(valid, chip[2])


@given(st.integers(0, 1000), st.floats(0.01, 0.99))
def test_haze_only_moves_pixels_towards_its_brightness_all_bands_alike(
    seed: int, largest: float
) -> None:
    torch.manual_seed(seed)
    image = torch.rand(2, 16, 16) * 2 - 3  # well below the veil
    veiled = Haze(largest)(tv_tensors.Image(image)).as_subclass(Tensor)
    share = (veiled - image) / (Haze.BRIGHT - image)
    assert float(share.min()) >= -1e-5
    assert float(share.max()) <= largest + 1e-5
    torch.testing.assert_close(share[0], share[1], atol=1e-4, rtol=0)


def test_noise_has_the_deviation_that_was_drawn_at_most() -> None:
    torch.manual_seed(0)
    image = tv_tensors.Image(torch.zeros(2, 64, 64))
    deviations = [float(Noise(0.5)(image).std()) for _ in range(60)]
    assert 0.4 < max(deviations) < 0.52
    assert min(deviations) < 0.1


@given(st.integers(0, 1000), st.integers(1, 6), st.sampled_from([0.1, 0.5, 0.99]))
def test_bands_drop_out_whole_and_one_is_always_left(seed: int, bands: int, chance: float) -> None:
    torch.manual_seed(seed)
    image = torch.rand(bands, 8, 8) + 1
    shown = BandDropout(chance)(tv_tensors.Image(image)).as_subclass(Tensor)
    kept = [bool((one != 0).all()) for one in shown]
    assert any(kept)
    for at, one in enumerate(kept):
        assert torch.equal(shown[at], image[at] if one else torch.zeros(8, 8))


def test_bands_drop_out_as_often_as_the_chance_says() -> None:
    torch.manual_seed(0)
    image = tv_tensors.Image(torch.ones(10, 1, 1))
    dropped = [float((BandDropout(0.3)(image) == 0).float().mean()) for _ in range(400)]
    assert sum(dropped) / 400 == pytest.approx(0.3 * 0.9, abs=0.03)


def batch(seed: int, count: int = 4) -> tuple[Tensor, Tensor]:
    """Return images whose pixels say which chip and pixel they are, and labels made from that."""
    image = torch.arange(count * 256, dtype=torch.float32).view(count, 1, 16, 16)
    labels = torch.where(image[:, 0] % 5 == seed % 5, IGNORE_INDEX, image[:, 0] % 3).long()
    return image, labels


@given(st.integers(0, 10_000))
def test_cutmix_moves_pixels_with_their_labels_and_makes_none_up(seed: int) -> None:
    image, labels = batch(seed)
    torch.manual_seed(seed)
    mixed, mixed_labels = cut_mix(image, labels, 0.9)
    known = labels.flatten()[mixed.long().flatten()]
    assert torch.equal(mixed_labels.flatten(), known)
    place = torch.arange(256.0).view(16, 16)
    assert torch.equal(mixed[:, 0] % 256, place.expand(4, 16, 16)), "each stays where it was"


@given(st.integers(0, 10_000))
def test_cutmix_takes_a_rectangle_of_the_next_chip(seed: int) -> None:
    image, labels = batch(0)
    torch.manual_seed(seed)
    source = cut_mix(image, labels, 0.9)[0][:, 0] // 256
    for at, chip in enumerate(source):
        other = chip != at
        assert bool((chip[other] == (at + 1) % 4).all())
        rows, cols = other.any(dim=1), other.any(dim=0)
        assert torch.equal(other, rows[:, None] & cols), "a rectangle"


def test_cutmix_leaves_its_batch_alone_and_touches_as_many_chips_as_the_chance_says() -> None:
    image, labels = batch(0, 400)
    before = image.clone(), labels.clone()
    torch.manual_seed(0)
    mixed, _ = cut_mix(image, labels, 0.25)
    assert torch.equal(image, before[0])
    assert torch.equal(labels, before[1])
    touched = (mixed != image).flatten(1).any(dim=1).float()
    assert float(touched.mean()) == pytest.approx(0.25, abs=0.06)


def test_scale_resamples_the_scene_so_that_a_model_sees_other_gsds(
    add_scene: Callable[..., None], make_config: Callable[..., TrainConfig]
) -> None:
    """Squares of 8 px shrink and grow; fine noise is averaged away as a coarser sensor would."""
    at = np.arange(256) // 8
    squares = ((at[:, None] + at) % 2).astype("uint8")
    noise = np.random.default_rng(0).integers(0, 2, (256, 256), dtype="uint8")
    add_scene("chequered", np.stack([squares * 100 + 50, noise * 100 + 50]), squares)
    still = OFF | {"flips": False, "rotations": False}
    sides, deviations = {}, {}
    for factor in (0.25, 1, 2):
        config = make_config(
            augment={**still, "scale": [factor, factor]},
            chips={"size_px": 32, "per_epoch": 12},
            training={"block_px": 128, "buffer_px": 0, "choose_share": 0.2},
        )
        chips = fit_chips(prepare(config), config)
        seen = [chips[index] for index in range(12)]
        changes = [(one["mask"][:, 1:] != one["mask"][:, :-1]).float().mean() for one in seen]
        whole = [one for one in seen if bool((one["mask"] != IGNORE_INDEX).all())]
        sides[factor] = 1 / float(torch.stack(changes).mean())
        deviations[factor] = float(torch.stack([one["image"][1].std() for one in whole]).mean())
    assert sides[1] == pytest.approx(8, rel=0.2)
    assert sides[0.25] == pytest.approx(2, rel=0.2)
    assert sides[2] == pytest.approx(16, rel=0.3)
    assert deviations[1] == pytest.approx(1, abs=0.1)
    assert deviations[0.25] < 0.4
