"""The job: from a config and images without labels to an encoder that a training starts from."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from geohier.config.load import pretraining_values
from geohier.config.schema import TrainConfig
from geohier.data.unlabelled import PretrainingData, prepare_unlabelled
from geohier.data.views import ViewDataset, choose_views, fit_views
from geohier.models.encoders import check_encoder
from geohier.models.pretrainer import Pretrainer, check_blocks
from geohier.models.segmentation import build_segmenter
from geohier.models.sensor import tell_sensor
from geohier.objectives.laplacian import laplacian_pyramid
from geohier.raster.durable import writing
from geohier.raster.lock import OutputLock
from geohier.training.checkpoint import KeepBestAndLast, best_weights, read_progress
from geohier.training.log import read_rows
from geohier.training.loop import fit_task
from geohier.training.pretrain_log import PretrainLog, draw_pretraining, quality
from geohier.training.pretrain_picture import draw_examples
from geohier.training.pretrain_result import ENCODER, save_encoder, whole_statistics
from geohier.training.pretrain_task import PretrainTask
from geohier.training.progress import ShowProgress, say_notes
from geohier.training.run_folder import (
    CHECKPOINTS,
    CURVE,
    check_folder,
    claim_folder,
    pinned_weights,
)
from geohier.training.seeding import seed_first_weights
from geohier.training.start import Start, find_start, start_of_finished

EXAMPLES = "examples.png"

MEASURED = 32
"""Chips by which it is measured how much each level varies."""

LEAST_VARIANCE = 1e-4
"""Of a level's band, in variances of the image: one that is constant counts no more than this."""


def pretrain(config: TrainConfig, out: Path, *, resume: bool = False, quiet: bool = False) -> Path:
    """Train encoder and pyramid on images alone and return their file, `out/encoder.safetensors`.

    Scenes of val, and all that lies on their ground, are left out. On a CPU, a run that was killed
    and resumed gives the same file as one that was not.

    Args:
        config: data, network, course, and what is learnt in the section pretraining.
        out: folder of the run.
        resume: go on with the run that is in `out`, if there is one.
        quiet: show no progress.

    Raises:
        OutputExistsError: `out` holds something, and it is not to be resumed.
        ConfigError, InputError: config or images cannot be used.
        ModelError: the loss stops being finite; the weights to start from cannot be used.
        OutputLockedError: another process writes in `out`.
    """
    check_blocks(config.chips.size_px, config.pretraining.mask_px)
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    lock = OutputLock(out)
    try:
        finished = (out / ENCODER).is_file()
        start = start_of_finished(config, pinned_weights(out)) if finished else find_start(config)
        config = start.config
        check_folder(out, config, resume=resume, decides=pretraining_values)
        if finished:
            return out / ENCODER
        check_encoder(config.model.encoder)  # a misspelt one is known before data are read
        data = prepare_unlabelled(config)
        network, notes = first_pretrainer(start, data)
        if not quiet:
            say_notes((*notes, *data.notes))
        claim_folder(out, config, data, pretraining_values)
        task = learn(network, config, data, out, quiet=quiet)
        rows = read_rows(out)
        draw_pretraining(rows, out / CURVE)
        chips = choose_views(data, config)
        if config.pretraining.reconstruction:
            draw_examples(task, chips, out / EXAMPLES)
        whole_statistics(network.pyramid, fit_views(data, config), config.chips.batch_size)
        best = read_progress(out / CHECKPOINTS).best_epoch
        return save_encoder(out / ENCODER, network, config, data, rows[:best])
    finally:
        lock.release()


def first_pretrainer(start: Start, data: PretrainingData) -> tuple[Pretrainer, list[str]]:
    """Return the network with its first weights, and notes for users."""
    config, bands = start.config, len(data.bands)
    seed_first_weights(config.training.seed)
    segmenter = build_segmenter(config.model, bands, len(config.data.classes))
    transfer = start.give(segmenter, data.bands, [one.name for one in config.data.classes])
    tell_sensor(segmenter, config.model, data.bands, data.gsd_m)
    network = Pretrainer(segmenter, bands, contrast=config.pretraining.contrast > 0)
    notes = [] if transfer is None else [str(transfer)]
    if config.training.processes > 1:
        notes.append("pretraining runs in one process, whatever training.processes says")
    return network, notes


def learn(
    network: Pretrainer, config: TrainConfig, data: PretrainingData, out: Path, *, quiet: bool
) -> PretrainTask:
    """Return the network with its weights of the best epoch, after whatever epochs are left."""
    progress = read_progress(out / CHECKPOINTS)
    fit, choose = fit_views(data, config), choose_views(data, config)
    task = _task(network, config, data, fit)
    if not progress.finished:
        log = PretrainLog(out, progress.epochs)
        keep = KeepBestAndLast(out / CHECKPOINTS, config.training, progress)
        shown = [] if quiet else [ShowProgress(log, config.training.epochs, quality=quality)]
        network.to(memory_format=torch.channels_last)
        fit_task(task, fit, choose, keep, [log, *shown])
    network.load_state_dict(best_weights(out / CHECKPOINTS))
    network.cpu().eval()
    return task


def _task(
    network: Pretrainer, config: TrainConfig, data: PretrainingData, fit: ViewDataset
) -> PretrainTask:
    steps = len(fit) // config.chips.batch_size or 1
    spans = [((b.high or 0) - (b.low or 0)) / b.std or 1.0 for b in data.bands]
    return PretrainTask(
        network,
        config,
        spread=_level_variances(fit, network.strides),
        spans=torch.tensor(spans),
        steps_per_epoch=steps,
    )


def _level_variances(chips: ViewDataset, strides: Sequence[int]) -> Tensor:
    """Return the variance of each level's bands `(L, C)` in the first chips of a run."""
    views = [chips[at] for at in range(min(MEASURED, len(chips)))]
    image = torch.stack([one["image"][0] for one in views])
    valid = torch.stack([one["valid"][0] for one in views])
    bands = laplacian_pyramid(image, valid, strides)
    variances = [band.var(dim=(0, 2, 3), correction=0) for band in bands]
    return torch.stack(variances).clamp(min=LEAST_VARIANCE)
