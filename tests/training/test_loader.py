import os
import signal

import pytest
from roof_scenes import MakeConfig

from geohier.data.chips import Chip, ChipDataset, fit_chips
from geohier.data.prepare import prepare
from geohier.errors import RasterReadError, ResourceError
from geohier.training.loader import batches, plain_worker_errors


def a_loader_whose_chips(does: object, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch):  # noqa: ANN201
    config = make_config(training={"workers": 1})
    chips = fit_chips(prepare(config), config)
    monkeypatch.setattr(ChipDataset, "__getitem__", does)
    return batches(chips, config, fit=True)


def test_an_error_in_a_worker_is_said_in_its_own_words(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(self: ChipDataset, index: int) -> Chip:
        raise RasterReadError("a.tif: block (0, 3) cannot be decoded: copy the file again")

    loader = a_loader_whose_chips(unreadable, make_config, monkeypatch)
    with pytest.raises(RasterReadError) as caught, plain_worker_errors():
        next(iter(loader))
    assert str(caught.value) == "a.tif: block (0, 3) cannot be decoded: copy the file again"


def test_a_worker_that_was_killed_is_a_lack_of_the_machine(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: ChipDataset, index: int) -> Chip:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    loader = a_loader_whose_chips(killed, make_config, monkeypatch)
    with pytest.raises(ResourceError, match="was killed"), plain_worker_errors():
        next(iter(loader))


def test_other_errors_pass_as_they_are() -> None:
    error = RasterReadError("a.tif: RasterReadError: is its name")
    with pytest.raises(RasterReadError) as caught, plain_worker_errors():
        raise error
    assert caught.value is error
    with pytest.raises(RuntimeError, match="a bug"), plain_worker_errors():
        raise RuntimeError("a bug")


def test_a_last_smaller_batch_is_left_out_of_fitting_unless_it_is_the_only_one(
    make_config: MakeConfig,
) -> None:
    sizes = {}
    for per_epoch in (10, 3):
        config = make_config(chips={"size_px": 64, "batch_size": 4, "per_epoch": per_epoch})
        chips = fit_chips(prepare(config), config)
        sizes[per_epoch] = [len(batch["mask"]) for batch in batches(chips, config, fit=True)]
    assert sizes == {10: [4, 4], 3: [3]}
