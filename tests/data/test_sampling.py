from collections import Counter

import numpy as np
import pytest

from geohier.data.sampling import Field, RandomPlaces, SceneWeights
from geohier.geo.window import Window


def field(side: int, step: float = 1.0) -> Field:
    whole = Window(row_off=0, col_off=0, height=side, width=side)
    return Field(height=side, width=side, parts=(whole,), step=(step, step))


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        ("area", (16 / 21, 4 / 21, 1 / 21)),
        ("sqrt_area", (4 / 7, 2 / 7, 1 / 7)),
        ("equal", (1 / 3,) * 3),
    ],
)
def test_scenes_are_drawn_from_as_often_as_their_weight_says(
    weights: SceneWeights, shares: tuple[float, ...]
) -> None:
    """The third scene fills a quarter of the chips that the second fills: it is coarsened."""
    places = RandomPlaces([field(400), field(200), field(200, step=2)], 32, weights=weights)
    rng = np.random.default_rng(0)
    drawn = Counter(places.draw(rng).scene for _ in range(6000))
    assert [drawn[at] / 6000 for at in range(3)] == pytest.approx(shares, abs=0.02)


def test_an_epoch_covers_the_area_whatever_the_weights() -> None:
    fields = [field(320), field(32)]
    counts = {RandomPlaces(fields, 32, weights=w).to_cover() for w in ("area", "equal")}
    assert counts == {101}


def test_a_scene_without_a_part_to_fit_is_never_drawn() -> None:
    empty = Field(height=50, width=50, parts=())
    places = RandomPlaces([empty, field(64)], 32, weights="equal")
    rng = np.random.default_rng(0)
    assert {places.draw(rng).scene for _ in range(50)} == {1}
