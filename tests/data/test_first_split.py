"""Which scenes a first split lets judge."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from geohier.data.first_split import SCENES_TO_SPLIT_WHOLE, VAL_SHARE, places_that_judge
from geohier.data.initialise import initialise

DATES = 20


@given(st.lists(st.integers(1, 60), min_size=SCENES_TO_SPLIT_WHOLE), st.integers(0, 99))
def test_of_places_of_any_size_some_judge_and_most_scenes_are_left_to_learn_from(
    scenes: list[int], seed: int
) -> None:
    share = round(VAL_SHARE * sum(scenes))
    judging = places_that_judge(scenes, seed)
    judged = sum(scenes[place] for place in judging)
    assert 0 < judged < 2 * share
    others = [count for place, count in enumerate(scenes) if place not in judging]
    assert judged >= share or all(judged + count >= 2 * share for count in others)


@pytest.mark.parametrize("seed", range(4))
def test_a_place_of_many_dates_is_learned_from_beside_places_of_one(
    tmp_path: Path, write_scene: Callable[..., Path], seed: int
) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    rng = np.random.default_rng(0)
    for at in range(DATES + 4):
        east = 500_000 + 9000 * max(0, at - DATES + 1)
        place = {"transform": Affine(10, 0, east, 0, -10, 5_000_000)}
        image, mask = (rng.integers(0, most, (1, 64, 64), dtype="uint8") for most in (200, 2))
        write_scene(image, f"images/s{at:02}.tif", **place)
        write_scene(mask, f"masks/s{at:02}.tif", **place)
    catalog = initialise(tmp_path, seed=seed).catalog
    assert {one.id for one in catalog.val} == {f"s{at}" for at in range(DATES, DATES + 4)}
