"""A curriculum draws easy places first, and bit by bit all of them."""

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from known_labels import drawn_labels, fit_labels, window

from geohier.config.curriculum import CurriculumConfig
from geohier.data.curriculum import CANDIDATES, PacedPlaces, competence
from geohier.data.difficulty import ClassEntropy, PixelSize, RunningLoss
from geohier.data.label_cells import LabelCells
from geohier.data.labels import IGNORE_INDEX
from geohier.data.sampling import Field, Place, RandomPlaces, sample_rng

FIELDS = (Field(height=512, width=640, parts=(window(512, 640),)),)

paces = st.builds(
    CurriculumConfig,
    start=st.floats(0, 0.99),
    epochs=st.integers(1, 50),
    difficulty=st.just("loss"),
)


class FromTheLeft:
    """Places further to the right are harder."""

    def of(self, place: Place) -> float:
        return float(place.window.col_off)


def paced(**config: Any) -> PacedPlaces:  # noqa: ANN401
    settings = CurriculumConfig(difficulty="entropy", **config)
    return PacedPlaces(RandomPlaces(FIELDS, 32), FromTheLeft(), settings)


def columns(places: PacedPlaces, epoch: int, count: int = 300) -> list[int]:
    places.set_epoch(epoch)
    return [places.draw(sample_rng(0, epoch, at)).window.col_off for at in range(count)]


@given(config=paces)
def test_the_pace_rises_from_its_start_to_all_places(config: CurriculumConfig) -> None:
    shares = [competence(epoch, config) for epoch in range(config.epochs + 3)]
    assert shares[0] == pytest.approx(config.start)
    assert all(one <= other + 1e-12 for one, other in pairwise(shares))
    assert shares[config.epochs :] == pytest.approx([1, 1, 1])


def test_easy_places_come_first_and_in_the_end_all_come_alike() -> None:
    places = paced(start=0.25, epochs=4)
    means = [np.mean(columns(places, epoch)) for epoch in (0, 2, 4)]
    plain = RandomPlaces(FIELDS, 32)
    uniform = np.mean([plain.draw(sample_rng(1, 0, at)).window.col_off for at in range(300)])
    assert means[0] < 0.5 * uniform
    assert means[0] < means[1] < means[2]
    assert means[2] == pytest.approx(uniform, rel=0.1)


def test_the_control_goes_the_other_way_round() -> None:
    easy, hard = paced(start=0.25), paced(start=0.25, order="hard_first")
    assert np.mean(columns(hard, 0)) > 2 * np.mean(columns(easy, 0))


@pytest.mark.parametrize("order", ["easy_first", "hard_first"])
def test_the_quantile_that_is_logged_moves_towards_one_half(order: str) -> None:
    places = paced(start=0.2, epochs=5, order=order)
    found = []
    for epoch in range(6):
        places.set_epoch(epoch)
        found.append(abs(places.quantile(0, epoch, 400) - 0.5))
    assert found[0] > 0.3
    assert all(one > other for one, other in pairwise(found[:5]))
    assert found[5] < 0.05


class OnTheLeft:
    """Only places in the left third hold labels."""

    def of(self, place: Place) -> float:
        return 1.0 if place.window.col_off < 200 else math.nan


@pytest.mark.parametrize("order", ["easy_first", "hard_first"])
def test_places_without_labels_are_drawn_last_in_both_directions(order: str) -> None:
    config = CurriculumConfig.model_validate(
        {"difficulty": "entropy", "start": 0.1, "order": order}
    )
    places = PacedPlaces(RandomPlaces(FIELDS, 32), OnTheLeft(), config)
    plain = RandomPlaces(FIELDS, 32)
    usual = np.mean([plain.draw(sample_rng(0, 0, at)).window.col_off < 200 for at in range(300)])
    labelled = np.mean([column < 200 for column in columns(places, 0)])
    assert usual < 0.4
    assert labelled > 0.9


def test_what_is_drawn_depends_on_seed_epoch_and_index_alone() -> None:
    places = paced(start=0.3)
    places.set_epoch(3)
    one = [places.draw(sample_rng(7, 3, at)) for at in range(20)]
    other = [places.draw(sample_rng(7, 3, at)) for at in reversed(range(20))]
    assert one == other[::-1]


def test_the_quantile_is_that_of_the_chips_that_come() -> None:
    """With one candidate allowed it is the first of so many."""
    places = paced(start=0.01, epochs=100)
    places.set_epoch(0)
    assert places.quantile(0, 0, 50) == 0.5 / CANDIDATES


def place(row: int, col: int, side: int = 64, scene: int = 0) -> Place:
    return Place(scene=scene, window=window(side, side, row, col), labelled=(), surroundings=False)


def test_entropy_is_that_of_the_classes_under_the_chip() -> None:
    labels = np.zeros((256, 320), np.uint8)
    labels[:, 64:128] = 1  # one column of cells of the other class
    labels[:, 192:] = IGNORE_INDEX
    found = fit_labels(labels)
    entropy = ClassEntropy(LabelCells(found, 2), found.fields)
    assert entropy.of(place(0, 0)) == 0
    assert entropy.of(place(0, 64)) == 0
    assert entropy.of(place(64, 0, 128)) == pytest.approx(math.log(2))
    assert entropy.of(place(0, 0, 192)) == pytest.approx(
        -(2 / 3) * math.log(2 / 3) - (1 / 3) * math.log(1 / 3)
    )
    assert math.isnan(entropy.of(place(0, 256)))  # nothing labelled


@given(seed=st.integers(0, 9), row=st.integers(-80, 300), col=st.integers(-80, 300))
def test_entropy_equals_that_of_the_pixels_in_the_cells_it_touches(
    seed: int, row: int, col: int
) -> None:
    labels = drawn_labels(seed, (200, 230), (0.5, 0.2, 0.1))
    found = fit_labels(labels)
    cells = LabelCells(found, 3)
    touched = labels[
        max(0, row) // cells.side * cells.side : max(0, -(-(row + 64) // cells.side) * cells.side),
        max(0, col) // cells.side * cells.side : max(0, -(-(col + 64) // cells.side) * cells.side),
    ]
    counts = np.array(list(Counter(touched[touched != IGNORE_INDEX].tolist()).values()))
    shares = counts / max(counts.sum(), 1)
    expected = -(shares * np.log(shares)).sum() if len(counts) else math.nan
    entropy = ClassEntropy(cells, found.fields).of(place(row, col))
    assert entropy == pytest.approx(expected, nan_ok=True)


def test_fine_pixels_are_harder_than_coarse_ones() -> None:
    fields = (*FIELDS, Field(height=99, width=99, parts=(window(99, 99),), step=(2.0, 2.0)))
    size = PixelSize(fields)
    assert size.of(place(0, 0, 32)) > size.of(place(0, 0, 64))
    assert size.of(place(0, 0, 32)) == size.of(place(0, 0, 64, scene=1))


def test_a_running_loss_is_kept_for_each_neighbourhood() -> None:
    loss = RunningLoss(FIELDS, size_px=64)
    here, there = place(0, 0), place(256, 256)
    assert loss.of(here) == 0
    loss.learn([here, here, here], torch.tensor([4.0, 2.0, torch.nan]))
    assert loss.of(here) == pytest.approx(3)
    assert loss.of(there) == pytest.approx(3)  # as hard as the others
    loss.learn([there], torch.tensor([1.0]))
    assert loss.of(there) == 1
    assert loss.of(place(450, 600)) == pytest.approx(2)
