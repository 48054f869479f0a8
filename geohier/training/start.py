"""What a training starts from: weights of the config, read before anything is written."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from geohier.config.schema import TrainConfig
from geohier.errors import ConfigError, ModelError, ResourceError
from geohier.geo.bands import BandSet
from geohier.models.published import find, published
from geohier.models.transfer import Transfer, start_from
from geohier.models.weight_files import SourceBands, Weights, read_weights


@dataclass(frozen=True, slots=True)
class Start:
    """A config whose weights have their SHA-256, and these weights; None for random ones."""

    config: TrainConfig
    weights: Weights | None = None

    def give(self, network: nn.Module, bands: BandSet, classes: Sequence[str]) -> Transfer | None:
        """Give the network the weights; None where it keeps its random ones.

        Raises:
            ModelError: they are another network's, or nobody says which bands they read.
        """
        if self.weights is None:
            return None
        return start_from(
            network,
            self.weights,
            bands,
            classes,
            normalised=self.config.data.normalise == "train",
            least_matched=self.config.weights.least_matched,
        )


def start_of_finished(config: TrainConfig, sha256: str | None) -> Start:
    """Find the weights that a finished run started from; their SHA-256 will do if they are gone.

    Raises:
        ConfigError: nobody publishes weights of that name.
        ModelError, ResourceError: they are gone, and so is the SHA-256 of the run.
    """
    try:
        return find_start(config)
    except (ModelError, ResourceError):
        if sha256 is None:
            raise
        pinned = config.weights.model_copy(update={"sha256": config.weights.sha256 or sha256})
        return Start(config.model_copy(update={"weights": pinned}))


def find_start(config: TrainConfig, *, allow_download: bool = False) -> Start:
    """Find and read the weights that a config starts from.

    Raises:
        ConfigError: nobody publishes weights of that name.
        ResourceError: they are not on this machine, and may not be fetched.
        ModelError: their file is missing, damaged or another one.
    """
    wanted = config.weights
    if wanted.name is None and wanted.file is None:
        if wanted.sha256 is not None:
            raise ConfigError(
                f"weights.sha256 asks for weights {wanted.sha256[:12]}..., but neither "
                "weights.name nor weights.file says where they are: give one, or null sha256"
            )
        return Start(config)
    known = None if wanted.name is None else published(wanted.name)
    path = wanted.file
    if path is None:
        assert known is not None
        path = find(known, allow_download=allow_download)
    weights = read_weights(path, wanted.sha256)
    if known is not None and known.bands is not None:
        weights = replace(weights, bands=known.bands)
    if weights.bands is None and wanted.bands:
        weights = replace(weights, bands=SourceBands(names=wanted.bands))
    pinned = wanted.model_copy(update={"sha256": weights.sha256})
    return Start(config.model_copy(update={"weights": pinned}), weights)
