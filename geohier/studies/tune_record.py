"""The record of a search: an Optuna study in one SQLite file, which a killed search goes on with.

What is proposed next depends on the seed and on the trials that ended, and on nothing else: a
search that was killed and went on proposes what an unbroken one would have.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from geohier.config.search import Numbers, Parameter, text_of
from geohier.errors import ConfigError, OutputExistsError, ResourceError
from geohier.training.seeding import TRIALS, derived_seed

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

RECORD = "study.db"

TRIALS_TO_JUDGE_BY = 4
"""Finished trials that there must be before a bad one is given up."""

FIRST_JUDGED_EPOCH = 2
"""The first epoch says too little: rates that warm up slowly would lose."""

type Ended = Literal["finished", "pruned", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A trial that ended.

    Args:
        number: counted from 0; its run is in the folder of that number.
        values: what it tried, by dotted key.
        ended: finished; pruned, because others were better at that epoch; or failed.
        score: best score on the choose blocks; None where no epoch was reached.
        epochs: epochs that it took.
        problem: why it failed.
    """

    number: int
    values: Mapping[str, object]
    ended: Ended
    score: float | None
    epochs: int
    problem: str = ""


class Record:
    """The trials of one search, and what is tried next.

    Args:
        study: where they are kept.
        parameters: what is searched.
        seed: of all that is drawn.
    """

    def __init__(self, study: "Study", parameters: Sequence[Parameter], seed: int) -> None:
        self.study = study
        self.parameters = parameters
        self.seed = seed

    def tried(self) -> list[Tried]:
        """Return the trials that ended, oldest first."""
        return [_tried(number, one) for number, one in enumerate(self._ended())]

    def ask(self, first: Mapping[str, object] | None) -> "Trial":
        """Return the next trial, whose values `values_of` tells.

        Args:
            first: values for the very first trial; None to draw these too.
        """
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState

        count = len(self._ended())
        self.study.sampler = TPESampler(seed=derived_seed(self.seed, TRIALS, count))
        waits = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if count == 0 and first is not None and not waits:
            self.study.enqueue_trial(
                {one.key: _as_parameter(one, first[one.key]) for one in self.parameters}
            )
        trial = self.study.ask()
        values = {one.key: _drawn(trial, one) for one in self.parameters}
        trial.set_user_attr("values", values)
        return trial

    def _ended(self) -> list["FrozenTrial"]:
        """Return the trials that count: a killed one, which has no reason, is made again."""
        return [
            one
            for one in self.study.get_trials(deepcopy=False)
            if one.state.name in ("COMPLETE", "PRUNED") or "problem" in one.user_attrs
        ]


def values_of(trial: "Trial") -> dict[str, object]:
    """Return what a trial is to try, by dotted key."""
    return dict(trial.user_attrs["values"])


@contextmanager
def open_record(
    folder: Path, parameters: Sequence[Parameter], about: Mapping[str, str], seed: int
) -> Iterator[Record]:
    """Open the record in a folder, or begin it; trials that a kill cut off are marked as failed.

    Args:
        folder: it must be there.
        parameters: what is searched.
        about: what the search depends on, each by a name for messages.
        seed: of all that is drawn.

    Raises:
        ConfigError: the record is of a search of other things.
        OutputExistsError: it is damaged.
        ResourceError: Optuna is not installed.
    """
    optuna = import_optuna()
    path = folder / RECORD
    existed = path.exists()
    try:
        storage = optuna.storages.RDBStorage(
            "sqlite://", engine_kwargs={"creator": lambda: sqlite3.connect(path)}
        )
        study = _study(optuna, storage)
        _check_same(folder, study, about, existed=existed)
        _fail_those_cut_off(study)
    except ConfigError:
        raise
    except Exception as error:  # SQLAlchemy's and Optuna's, whose bases are Exception itself
        reason = str(error).split("\n", 1)[0]
        raise OutputExistsError(f"{path} is damaged ({reason}): give another --out") from error
    try:
        yield Record(study, parameters, seed)
    finally:
        storage.engine.dispose()


def import_optuna() -> Any:  # noqa: ANN401 - a module
    """Return Optuna, which is there only if it was asked for.

    Raises:
        ResourceError: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ResourceError(
            "geohier tune needs Optuna, which is not installed: pip install optuna (the extra "
            "tune of geohier)"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _study(optuna: Any, storage: object) -> "Study":  # noqa: ANN401 - a module
    study: Study = optuna.create_study(
        storage=storage,
        study_name="geohier",
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=TRIALS_TO_JUDGE_BY, n_warmup_steps=FIRST_JUDGED_EPOCH
        ),
    )
    return study


def _check_same(folder: Path, study: "Study", about: Mapping[str, str], *, existed: bool) -> None:
    before = study.user_attrs
    for name, value in about.items():
        if not existed or not before:
            study.set_user_attr(name, value)
        elif before.get(name) != value:
            raise ConfigError(
                f"{folder} was searched with another {name}: give the same again to go on, or "
                "another --out"
            )


def _fail_those_cut_off(study: "Study") -> None:
    from optuna.trial import TrialState

    for one in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(one.number, state=TrialState.FAIL)


def _drawn(trial: "Trial", one: Parameter) -> object:
    if not isinstance(one, Numbers):
        return one.values[one.texts.index(str(trial.suggest_categorical(one.key, one.texts)))]
    if one.whole:
        step = int(one.step or 1)
        return trial.suggest_int(one.key, int(one.low), int(one.high), step=step, log=one.log)
    return trial.suggest_float(one.key, one.low, one.high, step=one.step, log=one.log)


def _as_parameter(one: Parameter, value: object) -> object:
    return value if isinstance(one, Numbers) else text_of(value)


def _tried(number: int, trial: "FrozenTrial") -> Tried:
    ended: Ended = "finished" if trial.state.name == "COMPLETE" else "pruned"
    scores = trial.intermediate_values
    return Tried(
        number=number,
        values=json.loads(json.dumps(trial.user_attrs["values"])),
        ended="failed" if trial.state.name == "FAIL" else ended,
        score=max(scores.values(), default=None),
        epochs=len(scores),
        problem=trial.user_attrs.get("problem", ""),
    )
