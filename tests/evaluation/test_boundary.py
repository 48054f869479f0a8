"""Outlines are met, or missed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geohier.evaluation.boundary import BoundaryCounts, boundary_counts, outline

MASKS = arrays(np.bool_, (12, 12))
ALL = np.ones((12, 12), np.bool_)


def disc(radius: float, side: int = 41) -> np.ndarray:
    rows, columns = np.indices((side, side)) - side // 2
    return np.hypot(rows, columns) <= radius


@given(MASKS)
def test_what_is_the_same_is_met_everywhere(mask: np.ndarray) -> None:
    counts = boundary_counts(mask, mask, ALL, 0)
    assert counts.found == counts.found_right == counts.true == counts.true_found
    assert counts.f1 == 1 or math.isnan(counts.f1)


@given(MASKS, MASKS, MASKS, st.floats(0, 3), st.floats(0, 3))
def test_nearer_is_stricter_and_precision_of_one_is_recall_of_the_other(
    found: np.ndarray, truth: np.ndarray, labelled: np.ndarray, first: float, second: float
) -> None:
    strict, mild = (boundary_counts(found, truth, labelled, px) for px in sorted((first, second)))
    assert strict.found_right <= mild.found_right
    assert strict.true_found <= mild.true_found
    back = boundary_counts(truth, found, labelled, first)
    there = boundary_counts(found, truth, labelled, first)
    assert (back.found, back.found_right) == (there.true, there.true_found)


@given(MASKS, MASKS)
def test_an_outline_is_within_its_class_and_beside_another(
    mask: np.ndarray, labelled: np.ndarray
) -> None:
    edge = outline(mask, labelled)
    assert not (edge & ~(mask & labelled)).any()
    for row, column in np.argwhere(edge):
        sides = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
        inside = [(r, c) for r, c in sides if 0 <= r < 12 and 0 <= c < 12]
        assert any(labelled[at] and not mask[at] for at in inside)


@pytest.mark.parametrize(("grown", "within", "met"), [(2, 1, 0), (2, 2.5, 1), (0, 0, 1)])
def test_a_disc_that_is_too_large_is_off_by_so_much(grown: int, within: float, met: int) -> None:
    truth = disc(10)
    counts = boundary_counts(disc(10 + grown), truth, np.ones_like(truth), within)
    assert counts.f1 == pytest.approx(met, abs=0.01)


def test_a_shift_costs_boundaries_more_than_areas() -> None:
    truth = disc(15)
    moved = np.roll(truth, 2, 1)
    iou = (truth & moved).sum() / (truth | moved).sum()
    assert boundary_counts(moved, truth, np.ones_like(truth), 1).f1 < iou - 0.1


def test_nothing_found_is_0_and_nothing_there_is_unknown() -> None:
    nothing, some = np.zeros((12, 12), np.bool_), np.eye(12, dtype=np.bool_)
    assert boundary_counts(nothing, some, ALL, 1).f1 == 0
    assert math.isnan(boundary_counts(some, nothing, ALL, 1).f1)
    assert math.isnan(boundary_counts(nothing, nothing, ALL, 1).precision)


def test_counts_of_images_add_up() -> None:
    assert BoundaryCounts(1, 2, 3, 4) + BoundaryCounts(10, 20, 30, 40) == BoundaryCounts(
        11, 22, 33, 44
    )
