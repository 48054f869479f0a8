"""How gently the encoder is treated that a training starts from."""

from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, model_validator

from geohier.config.section import Section

type RateShare = Annotated[float, Field(gt=0, le=1)]


class FineTuningConfig(Section):
    """How gently the encoder is treated that the training starts from."""

    frozen_epochs: NonNegativeInt | None = 0
    """Epochs in which the encoder stays as it is, its running statistics included; null: all."""
    thaw_every: NonNegativeInt = 0
    """Then one stage after the other is trained too, the coarsest first, a new one every so many
    epochs; 0: all at once."""
    frozen_statistics: bool = False
    """Whether batch normalisations, of the decoder too, keep the running statistics that they start
    with and normalise by them: for batches too small to measure any, and for training.processes on
    processors to change nothing. Without weights to start from, that is no normalisation at all."""
    encoder_rate: RateShare = 1.0
    """Learning rate of the encoder, as a share of training.learning_rate."""
    stage_decay: RateShare = 1.0
    """Share of the learning rate of a stage that the next finer one has (layer-wise decay)."""
    lora_rank: NonNegativeInt = 0
    """Rank of adapters beside the layers of a transformer's attention (LoRA): they learn, with all
    that is not the encoder, and the encoder's own weights stay. When the model is stored they are
    merged into these. 0: none, and the encoder learns."""

    @model_validator(mode="after")
    def _adapters_stay_beside_frozen_weights(self) -> Self:
        if self.lora_rank and self.frozen_epochs != 0:
            raise ValueError(
                f"lora_rank {self.lora_rank} keeps the encoder's own weights for good, so "
                "frozen_epochs has nothing to thaw: set it to 0"
            )
        return self

    @model_validator(mode="after")
    def _something_thaws(self) -> Self:
        if self.thaw_every and not self.frozen_epochs:
            frozen = "is 0: nothing is" if self.frozen_epochs == 0 else "is null: all stays"
            raise ValueError(f"thaw_every is set, but frozen_epochs {frozen} frozen: give a number")
        return self
