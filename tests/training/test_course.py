"""What rows say of a run."""

import pytest

from geohier.training.course import course_of


def rows(epochs: int) -> list[dict[str, float]]:
    return [{"steps": 3, "mpx_per_s": 2.0, "seconds": 1.5} for _ in range(epochs)]


@pytest.mark.parametrize(
    ("epochs", "best", "rising"), [(20, 18, False), (20, 19, True), (1, 1, True), (2, 1, False)]
)
def test_a_run_whose_best_epoch_is_of_its_last_tenth_was_still_rising(
    epochs: int, best: int, rising: bool
) -> None:
    assert course_of(rows(epochs), best).still_rising is rising


def test_steps_pixels_and_seconds_are_of_all_epochs() -> None:
    found = course_of(rows(4), best_epoch=2)
    assert (found.epochs, found.steps, found.megapixels, found.seconds) == (4, 12, 12.0, 6.0)
