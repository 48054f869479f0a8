import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from broken_runs import PLACES, broken_off
from roof_scenes import MakeConfig, roofs, write_pair
from torch import Tensor

from geohier.config.schema import TrainConfig
from geohier.data.chips import Chip
from geohier.errors import (
    ConfigError,
    InputError,
    ModelError,
    OutputExistsError,
    OutputLockedError,
)
from geohier.models.directory import load_model
from geohier.models.manifest import SUMS
from geohier.raster.lock import OutputLock
from geohier.training.fit import train
from geohier.training.log import read_rows
from geohier.training.task import SegmentationTask


def sums(model: Path) -> str:
    return (model / SUMS).read_text()


def weights(model: Path) -> str:
    return sums(model).splitlines()[0]


def courses(out: Path) -> list[dict[str, object]]:
    """Return the rows of a run without its clock times."""
    return [
        {k: v for k, v in r.items() if k not in {"seconds", "mpx_per_s", "waiting"}}
        for r in read_rows(out)
    ]


def test_a_run_learns_and_leaves_a_model_that_says_what_it_is(
    make_config: MakeConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config(
        chips={"size_px": 64, "batch_size": 4, "per_epoch": 48}, training={"epochs": 6}
    )
    model = train(config, tmp_path / "run")
    loaded = load_model(model)
    image, mask = roofs(2)
    bands = list(loaded.card.bands)
    pixels = torch.stack(
        [(torch.from_numpy(i).float() - b.mean) / b.std for i, b in zip(image, bands, strict=True)]
    )
    found = loaded.module(pixels[None]).argmax(1)[0].numpy()
    assert (found == mask).mean() > 0.9
    assert [one.name for one in loaded.card.classes] == ["ground", "roof"]
    assert loaded.card.strides == (4, 8, 16, 32)
    assert loaded.card.gsd_m == pytest.approx((0.5, 0.5), rel=0.01)
    assert set(loaded.card.margins_px) == {90, 95, 99}
    scores: Any = loaded.card.scores["choose"]
    assert scores["mean_iou"] == max(row["choose_iou"] for row in read_rows(tmp_path / "run"))
    assert set(loaded.card.trained_on["data_sha256"]) == {"train/a", "train/b", "val/c"}  # type: ignore[call-overload]
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("checkpoints", "config.yaml", "curve.png", "examples", "metrics.csv", "metrics.jsonl"),
        *("model", "run.json"),
    }
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"epoch {at}/6" for at in range(1, 7)]
    assert str(tmp_path) not in (tmp_path / "run" / "run.json").read_text()


def test_a_model_remembers_what_it_normalises_by(make_config: MakeConfig, tmp_path: Path) -> None:
    for by in ("train", "scene"):
        config = make_config(data={"normalise": by}, training={"epochs": 1})
        assert load_model(train(config, tmp_path / by, quiet=True)).card.normalise == by


class StoppedError(Exception):
    """Stands for whatever breaks a run off."""


def stop(*_: object, **__: object) -> None:
    raise StoppedError


def break_off(
    config: TrainConfig, out: Path, where: str = "geohier.training.fit.save_model"
) -> None:
    """Train until the function at `where` is called."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, stop)
        with pytest.raises(StoppedError):
            train(config, out, quiet=True)


@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_was_broken_off_and_resumed_equals_an_unbroken_one(
    make_config: MakeConfig, tmp_path: Path, place: str
) -> None:
    config = make_config(model={"dropout": 0.5}, training={"epochs": 4, "warmup_epochs": 2})
    whole = train(config, tmp_path / "whole", quiet=True)

    with broken_off(SegmentationTask, place, epoch=2):
        train(config, tmp_path / "broken", quiet=True)
    assert not (tmp_path / "broken" / "model").exists()

    resumed = train(config, tmp_path / "broken", resume=True, quiet=True)
    assert sums(resumed) == sums(whole)
    assert courses(tmp_path / "broken") == courses(tmp_path / "whole")


@pytest.mark.slow
def test_a_run_that_was_killed_and_resumed_equals_an_unbroken_one(
    make_config: MakeConfig, scenes: Path, tmp_path: Path
) -> None:
    config = make_config(training={"workers": 1, "epochs": 3})
    killed_in_second_epoch = f"""
import os, signal
from pathlib import Path
from geohier.config.schema import TrainConfig
from geohier.training import fit
from geohier.training.task import SegmentationTask
step = SegmentationTask.training_step
def killing_step(self, batch, batch_idx):
    if self.current_epoch == 1 and batch_idx == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    step(self, batch, batch_idx)
SegmentationTask.training_step = killing_step
config = TrainConfig.model_validate_json({config.model_dump_json()!r})
fit.train(config, Path({str(tmp_path)!r}) / "run")
"""
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    code = [sys.executable, "-c", killed_in_second_epoch]
    done = subprocess.run(code, env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    whole = train(config, tmp_path / "whole", quiet=True)
    resumed = train(config, tmp_path / "run", resume=True, quiet=True)
    assert sums(resumed) == sums(whole)


def test_the_number_of_workers_changes_nothing(make_config: MakeConfig, tmp_path: Path) -> None:
    models = [
        train(
            make_config(training={"workers": workers, "epochs": 2}),
            tmp_path / str(workers),
            quiet=True,
        )
        for workers in (0, 2)
    ]
    assert weights(models[0]) == weights(models[1])


def test_val_changes_nothing(make_config: MakeConfig, scenes: Path, tmp_path: Path) -> None:
    before = train(make_config(), tmp_path / "before", quiet=True)
    write_pair(scenes / "val", "c", *(255 - one % 2 for one in roofs(9)[:1]), roofs(9)[1])
    after = train(make_config(), tmp_path / "after", quiet=True)
    assert weights(before) == weights(after)


def test_another_seed_gives_another_model(make_config: MakeConfig, tmp_path: Path) -> None:
    models = [
        train(make_config(training={"seed": seed, "epochs": 1}), tmp_path / str(seed), quiet=True)
        for seed in (0, 1)
    ]
    assert weights(models[0]) != weights(models[1])


def test_batches_without_labels_are_skipped_and_counted(
    make_config: MakeConfig, scenes: Path, tmp_path: Path
) -> None:
    image, mask = roofs(0)
    for name in ("a", "b"):
        half = mask.copy()
        half[:, 20:] = 255
        write_pair(scenes / "train", name, image, half)
    chips = {"size_px": 32, "batch_size": 2, "per_epoch": 24}
    config = make_config(chips=chips, training={"epochs": 1, "block_px": 192 // 3})
    model = train(config, tmp_path / "run", quiet=True)
    (row,) = read_rows(tmp_path / "run")
    assert row["steps"] + row["unlabelled_batches"] == 12
    assert row["unlabelled_batches"] > 0
    assert row["steps"] > 0
    assert load_model(model).card.trained_on["steps"] == row["steps"]


def losing(at: set[tuple[int, int]]) -> Callable[[SegmentationTask, Chip, int], None]:
    """Return a training step whose loss is not finite at these (epoch, batch)."""
    step = SegmentationTask.training_step

    def broken(self: SegmentationTask, batch: Chip, batch_idx: int) -> None:
        if (self.current_epoch, batch_idx) in at:
            batch["image"] *= torch.nan
        step(self, batch, batch_idx)

    return broken


def test_a_single_broken_step_changes_no_weight(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SegmentationTask, "training_step", losing({(0, 1), (1, 0)}))
    model = train(make_config(), tmp_path / "run", quiet=True)
    assert [row["broken_steps"] for row in read_rows(tmp_path / "run")] == [1, 1, 0]
    assert [row["steps"] for row in read_rows(tmp_path / "run")] == [3, 3, 4]
    assert load_model(model).card.trained_on["epochs"] == 3


def test_a_loss_that_stays_broken_ends_the_run_and_keeps_the_last_good_epoch(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(SegmentationTask, "training_step", losing({(1, at) for at in range(4)}))
        with pytest.raises(ModelError, match="3 steps in a row of epoch 2"):
            train(make_config(), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "model").exists()
    train(make_config(), tmp_path / "run", resume=True, quiet=True)
    assert len(read_rows(tmp_path / "run")) == 3


def scored(scores: list[float]) -> Callable[[SegmentationTask], float]:
    return lambda self: scores[self.current_epoch]


def test_a_run_stops_when_patience_ends_and_keeps_its_best_epoch(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(training={"epochs": 9, "patience": 2})
    monkeypatch.setattr(SegmentationTask, "choose_score", scored([0.3, 0.5, 0.4, 0.5, 0.9]))
    model = train(config, tmp_path / "run", quiet=True)
    card = load_model(model).card
    assert (card.trained_on["epochs"], card.trained_on["best_epoch"]) == (4, 2)
    monkeypatch.setattr(SegmentationTask, "choose_score", scored([0.3, 0.5]))
    short = train(make_config(training={"epochs": 9, "max_steps": 8}), tmp_path / "short")
    assert weights(short) == weights(model)


def test_a_run_stops_after_its_steps_though_in_the_middle_of_an_epoch(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    model = train(make_config(training={"max_steps": 6}), tmp_path / "run", quiet=True)
    assert [row["steps"] for row in read_rows(tmp_path / "run")] == [4, 2]
    assert load_model(model).card.trained_on["epochs"] == 2


def test_a_run_that_was_finished_but_not_written_is_only_written(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(training={"epochs": 9, "max_steps": 6})
    break_off(config, tmp_path / "run")
    monkeypatch.setattr(SegmentationTask, "training_step", stop)
    model = train(config, tmp_path / "run", resume=True, quiet=True)
    before = (model / SUMS).stat().st_mtime_ns
    assert train(config, tmp_path / "run", resume=True, quiet=True) == model
    assert (model / SUMS).stat().st_mtime_ns == before


def test_half_precision_weights_are_an_option(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(training={"epochs": 1})
    sizes = [
        sum(
            path.stat().st_size for path in train(config, tmp_path / str(half), half=half).iterdir()
        )
        for half in (False, True)
    ]
    assert sizes[1] < 0.6 * sizes[0]


def test_a_finished_model_is_not_passed_off_as_one_of_half_the_size(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(training={"epochs": 1})
    model = train(config, tmp_path / "run", quiet=True)
    whole = sums(model)
    with pytest.raises(ConfigError, match="float32"):
        train(config, tmp_path / "run", resume=True, half=True, quiet=True)
    assert sums(model) == whole

    model.rename(tmp_path / "kept")
    monkeypatch.setattr(SegmentationTask, "training_step", stop)
    halved = train(config, tmp_path / "run", resume=True, half=True, quiet=True)
    assert sums(halved) != whole
    assert train(config, tmp_path / "run", resume=True, half=True, quiet=True) == halved


def test_a_folder_that_is_taken_is_left_as_it_is(make_config: MakeConfig, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(OutputExistsError):
            train(make_config(), out, resume=resume, quiet=True)
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


def test_a_run_goes_on_only_with_its_own_config_and_data(
    make_config: MakeConfig, scenes: Path, tmp_path: Path
) -> None:
    break_off(make_config(), tmp_path / "run", "geohier.training.fit.run_epochs")
    with pytest.raises(OutputExistsError, match="--resume"):
        train(make_config(), tmp_path / "run", quiet=True)
    with pytest.raises(ConfigError, match=r"training.learning_rate was 0.001, now 0.01"):
        train(make_config(training={"learning_rate": 0.01}), tmp_path / "run", resume=True)
    write_pair(scenes / "train", "a", *roofs(5))
    with pytest.raises(InputError, match="train/a"):
        train(make_config(), tmp_path / "run", resume=True, quiet=True)


def test_two_runs_never_share_a_folder(make_config: MakeConfig, tmp_path: Path) -> None:
    lock = OutputLock(tmp_path / "run")
    try:
        with pytest.raises(OutputLockedError, match="run is being written"):
            train(make_config(), tmp_path / "run", quiet=True)
    finally:
        lock.release()
    assert not (tmp_path / "run").exists()


def test_an_interruption_leaves_as_what_it_is_and_the_run_can_go_on(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminated(KeyboardInterrupt):
        pass

    def interrupted(self: SegmentationTask, batch: object, batch_idx: int) -> None:
        raise Terminated

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(SegmentationTask, "training_step", interrupted)
        with pytest.raises(Terminated):
            train(make_config(), tmp_path / "run", quiet=True)
    assert signal.getsignal(signal.SIGINT) is handler
    train(make_config(training={"epochs": 3}), tmp_path / "run", resume=True, quiet=True)


def test_a_damaged_checkpoint_is_refused_in_one_line(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    break_off(make_config(), tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    whole = last.read_bytes()
    for damaged in (b"", b"text", whole[: len(whole) // 2]):
        last.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"last\.ckpt is no checkpoint") as caught:
            train(make_config(), tmp_path / "run", resume=True, quiet=True)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["state_dict", "optimizer_states", "loops", "callbacks"])
def test_a_checkpoint_that_lacks_something_is_refused_in_one_line(
    key: str, make_config: MakeConfig, tmp_path: Path
) -> None:
    break_off(make_config(), tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    del content[key]
    torch.save(content, last)
    with pytest.raises(ModelError, match=rf"last\.ckpt is no checkpoint.*\(it lacks {key}\)"):
        train(make_config(), tmp_path / "run", resume=True, quiet=True)


def test_a_run_whose_best_epoch_is_gone_does_not_go_on(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    break_off(make_config(), tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(ModelError, match=r"best\.ckpt is no checkpoint"):
        train(make_config(), tmp_path / "run", resume=True, quiet=True)


def test_the_checkpoint_of_the_best_epoch_holds_its_weights_and_nothing_else(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    break_off(make_config(), tmp_path / "run")
    best = tmp_path / "run" / "checkpoints" / "best.ckpt"
    content = torch.load(best, weights_only=True)
    assert content.keys() == {"state_dict"}
    size = sum(value.numel() * value.itemsize for value in content["state_dict"].values())
    assert best.stat().st_size < 1.2 * size + 200_000


class Trap:
    """A pickle that would make a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_nothing_in_a_checkpoint_can_run(make_config: MakeConfig, tmp_path: Path) -> None:
    break_off(make_config(), tmp_path / "run")
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    torch.save({"callbacks": Trap(tmp_path / "sprung")}, last)
    with pytest.raises(ModelError):
        train(make_config(), tmp_path / "run", resume=True, quiet=True)
    assert not (tmp_path / "sprung").exists()


def test_the_choose_score_is_that_of_the_averaged_weights(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    """The model that is kept scores on the choose blocks what its card says."""
    from geohier.data.chips import choose_chips
    from geohier.data.prepare import prepare
    from geohier.evaluation.segmentation import ConfusionMatrix, class_scores, macro, pool

    config = make_config(training={"precision": "fp32"})
    loaded = load_model(train(config, tmp_path / "run", quiet=True))
    chips = choose_chips(prepare(config), config)
    matrices = [
        ConfusionMatrix.of(
            labels(loaded.module(chip["image"][None])), chip["mask"].numpy(), classes=2
        )
        for chip in (chips[at] for at in range(len(chips)))
    ]
    expected = float(macro(class_scores(pool(matrices).counts)["iou"]))
    assert json.loads(json.dumps(loaded.card.scores["choose"]))["mean_iou"] == pytest.approx(
        expected, abs=2e-3
    )


def labels(logits: Tensor) -> np.ndarray:
    return logits.argmax(1)[0].numpy()
