"""The job: from a config to a model directory."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from lightning.pytorch import Callback
from torch import Tensor, nn

from geohier.config.schema import TrainConfig
from geohier.data.chips import choose_chips, fit_chips
from geohier.data.prepare import MEMORY_SHARE, TrainingData, keep_in_memory, prepare
from geohier.errors import ConfigError
from geohier.geo.bands import BandSet, canonical
from geohier.layers.memory import name_classes
from geohier.models.directory import save_model, stores_half
from geohier.models.encoders import check_encoder
from geohier.models.first_weights import expect_rarely, share_variance
from geohier.models.lora import add_adapters, merge_adapters
from geohier.models.segmentation import at_image_resolution, build_segmenter
from geohier.models.sensor import tell_sensor
from geohier.models.transfer import Transfer
from geohier.objectives.segmentation import SegmentationLoss
from geohier.objectives.spots import SpotLoss
from geohier.raster.durable import writing
from geohier.raster.lock import OutputLock
from geohier.training.checkpoint import KeepBestAndLast, best_weights, read_progress
from geohier.training.curve import draw_curve
from geohier.training.describe import describe
from geohier.training.examples import DrawExamples
from geohier.training.log import EpochLog, read_rows
from geohier.training.loggers import LogElsewhere, check_loggers
from geohier.training.loop import run_epochs
from geohier.training.processes import run_in_processes
from geohier.training.progress import ShowProgress, say_notes
from geohier.training.ranks import check_devices, current_rank
from geohier.training.run_folder import (
    CHECKPOINTS,
    CURVE,
    MODEL,
    check_folder,
    claim_folder,
    pinned_weights,
)
from geohier.training.seeding import FIRST_WEIGHTS, derived_seed, seed_first_weights
from geohier.training.start import Start, find_start, start_of_finished

LOG = logging.getLogger(__name__)


def train(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    half: bool = False,
    quiet: bool = False,
    allow_download: bool = False,
    watchers: Sequence[Callback] = (),
) -> Path:
    """Train a model and return its directory, `out/model`.

    Which epoch is kept and when to stop is decided on the choose blocks, a part of the train
    scenes; val is never looked at. On a CPU, a run that was killed and resumed gives the same
    model, bit for bit, as one that was not.

    With several `training.processes`, Python starts them anew: a script that calls this must do so
    below `if __name__ == "__main__":`, as for everything that does.

    Args:
        config: data, network, course.
        out: folder of the run.
        resume: go on with the run that is in `out`, if there is one.
        half: store the model's weights as float16.
        quiet: show no progress.
        allow_download: fetch published weights that are not on this machine.
        watchers: called after the row of each epoch was written.

    Raises:
        OutputExistsError: `out` holds something, and it is not to be resumed.
        ConfigError, InputError: config or scenes cannot be used; the run is finished, but its
            model is not stored as `half` asks; watchers, but several processes to watch.
        ModelError: the loss stops being finite, or no chip has labels; the weights to start from
            cannot be used.
        OutputLockedError: another process trains in `out`.
        ResourceError: there are fewer GPUs than processes; one of them was killed.
    """
    if watchers and config.training.processes > 1:
        raise ConfigError(
            f"training.processes is {config.training.processes}, but what watches this training "
            "sees one process alone: set it to 1"
        )
    check_devices(config)
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    lock = OutputLock(out)
    try:
        finished = (out / MODEL).is_dir()
        start = (
            start_of_finished(config, pinned_weights(out))
            if finished
            else find_start(config, allow_download=allow_download)
        )
        config = start.config
        check_folder(out, config, resume=resume)
        if finished:
            return _finished(out / MODEL, half=half)
        check_encoder(config.model.encoder)  # a misspelt one is known before data are read
        check_loggers(config.training.loggers)
        data = prepare(config)
        network, transfer = first_network(start, data)
        LOG.info("%s", _in_words(network, data))
        if not quiet:
            say_notes((*([] if transfer is None else [str(transfer)]), *data.notes))
        claim_folder(out, config, data)
        network = fit(network, config, data, out, quiet=quiet, watchers=watchers)
        card = describe(network, config, data, read_rows(out), best_epoch(out), transfer)
        draw_curve(read_rows(out), best_epoch(out), out / CURVE)
        predicting = at_image_resolution(network, config.model)
        return save_model(out / MODEL, predicting, card, config, half=half)
    finally:
        lock.release()


def _in_words(network: nn.Module, data: TrainingData) -> str:
    fit, choose = (
        sum(field.chip_pixels for field in fields) / 1e6 for fields in (data.fit, data.choose)
    )
    weights = sum(parameter.numel() for parameter in network.parameters())
    return (
        f"{len(data.train)} train scenes: {fit:.3g} Mpx to fit on, {choose:.3g} Mpx to choose by; "
        f"bands {' '.join(data.bands.names)}; {weights:,} weights"
    )


def _finished(model: Path, *, half: bool) -> Path:
    """Return a model that is there already, if it is the one that was asked for."""
    if half and not stores_half(model):
        raise ConfigError(
            f"{model} is finished and holds float32: move it away, and the same command writes it "
            "anew with float16, without training again"
        )
    return model


def first_network(start: Start, data: TrainingData) -> tuple[nn.Module, Transfer | None]:
    """Return the network with its first weights, and where they come from.

    Those that nothing else gives are drawn from the config's seed. Adapters, where the config asks
    for them, are there already; `fit` merges them.
    """
    config = start.config
    seed_first_weights(config.training.seed)
    network = build_segmenter(config.model, len(data.bands), len(config.data.classes))
    names = [one.name for one in config.data.classes]
    first = len(data.bands) - len(config.model.hierarchy.second.bands)
    read = BandSet(data.bands.bands[:first])  # by the encoder
    transfer = start.give(network, read, names)
    name_classes(network, names)
    tell_sensor(network, config.model, read, data.gsd_m)
    decoder_is_new = transfer is None or "decoder" in transfer.fresh
    if config.model.first_weights == "unit_pyramid" and decoder_is_new:
        noise = derived_seed(config.training.seed, FIRST_WEIGHTS, 1)
        share_variance(network, len(data.bands), noise)
    if config.task == "detection" and (transfer is None or "segmentation_head" in transfer.fresh):
        expect_rarely(network, config.data.ground)
    _adapt(network, config)
    return network, transfer


def _adapt(network: nn.Module, config: TrainConfig) -> None:
    seed = derived_seed(config.training.seed, FIRST_WEIGHTS, 2)
    add_adapters(network, config.fine_tuning.lora_rank, seed)


def fit(
    network: nn.Module,
    config: TrainConfig,
    data: TrainingData,
    out: Path,
    *,
    quiet: bool = False,
    watchers: Sequence[Callback] = (),
) -> nn.Module:
    """Return the network with its weights of the best epoch, after whatever epochs are left."""
    if not read_progress(out / CHECKPOINTS).finished:
        loss, processes = loss_of(config, data), config.training.processes
        if processes == 1:
            _fit_on(network, config, data, loss, out, quiet=quiet, watchers=watchers)
        else:
            first = {name: value.cpu() for name, value in network.state_dict().items()}
            work = partial(_fit_on_together, first, config, data, loss, out, quiet=quiet)
            run_in_processes(processes, work)
    network.load_state_dict(best_weights(out / CHECKPOINTS))
    merge_adapters(network)
    return network.cpu().eval()


def _fit_on(
    network: nn.Module,
    config: TrainConfig,
    data: TrainingData,
    loss: SegmentationLoss | SpotLoss,
    out: Path,
    *,
    quiet: bool,
    watchers: Sequence[Callback] = (),
) -> None:
    """Fit for whatever epochs are left; of several processes, the first one writes and shows."""
    progress = read_progress(out / CHECKPOINTS)
    keep = KeepBestAndLast(out / CHECKPOINTS, config.training, progress)
    watching: list[Callback] = []
    if current_rank().is_first:
        log = EpochLog(out, progress.epochs)
        shown = [] if quiet else [ShowProgress(log, config.training.epochs)]
        watching = [log, *shown, *_also_watching(config, data, out, log), *watchers]
    chips = fit_chips(data, config), choose_chips(data, config)
    run_epochs(network, config, loss, *chips, keep, watching)


def _fit_on_together(
    first: Mapping[str, Tensor],
    config: TrainConfig,
    data: TrainingData,
    loss: SegmentationLoss | SpotLoss,
    out: Path,
    *,
    quiet: bool,
) -> None:
    """Fit in one of several processes: with a network, and scenes in memory, of its own."""
    network = build_segmenter(config.model, len(data.bands), len(config.data.classes))
    _adapt(network, config)
    network.load_state_dict(first)
    keep_in_memory(data.train, MEMORY_SHARE / current_rank().of)
    _fit_on(network, config, data, loss, out, quiet=quiet)


def _also_watching(
    config: TrainConfig, data: TrainingData, out: Path, log: EpochLog
) -> list[Callback]:
    """Return what a config asks for besides the row of each epoch."""
    training = config.training
    also: list[Callback] = []
    if training.examples:
        names = [canonical(name) for name in data.bands.names]
        also.append(DrawExamples(out, training.examples, log, config.data.classes, names))
    if training.loggers:
        also.append(LogElsewhere(out, training.loggers, log))
    return also


def loss_of(config: TrainConfig, data: TrainingData) -> SegmentationLoss | SpotLoss:
    """Return the losses of a config, with class weights by the labels that are fitted on."""
    if config.task == "detection":
        return SpotLoss(config.detection, config.data.ground)
    names = [one.name for one in config.data.classes]
    counts = data.class_counts if config.objectives.balanced else [1] * len(names)
    return SegmentationLoss(config.objectives, names, counts, config.data.tree)


def best_epoch(out: Path) -> int:
    """Return the epoch, counted from 1, whose weights a run keeps."""
    return read_progress(out / CHECKPOINTS).best_epoch
