"""The course of a training, in the words of a config."""

from typing import Annotated, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from geohier.config.section import Section, Share


class TrainingConfig(Section):
    """How the network is fitted, and which part of the train scenes makes choices."""

    epochs: PositiveInt = 60
    """Passes over chips.per_epoch chips, at most."""
    max_steps: PositiveInt | None = None
    """Stop after this many steps; the schedule still spans the epochs. null: no limit."""
    learning_rate: PositiveFloat = 1e-3
    """Highest learning rate of AdamW, reached at the end of the warm-up."""
    weight_decay: NonNegativeFloat = 0.01
    """Weight decay of AdamW."""
    warmup_epochs: NonNegativeFloat = 1.0
    """Epochs over which the learning rate rises; then it falls along a cosine."""
    ema_decay: Share = 0.99
    """Share of the averaged weights that a step keeps; 0 turns averaging off (ema)."""
    average: Literal["ema", "swa"] = "ema"
    """Which weights are judged and kept. ema: a running mean over all steps; swa: in the last
    epochs (swa_share) the plain mean of the weights after each of them, its normalisations measured
    anew, and the weights themselves before."""
    swa_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Share of the epochs, the last ones, whose weights are averaged (swa)."""
    patience: PositiveInt | None = 15
    """Epochs without a better score on the choose blocks after which to stop; null: never."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bfloat16 where the processor computes in it, else float32."""
    workers: NonNegativeInt = 1
    """Processes that cut chips beside the training (beside each of several); results do not depend
    on it."""
    processes: PositiveInt = 1
    """Processes that share each batch: on GPUs, one for each; else they share the processors. The
    chips and the loss are those of one process. Batch normalisations go by the whole batch on
    GPUs; on processors each process normalises by its share, and running statistics are the mean
    of theirs (fine_tuning.frozen_statistics: true makes that equal too). cutmix mixes within a
    share; dropout draws in each."""
    seed: NonNegativeInt = 0
    """Seed of all that is drawn: choose blocks, first weights, chips, augmentation."""
    examples: Annotated[int, Field(ge=0, le=16)] = 4
    """Chips of the choose blocks that are drawn with labels and prediction after epochs 1, 2, 4, 8,
    ... and after each best one, in the run's folder examples; 0: none. They change nothing."""
    loggers: tuple[Literal["tensorboard", "mlflow"], ...] = ()
    """Where the row of each epoch goes besides the metrics files: tensorboard, mlflow, or both;
    they must be installed. MLflow's runs lie in the run's folder, or at $MLFLOW_TRACKING_URI."""
    choose_share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of the train blocks that make choices (early stop, best checkpoint)."""
    label_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the labelled blocks outside choose that is fitted on, at least one: how a model does
    with fewer labels. A larger share of the same seed holds a smaller one."""
    block_px: PositiveInt = 512
    """Side of the blocks that are shared out between fit and choose, in pixels of the scene."""
    buffer_px: NonNegativeInt = 64
    """Strip around each choose block that is left out of both, in pixels of the scene."""
