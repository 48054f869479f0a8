"""Search a config for values that score better, one training after the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from geohier.config.load import config_hash, load_config
from geohier.config.schema import TrainConfig
from geohier.config.search import Numbers, Parameter, read_space
from geohier.errors import ConfigError, ModelError
from geohier.models.encoders import check_encoder
from geohier.raster.durable import writing
from geohier.raster.lock import OutputLock
from geohier.studies.tune_record import RECORD, Record, Tried, import_optuna, open_record, values_of
from geohier.studies.tune_report import best_of, draw_search, write_best, write_table
from geohier.training.fit import train
from geohier.training.log import read_rows, score_name
from geohier.training.run_folder import CHECKPOINTS, is_begun

if TYPE_CHECKING:
    from optuna import Trial

TRIALS = "trials"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is searched, and around what.

    Args:
        config: the config that is searched around.
        overrides: `key=value`, laid over it in every trial.
        parameters: what may change.
        space: where that is said.
    """

    config: Path
    overrides: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    space: Path

    def load(self, values: Mapping[str, object]) -> TrainConfig:
        """Return the config of a trial.

        Raises:
            ConfigError: these values do not go together.
        """
        return load_config(self.config, self.overrides, last=values, last_from=str(self.space))


def tune(
    config: Path,
    space: Path,
    out: Path,
    *,
    trials: int,
    overrides: Sequence[str] = (),
    resume: bool = False,
    allow_download: bool = False,
    tell: Callable[[Tried], None] = lambda tried: None,
) -> list[Tried]:
    """Train a config again and again with other values, and return what came of each.

    The first trial is the config as it is, if it lies in the space; the others are drawn by a
    tree-structured Parzen estimator (Bergstra et al. 2011). A trial whose best score so far is
    below the median of the finished ones at the same epoch is given up. Trials are judged by the
    choose blocks alone: val is never looked at. The best of many is judged kindly by what chose
    it: `geohier evaluate` says what it is worth.

    Writes `study.db`, `trials.csv`, `trials.png`, `best.yaml`, and a run folder for each trial.

    Args:
        config: the config that is searched around.
        space: what may change, as `read_space` takes it.
        out: folder of the search.
        trials: how many in all, those that ended before included.
        overrides: `key=value`, laid over the config in every trial.
        resume: go on with the search that is in `out`, if there is one.
        allow_download: fetch published weights that are not on this machine.
        tell: called with each trial when it has ended.

    Raises:
        OutputExistsError: `out` holds something, and it is not to be resumed.
        ConfigError: config or space are wrong, or `out` holds a search of other things.
        InputError, ResourceError: the scenes cannot be used, the machine lacks something.
        ModelError: no trial came to a score.
        OutputLockedError: another process searches in `out`.
    """
    import_optuna()
    parameters = read_space(space, config, overrides)
    search = Search(config=config, overrides=tuple(overrides), parameters=parameters, space=space)
    base = search.load({})
    _check_one_process(base)
    _check_encoders(search)
    is_begun(out, "search", RECORD, resume=resume)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    lock = OutputLock(out)
    try:
        about = {"config": config_hash(base), "space": "; ".join(map(str, parameters))}
        with open_record(out, parameters, about, base.training.seed) as record:
            while len(record.tried()) < trials:
                run_trial(record, search, out, allow_download=allow_download)
                _report(record.tried(), search, out)
                tell(record.tried()[-1])
            tried = record.tried()
        _report(tried, search, out)  # a kill may have come between the last trial and its report
        _check_some_scored(tried)
        draw_search(out, tried, parameters)
        return tried
    finally:
        lock.release()


def run_trial(record: Record, search: Search, out: Path, *, allow_download: bool = False) -> None:
    """Train once, and write down how it ended; what a kill cut off goes on where it stopped.

    Raises:
        InputError, ResourceError: nothing that other values would mend.
    """
    folder = out / TRIALS / f"{len(record.tried()):03}"
    trial = record.ask(_as_it_is(search))
    states = import_optuna().trial.TrialState
    try:
        config = search.load(values_of(trial))
        watch = _Judge(trial, folder, config.training.epochs)
        folder.parent.mkdir(exist_ok=True)
        train(
            config, folder, resume=True, quiet=True, allow_download=allow_download, watchers=[watch]
        )
        watch.report()
        scores = [row[score_name(row)] for row in read_rows(folder)]
        record.study.tell(trial.number, max(scores))
    except _PrunedError:
        record.study.tell(trial.number, state=states.PRUNED)
    except (ConfigError, ModelError, torch.OutOfMemoryError) as error:
        trial.set_user_attr("problem", str(error).split("\n", 1)[0])
        record.study.tell(trial.number, state=states.FAIL)
    rmtree(folder / CHECKPOINTS, ignore_errors=True)  # five times the weights, of every trial


class _PrunedError(Exception):
    """A trial is not worth its time."""


class _Judge(Callback):
    """Tells Optuna the score of each epoch, and breaks off a trial that others are better than.

    Args:
        trial: the trial.
        folder: its run.
        epochs: epochs of the run; after the last one nothing is left to be saved.
    """

    def __init__(self, trial: "Trial", folder: Path, epochs: int) -> None:
        self.trial = trial
        self.folder = folder
        self.epochs = epochs
        self._reported = 0

    def report(self) -> None:
        """Report what was not yet reported; after a resume, these are the epochs before it."""
        for row in read_rows(self.folder)[self._reported :]:
            self.trial.report(row[score_name(row)], row["epoch"])
            self._reported += 1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.report()
        ending = trainer.should_stop or self._reported >= self.epochs
        if not ending and self.trial.should_prune():
            raise _PrunedError


def _as_it_is(search: Search) -> dict[str, object] | None:
    """Return the values that the config has itself, if all of them lie in the space."""
    found = {one.key: _own_value(search, one) for one in search.parameters}
    return None if _OUTSIDE in found.values() else found


_OUTSIDE = object()


def _own_value(search: Search, one: Parameter) -> object:
    own = _value_at(search.load({}), one.key)
    if isinstance(one, Numbers):
        return own if one.holds(own) else _OUTSIDE
    same = (v for v in one.values if _value_at(search.load({one.key: v}), one.key) == own)
    return next(same, _OUTSIDE)


def _value_at(config: TrainConfig, key: str) -> object:
    values: object = config.model_dump(mode="json")
    for part in key.split("."):
        if not isinstance(values, Mapping):
            return None
        values = values.get(part)
    return values


def _check_encoders(search: Search) -> None:
    """Refuse a misspelt encoder at once, not when its turn comes."""
    for one in search.parameters:
        if one.key == "model.encoder" and not isinstance(one, Numbers):
            for name in one.values:
                check_encoder(str(name))


def _check_one_process(config: TrainConfig) -> None:
    """Refuse at once what each trial would fail by: it is watched in one process."""
    if config.training.processes > 1:
        raise ConfigError(
            f"training.processes is {config.training.processes}, but a trial is watched while it "
            "trains, which one process alone can be: add --set training.processes=1"
        )


def _check_some_scored(tried: Sequence[Tried]) -> None:
    if best_of(tried) is None:
        raise ModelError(f"none of {len(tried)} trials came to a score: {tried[-1].problem}")


def _report(tried: Sequence[Tried], search: Search, out: Path) -> None:
    keys = [one.key for one in search.parameters]
    write_table(out, tried, keys)
    best = best_of(tried)
    if best is not None:
        write_best(out, best, len(tried), search.config, search.overrides)
