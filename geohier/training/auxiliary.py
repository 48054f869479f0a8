"""What a hierarchy learns beside the classes, and how that becomes one step with them."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from geohier.config.schema import TrainConfig
from geohier.data.labels import IGNORE_INDEX
from geohier.models.auxiliary import AuxiliaryHeads, Told
from geohier.models.hierarchy import HierarchicalSegmenter, Look
from geohier.objectives.levels import consistency_loss, level_loss
from geohier.objectives.reconstruction import masked_error, targets_of
from geohier.objectives.structure import distance_loss, edge_loss
from geohier.objectives.weighing import by_uncertainty, without_conflicts
from geohier.training.ranks import whole_batch
from geohier.training.seeding import FIRST_WEIGHTS, derived_seed

HEADS = 2
"""Which of the run's first weights those of the heads are."""


class Auxiliary(nn.Module):
    """The terms of a config beside the classes.

    Args:
        network: the hierarchy.
        config: of the run.
        bands: bands of the image.
    """

    def __init__(self, network: HierarchicalSegmenter, config: TrainConfig, bands: int) -> None:
        super().__init__()
        self.config = config.auxiliary
        self.weights = self.config.used
        self.strides = network.strides
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(config.training.seed, FIRST_WEIGHTS, HEADS))
            self.heads = AuxiliaryHeads(network, self.config, bands, len(config.data.classes))

    def terms(self, look: Look, logits: Tensor, image: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return each term of a batch, as a scalar without its weight.

        Args:
            look: what the hierarchy answers to the chips of this process.
            logits: its answers to those of all processes.
            image: what it saw; a pixel that is 0 in all bands is invalid.
            labels: class indexes of all chips, IGNORE_INDEX where unlabelled.

        Shape:
            - logits: `(B, K, H, W)`
            - image: `(B / W, C, H, W)`
            - labels: `(B, H, W)`
        """
        told, labelled = self.heads(look).of(whole_batch), labels != IGNORE_INDEX
        known = labels.masked_fill(~labelled, 0), labelled
        return {name: self._term(name, told, logits, image, *known) for name in self.weights}

    def _term(
        self,
        name: str,
        told: Told,
        logits: Tensor,
        image: Tensor,
        labels: Tensor,
        labelled: Tensor,
    ) -> Tensor:
        match name:
            case "edges" if told.edges is not None:
                return edge_loss(told.edges, labels, labelled, self.config.edges.width_px)
            case "distance" if told.distance is not None:
                reach = self.config.distance.reach_px
                return distance_loss(told.distance, labels, labelled, reach)
            case "levels" if told.classes is not None:
                return level_loss(told.classes, labels, labelled, self.strides)
            case "consistency" if told.classes is not None:
                return consistency_loss([logits, *told.classes])
            case "reconstruction" if told.bands is not None:
                return self._rebuilt(told.bands, whole_batch(image))
        raise AssertionError(name)

    def _rebuilt(self, bands: Sequence[Tensor], image: Tensor) -> Tensor:
        valid = (image != 0).any(dim=1, keepdim=True)
        counted = valid.expand_as(image)
        targets, weights = targets_of(image, valid, counted, self.strides)
        means = [
            (weight * target).sum(dim=(0, 2, 3)) / weight.sum(dim=(0, 2, 3)).clamp(min=1e-6)
            for target, weight in zip(targets, weights, strict=True)
        ]
        spread = torch.stack(
            [
                (weight * (target - mean[:, None, None]) ** 2).sum(dim=(0, 2, 3))
                / weight.sum(dim=(0, 2, 3)).clamp(min=1e-6)
                for target, weight, mean in zip(targets, weights, means, strict=True)
            ]
        )
        return masked_error([one.float() for one in bands], targets, weights, spread.clamp(1e-6))

    def together(self, classes: Tensor, terms: Mapping[str, Tensor]) -> Tensor:
        """Return what is to fall: the loss of the classes and all terms, weighed."""
        losses = self.tasks(classes, terms)
        if self.config.weighing == "uncertainty":
            return by_uncertainty(losses, self.heads.log_variances)
        return torch.stack(losses).sum()

    def tasks(self, classes: Tensor, terms: Mapping[str, Tensor]) -> list[Tensor]:
        """Return the loss of the classes, and each term times its weight."""
        return [classes, *(weight * terms[name] for name, weight in self.weights.items())]


def pull_apart(
    tasks: Sequence[Tensor], parameters: Sequence[nn.Parameter], generator: torch.Generator
) -> None:
    """Give parameters the gradients of several tasks, without what contradicts."""
    rows = [
        torch.autograd.grad(task, parameters, retain_graph=at < len(tasks), materialize_grads=True)
        for at, task in enumerate(tasks, start=1)
    ]
    flat = torch.stack([torch.cat([one.flatten() for one in row]) for row in rows])
    merged = without_conflicts(flat, generator)
    ends = list(accumulate(parameter.numel() for parameter in parameters))
    for parameter, part in zip(parameters, merged.tensor_split(ends[:-1]), strict=True):
        parameter.grad = part.view_as(parameter).clone()
