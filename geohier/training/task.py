"""One step of training and one of judging, as Lightning calls them."""

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim.lr_scheduler import LRScheduler

from geohier.config.schema import TrainConfig
from geohier.data.chips import Chip
from geohier.data.cutmix import cut_mix
from geohier.data.labels import IGNORE_INDEX
from geohier.errors import ModelError
from geohier.evaluation.segmentation import class_scores, macro
from geohier.objectives.segmentation import SegmentationLoss, losses_of_chips, weigh
from geohier.training.ranks import current_rank, share_changes, summed, whole_batch
from geohier.training.schedule import optimizer, schedule
from geohier.training.seeding import seed_epoch
from geohier.training.thawing import rates

BROKEN_IN_A_ROW = 3
"""Steps in a row without a finite loss after which a run is given up."""


class SegmentationTask(LightningModule):
    """A network on its way.

    Batches without a labelled pixel, and steps whose loss or gradient is not finite, change
    nothing: neither weights, nor their average, nor the schedule. They are counted in `epoch`.
    Where several processes share the batches, all that is counted here is of the whole batch.

    Args:
        network: gives `(B, K, H, W)` logits.
        config: classes, optimiser, seed.
        loss: the losses that are summed.
        steps_per_epoch: batches of an epoch.

    Attributes:
        epoch: sums over the batches of this epoch: of each loss, `steps`, `pixels`, `unlabelled`
            and `broken`.
        seen: `(K,)` labelled pixels of each class in the batches of this epoch.
        chip_losses: `(B,)` cross-entropy of each chip of the last batch, NaN for one without
            labels, if chips are drawn again by it.
        difficulty: mean quantile of difficulty of this epoch's chips, if there is a curriculum.
        confusion: `(K, K)` pixels of the choose blocks, true class by found class.
    """

    def __init__(
        self, network: nn.Module, config: TrainConfig, loss: SegmentationLoss, steps_per_epoch: int
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.config = config
        self.loss = loss
        self.steps_per_epoch = steps_per_epoch
        self.epoch: dict[str, float] = {}
        self.seen = torch.zeros(len(config.data.classes), dtype=torch.int64)
        self.chip_losses = torch.zeros(0)
        self.difficulty: float | None = None
        self.confusion = torch.zeros(0, 0, dtype=torch.int64)
        self._broken_in_a_row = 0

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the losses that are summed."""
        return tuple(self.loss.weights)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        shares = rates(self.network, self.config.fine_tuning)
        adamw = optimizer(self.network, self.config.training, shares)
        steps = schedule(adamw, self.config.training, self.steps_per_epoch)
        return [adamw], [steps]

    def on_train_epoch_start(self) -> None:
        seed_epoch(self.config.training.seed, self.current_epoch, current_rank().number)
        counted = ("loss", *self.terms, "steps", "pixels", "unlabelled", "broken")
        self.epoch = dict.fromkeys(counted, 0.0)
        self.seen.zero_()
        self._broken_in_a_row = 0

    def training_step(self, batch: Chip, batch_idx: int) -> None:
        image, own_labels = self._mixed(batch)
        labels = whole_batch(own_labels)
        self.epoch["pixels"] += labels.numel()
        self.chip_losses = torch.full((len(labels),), torch.nan)
        known = labels[labels != IGNORE_INDEX]
        if not known.numel():
            self.epoch["unlabelled"] += 1
            return
        self.seen += known.bincount(minlength=len(self.seen)).cpu()
        statistics = [buffer.clone() for buffer in self.network.buffers()]
        logits = whole_batch(self._logits(image))
        if self._goes_by_losses:
            self.chip_losses = losses_of_chips(logits.detach(), labels).cpu()
        terms = self.loss.terms(logits, labels)
        loss = weigh(terms, self.loss.weights)
        if self._learn(loss):
            share_changes(self.network.buffers(), statistics)
            self.epoch["steps"] += 1
            for name, term in {"loss": loss, **terms}.items():
                self.epoch[name] += float(term.detach())
        else:  # the forward pass alone has spoilt the running statistics
            for buffer, before in zip(self.network.buffers(), statistics, strict=True):
                buffer.copy_(before)
            self._count_broken()

    @property
    def _goes_by_losses(self) -> bool:
        """Whether it depends on the losses of single chips which ones come next."""
        return self.config.chips.sampler == "hard" or self.config.curriculum.difficulty == "loss"

    def _mixed(self, batch: Chip) -> tuple[Tensor, Tensor]:
        image, labels = batch["image"], batch["mask"]
        chance = self.config.augment.cutmix
        return cut_mix(image, labels, chance) if chance else (image, labels)

    def _logits(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image.contiguous(memory_format=torch.channels_last))
        return logits

    def _learn(self, loss: Tensor) -> bool:
        """Take a step unless something about it is not finite; return whether it was taken."""
        adamw, rate = self.optimizers(), self.lr_schedulers()
        assert isinstance(adamw, LightningOptimizer)
        assert isinstance(rate, LRScheduler)
        adamw.zero_grad()
        self.manual_backward(loss * current_rank().of)  # what processes bring is averaged
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        if bool(summed(loss.detach() + get_total_norm(gradients)).isfinite()):
            adamw.step()
            rate.step()
            self._broken_in_a_row = 0
            return True
        return False

    def _count_broken(self) -> None:
        self.epoch["broken"] += 1
        self._broken_in_a_row += 1
        if self._broken_in_a_row == BROKEN_IN_A_ROW:
            raise ModelError(
                f"the loss was not finite in {BROKEN_IN_A_ROW} steps in a row of epoch "
                f"{self.current_epoch + 1}: lower training.learning_rate, or use "
                "training.precision fp32; the checkpoint of the last whole epoch is kept"
            )

    def on_train_epoch_end(self) -> None:
        if not self.epoch["steps"]:
            unlabelled, broken = int(self.epoch["unlabelled"]), int(self.epoch["broken"])
            raise ModelError(
                f"no step of epoch {self.current_epoch + 1} could be taken ({unlabelled} batches "
                f"without labels, {broken} steps without a finite loss): look at the labels of "
                "the train scenes"
            )

    def on_validation_epoch_start(self) -> None:
        classes = len(self.config.data.classes)
        self.confusion = torch.zeros(classes, classes, dtype=torch.int64)

    def validation_step(self, batch: Chip, batch_idx: int) -> None:
        labels = batch["mask"]
        found = self._logits(batch["image"]).argmax(1)
        known = labels != IGNORE_INDEX
        classes = len(self.confusion)
        cells = labels[known] * classes + found[known]
        self.confusion += cells.bincount(minlength=classes**2).cpu().view(classes, classes)

    def on_validation_epoch_end(self) -> None:
        self.confusion = summed(self.confusion.to(self.device)).cpu()

    def learning_rate(self) -> float:
        """Return the learning rate of the next step."""
        rate = self.lr_schedulers()
        assert isinstance(rate, LRScheduler)
        return float(rate.get_last_lr()[0])

    def choose_ious(self) -> NDArray[np.float64]:
        """Return the IoU of each class on the choose blocks, NaN for a class that is not there."""
        return class_scores(self.confusion.numpy())["iou"]

    def choose_score(self) -> float:
        """Return the mean IoU on the choose blocks, of the classes that are there."""
        return float(np.nan_to_num(macro(self.choose_ious())))
