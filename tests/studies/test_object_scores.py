"""Scores of objects, known by hand."""

import math

import numpy as np
import pytest

from geohier.studies.object_scores import SceneObjects, score_objects


def test_objects_are_scored_by_hand() -> None:
    here = SceneObjects(
        scene="a",
        found=np.array([[0.0, 0], [0, 3], [9, 9], [20, 20]]),
        scores=np.array([0.9, 0.8, 0.7, 0.1]),
        true=np.array([[0.0, 1], [9, 8], [40, 40]]),
    )
    one = score_objects([here], within=1.5, threshold=0.5)
    assert (one.found, one.right, one.true) == (3, 2, 3)
    assert (one.precision, one.recall, one.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert one.rmse_m == pytest.approx(1)
    assert one.count_error == 0
    assert one.average_precision == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    assert all(math.isnan(end) for end in one.f1_range)
    nothing = score_objects([], within=1, threshold=0)
    assert math.isnan(nothing.f1)
    assert nothing.found == 0
