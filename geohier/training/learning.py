"""What all that learns here does in one step, whatever it learns: take it, or leave no trace."""

from collections.abc import Iterable, Mapping, Sequence

from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim.lr_scheduler import LRScheduler

from geohier.config.schema import TrainConfig
from geohier.errors import ModelError
from geohier.training.ranks import current_rank, share_changes, summed
from geohier.training.seeding import seed_epoch

BROKEN_IN_A_ROW = 3
"""Steps in a row without a finite loss after which a run is given up."""


class LearningTask(LightningModule):
    """A network on its way.

    Steps whose loss or gradient is not finite change nothing: neither weights, nor their average,
    nor the schedule. They are counted in `epoch`. Where several processes share the batches, all
    that is counted is of the whole batch.

    Args:
        network: what learns.
        config: optimiser, seed.
        steps_per_epoch: batches of an epoch.

    Attributes:
        epoch: sums over the batches of this epoch: of each term of the loss, `steps`, `pixels`,
            `broken` and what a task adds.
    """

    network: nn.Module

    def __init__(self, network: nn.Module, config: TrainConfig, steps_per_epoch: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.config = config
        self.steps_per_epoch = steps_per_epoch
        self.epoch: dict[str, float] = {}
        self._broken_in_a_row = 0

    @property
    def counted(self) -> Sequence[str]:
        """Names of what is summed up over an epoch."""
        return ("loss", "steps", "pixels", "broken")

    def on_train_epoch_start(self) -> None:
        seed_epoch(self.config.training.seed, self.current_epoch, current_rank().number)
        self.epoch = dict.fromkeys(self.counted, 0.0)
        self._broken_in_a_row = 0

    def statistics(self) -> list[Tensor]:
        """Return the running statistics as they are before a batch."""
        return [buffer.clone() for buffer in self.network.buffers()]

    def learn(
        self, loss: Tensor, terms: Mapping[str, Tensor], statistics: Iterable[Tensor]
    ) -> bool:
        """Take a step unless something about it is not finite; return whether it was taken.

        Args:
            loss: what is to fall.
            terms: what it is made of, by name.
            statistics: those of before the batch.

        Raises:
            ModelError: it was not finite too often in a row.
        """
        if not self._step(loss):
            for buffer, before in zip(self.network.buffers(), statistics, strict=True):
                buffer.copy_(before)  # the forward pass alone has spoilt them
            self._count_broken()
            return False
        share_changes(self.network.buffers(), statistics)
        self.epoch["steps"] += 1
        for name, term in {"loss": loss, **terms}.items():
            self.epoch[name] += float(term.detach())
        self._broken_in_a_row = 0
        return True

    def _step(self, loss: Tensor) -> bool:
        adamw, rate = self.optimizers(), self.lr_schedulers()
        assert isinstance(adamw, LightningOptimizer)
        assert isinstance(rate, LRScheduler)
        adamw.zero_grad()
        self.pull(loss)
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        if not bool(summed(loss.detach() + get_total_norm(gradients)).isfinite()):
            return False
        adamw.step()
        rate.step()
        return True

    def pull(self, loss: Tensor) -> None:
        """Give all that learns the gradients of a loss."""
        self.manual_backward(loss * current_rank().of)  # what processes bring is averaged

    def _count_broken(self) -> None:
        self.epoch["broken"] += 1
        self._broken_in_a_row += 1
        if self._broken_in_a_row == BROKEN_IN_A_ROW:
            raise ModelError(
                f"the loss was not finite in {BROKEN_IN_A_ROW} steps in a row of epoch "
                f"{self.current_epoch + 1}: lower training.learning_rate, or use "
                "training.precision fp32; the checkpoint of the last whole epoch is kept"
            )

    def learning_rate(self) -> float:
        """Return the learning rate of the next step."""
        rate = self.lr_schedulers()
        assert isinstance(rate, LRScheduler)
        return float(rate.get_last_lr()[0])
