"""How latents learn: they are drawn by the labels, and pay for what the image did not tell."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from geohier.config.schema import TrainConfig
from geohier.data.labels import IGNORE_INDEX
from geohier.layers.latents import Normal
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.posterior import Posterior
from geohier.objectives.latents import gaussian_divergence
from geohier.training.ranks import current_rank, whole_batch
from geohier.training.seeding import DRAWS, FIRST_WEIGHTS, derived_seed

POSTERIOR = 3
"""Which of the run's first weights those of the posterior are."""


class LatentLearning(nn.Module):
    """What training has beside the latents of a hierarchy: a posterior, and weights of divergences.

    Args:
        network: a hierarchy with latents.
        config: of the run.

    Attributes:
        weights: of the divergence of each level, by its name: that of the mean over cells.
    """

    def __init__(self, network: HierarchicalSegmenter, config: TrainConfig) -> None:
        super().__init__()
        latents, self.seed = config.model.hierarchy.latents, config.training.seed
        coarsest, strides = len(network.strides) - 1, network.strides
        self.weights = {
            _name(number): latents.weight
            * latents.balance ** (coarsest - number)
            / strides[coarsest] ** 2
            for number in range(coarsest, coarsest - latents.levels, -1)
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(self.seed, FIRST_WEIGHTS, POSTERIOR))
            self.posterior = Posterior(network, len(config.data.classes))

    def draws(self, labels: Tensor, step: int) -> "Draws":
        """Return what draws the latents of a batch.

        Args:
            labels: `(B / W, H, W)` of the chips of this process, IGNORE_INDEX where unlabelled.
            step: number of the step, by which noise is drawn.
        """
        seed = derived_seed(self.seed, DRAWS, step)
        return Draws(self.posterior, labels, torch.Generator().manual_seed(seed))


class Draws:
    """Draws the latents of a batch by its labels, and notes what that costs.

    Attributes:
        terms: mean divergence of the labelled cells of each level, of all processes, by name.
    """

    def __init__(self, posterior: Posterior, labels: Tensor, generator: torch.Generator) -> None:
        self.posterior, self.generator = posterior, generator
        self.levels = posterior.labels(labels)
        self.labelled = (labels != IGNORE_INDEX).float()
        self.terms: dict[str, Tensor] = {}

    def __call__(self, number: int, level: Tensor, prior: Normal) -> Tensor:
        labelled = functional.avg_pool2d(self.labelled, self.posterior.strides[number]) > 0
        known: Normal = self.posterior(number, level, prior, self.levels[number], labelled)
        cells = whole_batch(gaussian_divergence(known, prior))
        count = whole_batch(labelled.to(cells)).sum()
        self.terms[_name(number)] = cells.sum() / count.clamp(min=1)
        return known.at(self._noise(prior.mean).to(prior.mean))

    def _noise(self, like: Tensor) -> Tensor:
        """Draw on the processor, for the chips of all processes: devices and shares draw alike."""
        rank = current_rank()
        noise = torch.randn(rank.of * len(like), *like.shape[1:], generator=self.generator)
        return noise[rank.number :: rank.of]


def _name(number: int) -> str:
    return f"latents.{number}"
