import os
import signal

import pytest
from roof_scenes import MakeConfig

from geohier.data.chips import Chip, ChipDataset, fit_chips
from geohier.data.prepare import prepare
from geohier.errors import GeohierError, LabelError, RasterReadError, ResourceError
from geohier.geo.window import Window
from geohier.raster.access import BlockReadError
from geohier.training.loader import batches, plain_worker_errors

A_WINDOW = Window(row_off=0, col_off=0, height=9, width=9)


def a_loader_whose_chips(does: object, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch):  # noqa: ANN201
    config = make_config(training={"workers": 1})
    chips = fit_chips(prepare(config), config)
    monkeypatch.setattr(ChipDataset, "__getitem__", does)
    return batches(chips, config, fit=True)


@pytest.mark.parametrize(
    ("raised", "arrives"),
    [
        (LabelError("a.tif: holds 7: name its class"), LabelError),
        (BlockReadError("a.tif: rows 0-9 cannot be read: no", A_WINDOW), RasterReadError),
    ],
    ids=["of a message", "with a constructor of its own"],
)
def test_an_error_in_a_worker_is_said_in_its_own_words(
    make_config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    raised: GeohierError,
    arrives: type[GeohierError],
) -> None:
    def unreadable(self: ChipDataset, index: int) -> Chip:
        raise raised from OSError("BlockReadError: a cause")

    loader = a_loader_whose_chips(unreadable, make_config, monkeypatch)
    with pytest.raises(arrives) as caught, plain_worker_errors():
        next(iter(loader))
    assert str(caught.value) == str(raised)


def test_a_bug_in_a_worker_keeps_its_traceback(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: ChipDataset, index: int) -> Chip:
        return b"\xff".decode()  # raises what torch cannot rebuild either

    loader = a_loader_whose_chips(broken, make_config, monkeypatch)
    with pytest.raises(RuntimeError, match="in broken"), plain_worker_errors():
        next(iter(loader))


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
