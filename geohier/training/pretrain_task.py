"""One step of learning without labels and one of judging, as Lightning calls them."""

import math

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from geohier.config.schema import TrainConfig
from geohier.data.views import Views
from geohier.models.masking import draw_masks
from geohier.models.pretrainer import Pretrainer
from geohier.objectives.reconstruction import LevelErrors, masked_error, targets_of
from geohier.objectives.selfsupervised import FEWEST, disagreement, features_at, spread_of
from geohier.training.learning import LearningTask
from geohier.training.schedule import optimizer, schedule
from geohier.training.seeding import EPOCHS, derived_seed


class PretrainTask(LearningTask):
    """A network that learns without labels, on its way.

    Args:
        network: what learns.
        config: weights of the terms, masks, optimiser, seed.
        spread: variance of each level's bands `(L, C)`, in which its error is counted.
        spans: what is full scale in each band `(C,)`, in deviations.
        steps_per_epoch: batches of an epoch.

    Attributes:
        epoch: as of `LearningTask`, with the `spread` of what views are to foretell.
        errors: how well the choose blocks were rebuilt in this epoch.
    """

    network: Pretrainer

    def __init__(
        self,
        network: Pretrainer,
        config: TrainConfig,
        *,
        spread: Tensor,
        spans: Tensor,
        steps_per_epoch: int,
    ) -> None:
        super().__init__(network, config, steps_per_epoch)
        self.spread = spread
        self.spans = spans
        self.errors = LevelErrors(spans, len(network.strides))

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each term that is learnt."""
        said = self.config.pretraining
        weights = {"reconstruction": said.reconstruction, "contrast": said.contrast}
        return {name: weight for name, weight in weights.items() if weight}

    @property
    def counted(self) -> tuple[str, ...]:
        """Names of what is summed up over an epoch."""
        return (*super().counted, *self.weights, "spread")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        adamw = optimizer(self.network, self.config.training)
        return [adamw], [schedule(adamw, self.config.training, self.steps_per_epoch)]

    def training_step(self, batch: Views, batch_idx: int) -> None:
        self.epoch["pixels"] += batch["valid"].numel()
        statistics = self.statistics()
        terms = self.terms(batch)
        loss = torch.stack([weight * terms[name] for name, weight in self.weights.items()]).sum()
        if self.learn(loss, terms, statistics) and "contrast" in self.weights:
            self.network.follow(self.config.pretraining.momentum)

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
