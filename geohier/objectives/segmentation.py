"""The losses of a segmentation: each is 0 on a perfect answer and ignores unlabelled pixels.

With label smoothing, and only then, the cross-entropy of a perfect answer is above 0.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from geohier.config.objectives import ClassWeights, ObjectivesConfig
from geohier.data.labels import IGNORE_INDEX
from geohier.geo.class_tree import ClassTree
from geohier.objectives.boundary import boundary
from geohier.objectives.class_tree import tree_loss
from geohier.objectives.overlap import dice, lovasz, tversky
from geohier.objectives.pixelwise import chip_losses, cross_entropy, focal


class SegmentationLoss:
    """The weighted losses of a config.

    Args:
        config: which losses, their weights and options.
        classes: names of the classes, in the model's order.
        counts: labelled pixels of each class in the train scenes, for balanced class weights.
        tree: groups of the classes, for the loss of that name.

    Example:
        >>> loss = SegmentationLoss(ObjectivesConfig(tversky=0.5), ["ground", "roof"], [90, 10])
        >>> labels = torch.tensor([[[0, 1, 255]]])
        >>> perfect = 100 * torch.tensor([[[[1.0, 0, 0]], [[0, 1.0, 0]]]])
        >>> {name: float(term) for name, term in loss.terms(perfect, labels).items()}
        {'cross_entropy': 0.0, 'dice': 0.0, 'tversky': 0.0}
    """

    def __init__(
        self,
        config: ObjectivesConfig,
        classes: Sequence[str],
        counts: Sequence[int],
        tree: ClassTree | None = None,
    ) -> None:
        self.config = config
        self._levels = () if tree is None else tuple(level.group_of for level in tree.levels)
        self.weights = config.used
        self._class_weights = {
            "cross_entropy": class_weights(config.cross_entropy.class_weights, classes, counts),
            "focal": class_weights(config.focal.class_weights, classes, counts),
        }

    def terms(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return each loss of a batch whose weight is above 0, as a scalar without its weight.

        They are computed in float32 whatever the logits are. A batch without a labelled pixel gives
        zeros whose gradient is zero.

        Shape:
            - logits: `(B, K, H, W)`
            - labels: `(B, H, W)` class indexes, IGNORE_INDEX where unlabelled
        """
        known = known_pixels(logits, labels)  # once: else gradients are rounded term by term
        return {name: self._term(name, *known) for name in self.weights}

    def _term(self, name: str, logits: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
        of = self.config
        known = logits, labels, labelled
        match name:
            case "cross_entropy":
                weights = self._weights_for(name, logits)
                return cross_entropy(*known, weights, of.cross_entropy.label_smoothing)
            case "focal":
                return focal(*known, self._weights_for(name, logits), of.focal.gamma)
            case "dice":
                return dice(*known)
            case "tversky":
                return tversky(*known, of.tversky.alpha, of.tversky.beta)
            case "lovasz":
                return lovasz(*known)
            case "boundary":
                return boundary(*known, of.boundary.reach_px)
            case "tree":
                return tree_loss(*known, self._levels)
        raise AssertionError(name)

    def _weights_for(self, name: str, logits: Tensor) -> Tensor | None:
        weights = self._class_weights[name]
        return None if weights is None else weights.to(logits.device)


def class_weights(
    stated: ClassWeights | None, classes: Sequence[str], counts: Sequence[int]
) -> Tensor | None:
    """Return the weight of a pixel of each class, None where all count the same.

    Balanced weights are the mean of the counts of the classes that are there by their own count;
    classes that no label holds never count.

    Example:
        >>> class_weights("balanced", ["water", "sand"], [30, 10])
        tensor([0.6667, 2.0000])
    """
    if stated is None:
        return None
    if stated != "balanced":
        return torch.tensor([float(stated.get(name, 1)) for name in classes])
    seen = torch.tensor(counts, dtype=torch.float64)
    mean = seen.sum() / (seen > 0).sum().clamp(min=1)
    return torch.where(seen > 0, mean / seen.clamp(min=1), 0).float()


def weigh(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Return the weighted sum of terms; every term needs a weight, which may be 0."""
    weighted = [weights[name] * term for name, term in terms.items()]
    return sum(weighted[1:], start=weighted[0])


def losses_of_chips(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of each chip of a batch, NaN for one without labels.

    Shape:
        - logits: `(B, K, H, W)`
        - labels: `(B, H, W)` class indexes, IGNORE_INDEX where unlabelled
        - returns: `(B,)` float32
    """
    return chip_losses(*known_pixels(logits, labels))


def known_pixels(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return float32 logits, labels with class 0 where unlabelled, and where they are labelled."""
    labelled = labels != IGNORE_INDEX
    return logits.float(), labels.masked_fill(~labelled, 0), labelled
