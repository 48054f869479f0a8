"""One step of learning without labels and one of judging, as Lightning calls them."""

import math

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim.lr_scheduler import LRScheduler

from geohier.config.schema import TrainConfig
from geohier.data.views import Views
from geohier.errors import ModelError
from geohier.models.masking import draw_masks
from geohier.models.pretrainer import Pretrainer
from geohier.objectives.reconstruction import LevelErrors, masked_error, targets_of
from geohier.objectives.selfsupervised import FEWEST, disagreement, features_at, spread_of
from geohier.training.schedule import optimizer, schedule
from geohier.training.seeding import EPOCHS, derived_seed, seed_epoch
from geohier.training.task import BROKEN_IN_A_ROW


class PretrainTask(LightningModule):
    """A network that learns without labels, on its way.

    Steps whose loss or gradient is not finite change nothing; they are counted in `epoch`.

    Args:
        network: what learns.
        config: weights of the terms, masks, optimiser, seed.
        spread: variance of each level's bands `(L, C)`, in which its error is counted.
        spans: what is full scale in each band `(C,)`, in deviations.
        steps_per_epoch: batches of an epoch.

    Attributes:
        epoch: sums over the batches of this epoch: of each term, `steps`, `pixels`, `broken`.
        errors: how well the choose blocks were rebuilt in this epoch.
    """

    def __init__(
        self,
        network: Pretrainer,
        config: TrainConfig,
        *,
        spread: Tensor,
        spans: Tensor,
        steps_per_epoch: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.config = config
        self.spread = spread
        self.spans = spans
        self.steps_per_epoch = steps_per_epoch
        self.epoch: dict[str, float] = {}
        self.errors = LevelErrors(spans, len(network.strides))
        self._broken_in_a_row = 0

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each term that is learnt."""
        said = self.config.pretraining
        weights = {"reconstruction": said.reconstruction, "contrast": said.contrast}
        return {name: weight for name, weight in weights.items() if weight}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        adamw = optimizer(self.network, self.config.training)
        return [adamw], [schedule(adamw, self.config.training, self.steps_per_epoch)]

    def on_train_epoch_start(self) -> None:
        seed_epoch(self.config.training.seed, self.current_epoch)
        counted = ("loss", *self.weights, "spread", "steps", "pixels", "broken")
        self.epoch = dict.fromkeys(counted, 0.0)
        self._broken_in_a_row = 0

    def training_step(self, batch: Views, batch_idx: int) -> None:
        self.epoch["pixels"] += batch["valid"].numel()
        statistics = [buffer.clone() for buffer in self.network.buffers()]
        terms = self.terms(batch)
        loss = torch.stack([weight * terms[name] for name, weight in self.weights.items()]).sum()
        if self._learn(loss):
            self.epoch["steps"] += 1
            for name, term in {"loss": loss, **terms}.items():
                self.epoch[name] += float(term.detach())
        else:  # the forward pass alone has spoilt the running statistics
            for buffer, before in zip(self.network.buffers(), statistics, strict=True):
                buffer.copy_(before)
            self._count_broken()

    def terms(self, batch: Views) -> dict[str, Tensor]:
        """Return the terms that are learnt, of one batch."""
        image, valid = batch["image"][:, 0], batch["valid"][:, 0]
        masked = self.masks(image) if "reconstruction" in self.weights else None
        shown = image if masked is None else self.network.hidden(image, masked)
        levels = self.network.pyramid(shown.contiguous(memory_format=torch.channels_last))
        terms = {}
        if masked is not None:
            targets, counts = targets_of(image, valid, masked, self.network.strides)
            rebuilt = self.network.rebuilt(levels)
            spread = self.spread.to(image.device)
            terms["reconstruction"] = masked_error(rebuilt, targets, counts, spread)
        if "contrast" in self.weights:
            terms["contrast"] = self._contrast(levels, batch)
        return terms

    def masks(self, image: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw the masks of a batch of images."""
        said = self.config.pretraining
        masks = draw_masks(
            (image.shape[0], image.shape[1], image.shape[2], image.shape[3]),
            block_px=said.mask_px,
            share=said.mask_share,
            band_chance=said.band_mask,
            generator=generator,
        )
        return masks.to(image.device)

    def _contrast(self, levels: list[Tensor], batch: Views) -> Tensor:
        """Return how wrongly the first views foretell the second ones."""
        seen, network = batch["seen"], self.network
        if int(seen.sum()) < FEWEST:
            return 0 * features_at(levels, batch["points"][:, 0]).sum()
        here = features_at(levels, batch["points"][:, 0])[seen]
        foretold = network.predictor(network.projector(here))
        other = batch["image"][:, 1].contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            there = features_at(network.slow_pyramid(other), batch["points"][:, 1])[seen]
            wanted = network.slow_projector(there)
        self.epoch["spread"] += spread_of(wanted)
        return disagreement(foretold, wanted)

    def _learn(self, loss: Tensor) -> bool:
        """Take a step unless something about it is not finite; return whether it was taken."""
        adamw, rate = self.optimizers(), self.lr_schedulers()
        assert isinstance(adamw, LightningOptimizer)
        assert isinstance(rate, LRScheduler)
        adamw.zero_grad()
        self.manual_backward(loss)
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        if not bool((loss.detach() + get_total_norm(gradients)).isfinite()):
            return False
        adamw.step()
        rate.step()
        if "contrast" in self.weights:
            self.network.follow(self.config.pretraining.momentum)
        self._broken_in_a_row = 0
        return True

    def _count_broken(self) -> None:
        self.epoch["broken"] += 1
        self._broken_in_a_row += 1
        if self._broken_in_a_row == BROKEN_IN_A_ROW:
            raise ModelError(
                f"the loss was not finite in {BROKEN_IN_A_ROW} steps in a row of epoch "
                f"{self.current_epoch + 1}: lower training.learning_rate, or use "
                "training.precision fp32; the checkpoint of the last whole epoch is kept"
            )

    def on_validation_epoch_start(self) -> None:
        self.errors = LevelErrors(self.spans, len(self.network.strides))

    def validation_step(self, batch: Views, batch_idx: int) -> None:
        if "reconstruction" not in self.weights:
            return
        image, valid = batch["image"][:, 0], batch["valid"][:, 0]
        masked = self.masks(image, self.judging_generator(batch_idx))
        shown = self.network.hidden(image, masked).contiguous(memory_format=torch.channels_last)
        targets, counts = targets_of(image, valid, masked, self.network.strides)
        self.errors.add(self.network.rebuilt(self.network.pyramid(shown)), targets, counts)

    def judging_generator(self, batch: int) -> torch.Generator:
        """Return what draws the masks with which a batch is judged, in every epoch the same."""
        seed = derived_seed(self.config.training.seed, EPOCHS, 2**32 + batch)
        return torch.Generator().manual_seed(seed)

    def learning_rate(self) -> float:
        """Return the learning rate of the next step."""
        rate = self.lr_schedulers()
        assert isinstance(rate, LRScheduler)
        return float(rate.get_last_lr()[0])

    def gains(self) -> list[float]:
        """Return by how many dB each level beats the mean predictor on the choose blocks."""
        pairs = zip(self.errors.psnr(), self.errors.psnr_of_mean(), strict=True)
        return [own - mean for own, mean in pairs]

    def choose_score(self) -> float:
        """Return the mean gain over the levels; where none is judged, the later the better.

        How well views agree tells nothing: they agree best where all are seen alike.
        """
        if "reconstruction" not in self.weights:
            return float(self.current_epoch)
        score = sum(self.gains()) / len(self.gains())
        return score if math.isfinite(score) else float(self.current_epoch)
