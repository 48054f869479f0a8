"""One step of training and one of judging, as Lightning calls them."""

import math

import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import Tensor, nn

from geohier.config.schema import TrainConfig
from geohier.data.chips import Chip
from geohier.data.cutmix import cut_mix
from geohier.data.labels import IGNORE_INDEX
from geohier.errors import ModelError
from geohier.evaluation.segmentation import class_scores, macro
from geohier.layers.latents import Draw, the_mean
from geohier.layers.memory import memories
from geohier.models.hierarchy import HierarchicalSegmenter, Look
from geohier.objectives.segmentation import SegmentationLoss, losses_of_chips, weigh
from geohier.objectives.spots import SpotLoss
from geohier.training.auxiliary import Auxiliary, pull_apart
from geohier.training.latents import LatentLearning
from geohier.training.learning import LearningTask
from geohier.training.ranks import summed, whole_batch
from geohier.training.schedule import optimizer, schedule
from geohier.training.seeding import EPOCHS, derived_seed
from geohier.training.thawing import rates


class SegmentationTask(LearningTask):
    """A network that learns from labels.

    Batches without a labelled pixel change nothing, as steps that are not finite do not.

    Args:
        network: gives `(B, K, H, W)` logits.
        config: classes, optimiser, seed.
        loss: the losses that are summed.
        steps_per_epoch: batches of an epoch.
        auxiliary: what a hierarchy learns beside the classes.
        latents: how its latents learn.

    Attributes:
        epoch: as of `LearningTask`, with the batches that are `unlabelled`.
        seen: `(K,)` labelled pixels of each class in the batches of this epoch.
        chip_losses: `(B,)` cross-entropy of each chip of the last batch, NaN for one without
            labels, if chips are drawn again by it.
        difficulty: mean quantile of difficulty of this epoch's chips, if there is a curriculum.
        confusion: `(K, K)` pixels of the choose blocks, true class by found class.
    """

    def __init__(
        self,
        network: nn.Module,
        config: TrainConfig,
        loss: SegmentationLoss | SpotLoss,
        steps_per_epoch: int,
        auxiliary: Auxiliary | None = None,
        latents: LatentLearning | None = None,
    ) -> None:
        super().__init__(network, config, steps_per_epoch)
        self.loss = loss
        self._memories = memories(network)
        self.auxiliary = auxiliary
        self.latents = latents
        self._tasks: list[Tensor] = []
        self.seen = torch.zeros(len(config.data.classes), dtype=torch.int64)
        self.chip_losses = torch.zeros(0)
        self.difficulty: float | None = None
        self.confusion = torch.zeros(0, 0, dtype=torch.int64)

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the losses that are summed."""
        beside = (one for one in (self.latents, self.auxiliary) if one is not None)
        return (*self.loss.weights, *(name for one in beside for name in one.weights))

    @property
    def counted(self) -> tuple[str, ...]:
        """Names of what is summed up over an epoch."""
        return (*super().counted, *self.terms, "unlabelled")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        shares = rates(self.network, self.config.fine_tuning)
        adamw = optimizer(self, self.config.training, shares)
        steps = schedule(adamw, self.config.training, self.steps_per_epoch)
        return [adamw], [steps]

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self.seen.zero_()

    def training_step(self, batch: Chip, batch_idx: int) -> None:
        image, own_labels = self._mixed(batch)
        labels = whole_batch(own_labels)
        self.epoch["pixels"] += labels.numel()
        self.chip_losses = torch.full((len(labels),), torch.nan)
        known = labels.flatten().bincount(minlength=IGNORE_INDEX + 1)[: len(self.seen)].cpu()
        if not known.any():
            self.epoch["unlabelled"] += 1
            return
        self.seen += known
        statistics = self.statistics()
        draws = None if self.latents is None else self.latents.draws(own_labels, self.global_step)
        look = self._look(image, draws or the_mean)
        logits = whole_batch(look.logits)
        if self._goes_by_losses:
            self.chip_losses = losses_of_chips(logits.detach(), labels).cpu()
        terms = self.loss.terms(logits, labels)
        loss = weigh(terms, self.loss.weights)
        if self.latents is not None and draws is not None:
            loss, terms = loss + weigh(draws.terms, self.latents.weights), terms | draws.terms
        if self.auxiliary is not None:
            more = self.auxiliary.terms(look, logits, image, labels)
            self._tasks = self.auxiliary.tasks(loss, more)
            loss, terms = self.auxiliary.together(loss, more), terms | more
        if self.learn(loss, terms, statistics):
            for memory in self._memories:
                memory.write(own_labels, summed)
        else:
            for memory in self._memories:
                memory.forget()

    def pull(self, loss: Tensor) -> None:
        if self.config.auxiliary.weighing != "pcgrad":
            super().pull(loss)
            return
        learning = [one for one in self.parameters() if one.requires_grad]
        seed = derived_seed(self.config.training.seed, EPOCHS, self.global_step)
        tasks, self._tasks = self._tasks, []  # else their graph outlives the step
        pull_apart(tasks, learning, torch.Generator().manual_seed(seed))

    @property
    def _goes_by_losses(self) -> bool:
        """Whether it depends on the losses of single chips which ones come next."""
        return self.config.chips.sampler == "hard" or self.config.curriculum.difficulty == "loss"

    def _mixed(self, batch: Chip) -> tuple[Tensor, Tensor]:
        image, labels = batch["image"], batch["mask"]
        chance = self.config.augment.cutmix
        return cut_mix(image, labels, chance) if chance else (image, labels)

    def answer(self, image: Tensor) -> Tensor:
        """Return what is drawn as the answer to chips: the class of each pixel, `(B, H, W)`."""
        found: Tensor = self.network(image).argmax(1)
        return found

    def drawn(self, mask: Tensor) -> Tensor:
        """Return labels `(H, W)` as they are drawn beside it."""
        return mask

    def _look(self, image: Tensor, draw: Draw = the_mean) -> Look:
        laid = image.contiguous(memory_format=torch.channels_last)
        if isinstance(self.network, HierarchicalSegmenter):
            return self.network.look(laid, draw=draw)
        return Look(self.network(laid))

    def _logits(self, image: Tensor) -> Tensor:
        return self._look(image).logits

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

    def judged(self) -> dict[str, float | None]:
        """Return the scores on the choose blocks as the log has them, None for absent classes."""
        ious = zip(self.config.data.classes, self.choose_ious().tolist(), strict=True)
        each = {f"choose_iou.{one.name}": None if math.isnan(iou) else iou for one, iou in ious}
        return {"choose_iou": self.choose_score(), **each}

    def choose_ious(self) -> NDArray[np.float64]:
        """Return the IoU of each class on the choose blocks, NaN for a class that is not there."""
        return class_scores(self.confusion.numpy())["iou"]

    def choose_score(self) -> float:
        """Return the mean IoU on the choose blocks, of the classes that are there."""
        return float(np.nan_to_num(macro(self.choose_ious())))
