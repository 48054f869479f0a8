"""Fine-tuning: which stages of the encoder learn in an epoch, and how fast."""

from collections.abc import Sequence

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from geohier.config.fine_tuning import FineTuningConfig
from geohier.models.stages import Stage, encoder_stages


class Thaw(Callback):
    """Keeps the stages of the encoder as they are until it is their turn, the coarsest first.

    Args:
        network: a network of `build_segmenter`.
        config: when each stage begins to learn.
    """

    def __init__(self, network: nn.Module, config: FineTuningConfig) -> None:
        self.stages = encoder_stages(network)
        self.config = config

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        frozen = frozen_stages(len(self.stages), trainer.current_epoch, self.config)
        for at, stage in enumerate(self.stages):
            stage.freeze(frozen=at < frozen)


class FixedStatistics(Callback):
    """Lets batch normalisations go by the running statistics that they have, and leave them alone.

    Args:
        network: whatever holds them.
    """

    def __init__(self, network: nn.Module) -> None:
        self.norms = [one for one in network.modules() if isinstance(one, _BatchNorm)]

    def on_train_epoch_start(self, *_: object) -> None:
        for norm in self.norms:
            norm.training = False


def frozen_stages(stages: int, epoch: int, config: FineTuningConfig) -> int:
    """Return how many stages of the encoder, from the finest on, are frozen in an epoch.

    Args:
        stages: stages of the encoder.
        epoch: the epoch, counted from 0.
        config: when each begins to learn.

    Example:
        >>> config = FineTuningConfig(frozen_epochs=2, thaw_every=1)
        >>> [frozen_stages(3, epoch, config) for epoch in range(6)]
        [3, 3, 2, 1, 0, 0]
    """
    if config.frozen_epochs is None or epoch < config.frozen_epochs:
        return stages
    if not config.thaw_every or not config.frozen_epochs:
        return 0
    return max(0, stages - 1 - (epoch - config.frozen_epochs) // config.thaw_every)


def rates(network: nn.Module, config: FineTuningConfig) -> dict[nn.Parameter, float]:
    """Return the learning rate of each parameter of the encoder, as a share of the highest."""
    if config.encoder_rate == config.stage_decay == 1:
        return {}
    return _rates(encoder_stages(network), config)


def _rates(stages: Sequence[Stage], config: FineTuningConfig) -> dict[nn.Parameter, float]:
    return {
        parameter: config.encoder_rate * config.stage_decay ** (len(stages) - 1 - at)
        for at, stage in enumerate(stages)
        for parameter in stage.parameters
    }
