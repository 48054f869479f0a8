"""What predicts: a network, its card, and who it is."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from geohier.errors import ConfigError
from geohier.inference.features import Features
from geohier.inference.module_identity import module_sha256
from geohier.models.card import ModelCard
from geohier.models.directory import LoadedModel, load_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """A network with its card.

    Args:
        module: from `(B, C, H, W)` normalised pixels to `(B, K, H, W)` scores.
        card: what it reads and answers.
        sha256: who it is: that of a model directory, or `module_sha256`, which says what it covers.
        features: levels whose features the module gives in place of scores.
        channels_last: whether it runs with channels last in memory, which is faster for deep
            networks; a bare module runs as it is.
    """

    module: nn.Module
    card: ModelCard
    sha256: str
    features: Features | None = None
    channels_last: bool = False

    @property
    def channels(self) -> int:
        """Numbers that the module gives for each place: one per class, or the features."""
        return len(self.card.classes) if self.features is None else self.features.channels

    @property
    def stride(self) -> int:
        """Pixels of the scene per place that the module answers for, along each axis."""
        return 1 if self.features is None else self.features.stride


def finds_objects(predictor: Predictor) -> bool:
    """Return whether what it writes are objects."""
    return predictor.card.points is not None and predictor.features is None


def as_predictor(
    model: LoadedModel | Predictor | nn.Module | Path | str, card: ModelCard | None = None
) -> Predictor:
    """Return what predicts behind a model directory, a loaded model, or any module with a card.

    Raises:
        ConfigError: a module comes without a card, or a loaded model with another one.
        ModelError: the model directory cannot be loaded.
    """
    if isinstance(model, Predictor):
        return model
    if isinstance(model, nn.Module):
        if card is None:
            raise ConfigError("a module needs a ModelCard: give its bands, classes and stride")
        return Predictor(module=model, card=card, sha256=module_sha256(model, card))
    if card is not None:
        raise ConfigError("a model directory has its own card: leave `card` out")
    loaded = model if isinstance(model, LoadedModel) else load_model(model)
    return Predictor(
        module=loaded.module, card=loaded.card, sha256=loaded.sha256, channels_last=True
    )
