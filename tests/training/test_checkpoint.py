from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geohier.config.training import TrainingConfig
from geohier.errors import ModelError
from geohier.training.checkpoint import BEST, LAST, RunProgress, best_weights, read_progress

scores = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=20)


@given(scores, st.none() | st.integers(1, 5))
def test_the_best_epoch_is_the_first_with_the_highest_score_before_patience_ended(
    seen: list[float], patience: int | None
) -> None:
    config = TrainingConfig(epochs=len(seen), patience=patience)
    progress, used = RunProgress(), 0
    while not progress.finished:
        progress = progress.after_epoch(seen[used], config, stop=False)
        used += 1
    assert progress.epochs == used
    assert progress.best_score == max(seen[:used])
    assert progress.best_epoch == 1 + seen.index(max(seen[:used]))
    waited = used - progress.best_epoch
    assert waited <= (patience or len(seen))
    assert used == len(seen) or waited == patience


def test_a_run_that_was_told_to_stop_is_finished() -> None:
    config = TrainingConfig(epochs=9, patience=None)
    assert not RunProgress().after_epoch(0.5, config, stop=False).finished
    assert RunProgress().after_epoch(0.5, config, stop=True).finished


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"callbacks": {}},
        {"callbacks": {"KeepBestAndLast": 3}},
        {"callbacks": {"KeepBestAndLast": {"eras": 3}}},
        {"state_dict": torch.zeros(2)},
    ],
    ids=repr,
)
def test_a_checkpoint_of_something_else_is_refused_in_one_line(
    tmp_path: Path, content: object
) -> None:
    for name in (LAST, BEST):
        torch.save(content, tmp_path / name)
    for read, name in ((read_progress, LAST), (best_weights, BEST)):
        with pytest.raises(ModelError, match=rf"{name} is no checkpoint") as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value)
