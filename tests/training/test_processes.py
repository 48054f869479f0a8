"""Trainings that several processes share, on processors."""

import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import shared_work
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import Callback
from processes import Command
from roof_scenes import MakeConfig, roofs, write_pair

from geohier.config.load import dump_config
from geohier.data.chips import fit_chips
from geohier.data.prepare import prepare
from geohier.errors import ConfigError, LabelError, ResourceError
from geohier.training import ranks
from geohier.training.checkpoint import best_weights
from geohier.training.fit import train
from geohier.training.loader import batches, shares
from geohier.training.log import read_rows
from geohier.training.processes import run_in_processes
from geohier.training.ranks import Rank

PATIENCE_S = 300


@given(st.integers(0, 60), st.integers(1, 6), st.integers(1, 4), st.booleans())
def test_processes_share_each_batch_without_repeats_or_losses(
    length: int, each: int, processes: int, whole: bool
) -> None:
    size = each * processes
    of_one = shares(length, size, Rank(), whole=whole)
    parts = [shares(length, size, Rank(at, processes), whole=whole) for at in range(processes)]
    together = [
        sorted(chip for part in parts for own in part[at : at + 1] for chip in own)
        for at in range(len(of_one))
    ]
    assert together == [list(batch) for batch in of_one]
    left_out = length % size if whole and length >= size else 0
    assert [chip for batch in of_one for chip in batch] == [*range(length - left_out)]


def test_the_batch_of_a_process_is_its_share_of_the_chips(make_config: MakeConfig) -> None:
    config = make_config()
    chips = fit_chips(prepare(config), config)
    alone = next(iter(batches(chips, config, fit=True)))
    for at in range(2):
        own = next(iter(batches(chips, config, fit=True, rank=Rank(at, 2))))
        assert torch.equal(own["image"], alone["image"][at::2])


def test_too_few_chips_for_all_processes_are_refused(make_config: MakeConfig) -> None:
    config = make_config(chips={"size_px": 64, "batch_size": 4, "per_epoch": 3})
    chips = fit_chips(prepare(config), config)
    with pytest.raises(ConfigError, match="3 chips cannot be shared out to 2 processes"):
        batches(chips, config, fit=True, rank=Rank(0, 2))


def test_processes_that_a_batch_cannot_be_shared_out_to_are_refused(
    make_config: MakeConfig,
) -> None:
    with pytest.raises(ValueError, match=r"chips.batch_size 4 cannot be shared out to .* 3"):
        make_config(training={"processes": 3})
    with pytest.raises(ValueError, match=r"augment.cutmix has nothing to mix"):
        make_config(training={"processes": 4}, augment={"cutmix": 0.5})


def test_more_processes_than_gpus_are_refused_before_anything_is_read(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "choose_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ResourceError, match=r"training.processes is 2, but there is a GPU for 1"):
        train(make_config(training={"processes": 2}), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_what_watches_a_training_is_not_left_without_anything_to_see(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(training={"processes": 2})
    with pytest.raises(ConfigError, match="sees one process alone"):
        train(config, tmp_path / "run", quiet=True, watchers=[Callback()])


@pytest.mark.slow
def test_two_processes_train_the_model_that_one_does(
    make_config: MakeConfig, scenes: Path, tmp_path: Path
) -> None:
    """Most of the ground has no labels, stages thaw, and hard chips come again by their losses."""
    for name, seed in (("a", 0), ("b", 1)):
        image, mask = roofs(seed)
        mask[:, 20:] = 255
        write_pair(scenes / "train", name, image, mask)
    found = []
    for processes in (1, 2):
        config = make_config(
            model={"dropout": 0},
            fine_tuning={"frozen_statistics": True, "frozen_epochs": 1},
            objectives={"dice": 1, "cross_entropy": {"class_weights": "balanced"}},
            chips={"size_px": 32, "batch_size": 2, "per_epoch": 24, "sampler": "hard"},
            training={"processes": processes, "epochs": 2, "precision": "fp32"},
        )
        out = tmp_path / str(processes)
        train(config, out, quiet=True)
        found.append((best_weights(out / "checkpoints"), read_rows(out)))
    (alone, rows), (together, same_rows) = found
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=1e-5, atol=1e-5)
    assert sum(row["unlabelled_batches"] for row in rows) > 0
    for key in set(rows[0]) - {"seconds", "mpx_per_s", "waiting"}:
        ours, theirs = ([row[key] for row in one] for one in (same_rows, rows))
        assert ours == pytest.approx(theirs, rel=1e-4), key


@pytest.mark.slow
def test_a_run_of_two_processes_goes_on_to_the_same_model_after_one_was_killed(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    """With all that is drawn or measured in each process: dropout, statistics, two workers."""
    config = make_config(
        model={"dropout": 0.5}, training={"processes": 2, "workers": 1, "precision": "bf16"}
    )
    whole = train(config, tmp_path / "whole", quiet=True)
    out = tmp_path / "killed"
    killer = threading.Thread(target=_kill_one, args=(partial(_has_rows, out, 1),))
    killer.start()
    with pytest.raises(ResourceError, match="was killed"):
        train(config, out, quiet=True)
    killer.join()
    resumed = train(config, out, resume=True, quiet=True)
    assert (resumed / "model.safetensors").read_bytes() == (
        whole / "model.safetensors"
    ).read_bytes()


def _has_rows(out: Path, count: int) -> bool:
    return len(read_rows(out)) >= count


def _trainers(parent: psutil.Process) -> list[psutil.Process]:
    """Return the processes that train, without those that keep track of resources."""
    return [one for one in parent.children() if "spawn_main" in " ".join(one.cmdline())]


def _kill_one(ready: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not ready():
        assert time.monotonic() < until
        time.sleep(0.01)
    _trainers(psutil.Process())[1].kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nobody_is_left_behind_when_a_training_is_stopped(
    make_config: MakeConfig, tmp_path: Path, number: int
) -> None:
    config = make_config(training={"processes": 2, "workers": 1, "epochs": 500, "patience": None})
    text = dump_config(config).replace("${data_root}", str(config.data.root))
    (tmp_path / "config.yaml").write_text(text)
    words = ("train", tmp_path / "config.yaml", "--out", tmp_path / "run")
    with Command(*words, logs=tmp_path) as command:
        command.wait_until(partial(_has_rows, tmp_path / "run", 1))
        family = psutil.Process(command.pid).children(recursive=True)
        command.send(number)
        ended = command.wait()
    assert len(family) >= 4
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    if number != signal.SIGKILL:
        assert ended.code == 128 + number
        last = ended.err.splitlines()[-1]
        assert last == "geohier: interrupted; run it again with --resume to go on"


@pytest.mark.slow
def test_processes_share_batches_sums_and_changes(tmp_path: Path) -> None:
    run_in_processes(2, partial(shared_work.write_what_is_shared, tmp_path))
    for at in range(2):
        batch, pull, changed, counter, total = torch.load(tmp_path / f"{at}.pt")
        assert batch.flatten().tolist() == [0, 1, 4, 5]
        assert pull.flatten().tolist() == [2.0 * at, 2.0 * (4 + at)]
        np.testing.assert_array_equal(changed, np.array([1.5, 0.1], np.float32))
        assert (int(counter), total.tolist()) == (8, [3])


@pytest.mark.slow
def test_what_ends_one_process_ends_all_in_its_own_words() -> None:
    with pytest.raises(LabelError) as caught:
        run_in_processes(2, shared_work.fail_in_one)
    assert str(caught.value) == "a.tif: holds 7: name its class"
    with pytest.raises(ResourceError, match="was killed"):
        run_in_processes(2, shared_work.be_killed)
    with pytest.raises(RuntimeError, match="in break_in_one"):
        run_in_processes(2, shared_work.break_in_one)
