"""The rows of a run's epochs, sent to what users watch their runs with as well."""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger

from geohier.errors import ResourceError
from geohier.raster.durable import write_durably
from geohier.training.log import EpochLog, Row

type LoggerName = Literal["tensorboard", "mlflow"]

INSTALL = {
    "tensorboard": "pip install tensorboard (the extra log of geohier)",
    "mlflow": "pip install mlflow",
}
MLFLOW_RUN = "mlflow-run.txt"
"""Which run of MLflow a run is, so that it goes on there too."""


def check_loggers(names: Sequence[LoggerName]) -> None:
    """See that what is to be logged to is installed.

    Raises:
        ResourceError: it is not.
    """
    for name in names:
        if find_spec(name) is None:
            raise ResourceError(
                f"training.loggers: {name} is not installed: {INSTALL[name]}, or leave it out of "
                "the list"
            )


class LogElsewhere(Callback):
    """Sends the numbers of each row, under the names of `metrics.csv`.

    TensorBoard's files are in `tensorboard/` of the run's folder. MLflow keeps its own in
    `mlflow/` there, or where $MLFLOW_TRACKING_URI says. What a class has no score for is left out.

    Args:
        folder: the run's folder.
        names: where to log.
        log: has the row of an epoch when it ends: it must stand before this in the callbacks.
    """

    def __init__(self, folder: Path, names: Sequence[LoggerName], log: EpochLog) -> None:
        self.kept = log
        self.loggers = [MAKE[name](folder, len(log.rows)) for name in names]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        row = self.kept.rows[-1]
        for one in self.loggers:
            one.log_metrics(_numbers(row), step=row["epoch"])
            one.save()  # a run that is killed is seen up to here

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for one in self.loggers:
            one.finalize("success")

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        for one in self.loggers:
            one.finalize("failed")


def _numbers(row: Row) -> dict[str, float]:
    return {
        key: float(value)
        for key, value in row.items()
        if key != "epoch" and isinstance(value, int | float)
    }


def _tensorboard(folder: Path, epochs: int) -> Logger:
    from lightning.pytorch.loggers import TensorBoardLogger

    cut_off = epochs + 1  # what an interrupted run wrote of it is dropped
    logger: Logger = TensorBoardLogger(folder, "tensorboard", version="", purge_step=cut_off)
    return logger


def _mlflow(folder: Path, epochs: int) -> Logger:
    from lightning.pytorch.loggers import MLFlowLogger

    known = folder / MLFLOW_RUN
    logger = MLFlowLogger(
        experiment_name="geohier",
        run_name=folder.resolve().name,
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI")
        or (folder / "mlflow").resolve().as_uri(),
        run_id=known.read_text(encoding="utf-8") if known.is_file() else None,
    )
    write_durably(known, str(logger.run_id).encode())
    return logger


MAKE = {"tensorboard": _tensorboard, "mlflow": _mlflow}
