"""Weights of one network as the start of another: by name, by band, by class.

The encoder may come from anywhere; the rest is taken over where a tensor of the same name and shape
is there, as from another model of geohier. What is not found keeps its first random weights.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from geohier.errors import ModelError
from geohier.geo.bands import BandSet
from geohier.models.band_transfer import BandChange, bands_read_by, first_layers
from geohier.models.stages import flat_name
from geohier.models.weight_files import Weights

ENCODER = "encoder."
WRAPPERS = ("", "model.", "model.model.")
"""What smp and timm put between `encoder.` and the names of the library that an encoder is from."""

NECK = "encoder.neck."
"""The pyramid over a plain transformer, which counts as part of the decoder."""

HEAD = "segmentation_head."
MEMORY = "memory."
"""What it holds of some classes says nothing of others."""

CLASS_KEYS = "memory.class_keys"
"""What a memory of classes has and one of motifs has not."""

OUTER = "network."
"""What a network on coarser pixels puts before the names of the one that it wraps."""


@dataclass(slots=True)
class Transfer:
    """What was taken over.

    Args:
        origin: where the weights come from.
        sha256: of that file.
        found: tensors of the network that were found, the encoder's among them.
        share: share of the encoder's weights that were found.
        fresh: parts of the network that start from random weights.
        notes: what else a user should know.
    """

    origin: str
    sha256: str
    found: int = 0
    share: float = 0.0
    fresh: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        fresh = f"; from random weights: {', '.join(self.fresh)}" if self.fresh else ""
        notes = "".join(f"; {note}" for note in self.notes)
        return (
            f"starts from {self.origin}: {self.found} tensors, {self.share:.0%} of the "
            f"encoder's weights{fresh}{notes}"
        )


def start_from(
    network: nn.Module,
    weights: Weights,
    bands: BandSet,
    classes: Sequence[str],
    *,
    normalised: bool = True,
    least_matched: float = 0.8,
) -> Transfer:
    """Give a network of `build_segmenter` the weights that it can start from, in place.

    The first convolution is adapted by the names of the bands. Where it is known how the bands were
    normalised, it is rescaled, so that it answers to this network's bands as it did to those.

    Args:
        network: the network.
        weights: tensors.
        bands: the network's bands.
        classes: names of the network's classes.
        normalised: whether the network's bands are normalised by the statistics of `bands`.
        least_matched: share of the encoder's weights that must be found.

    Raises:
        ModelError: too little was found, or the bands of the weights are not known.
    """
    own = network.state_dict()
    source = {name.removeprefix(OUTER): value for name, value in weights.tensors.items()}
    done = Transfer(origin=weights.origin, sha256=weights.sha256)
    found = _encoder_tensors(own, source)
    first = _first_convolution(network)
    if first is not None and first in found:
        read = bands_read_by(weights, found[first].shape[1])
        change = BandChange.between(read, bands if normalised else None, bands.meanings)
        found |= first_layers(network, first, found, change)
        done.notes.extend(change.notes)
    found = {name: value for name, value in found.items() if value.shape == own[name].shape}
    _check_finite(done.origin, found)
    done.share = _size(found) / _size({n: v for n, v in own.items() if _is_encoder(n)})
    _check_share(done, least_matched)
    found |= _rest(own, source, weights.classes, classes)
    network.load_state_dict({**own, **found})
    done.found = len(found)
    done.fresh = tuple(dict.fromkeys(_part(name) for name in own if name not in found))
    return done


def _is_encoder(name: str) -> bool:
    return name.startswith(ENCODER) and not name.startswith(NECK)


def _part(name: str) -> str:
    """Return which part of the network a tensor belongs to."""
    return NECK.rstrip(".") if name.startswith(NECK) else name.split(".", 1)[0]


def _encoder_tensors(own: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the encoder's tensors that the source has, by the network's own names.

    Libraries differ in what stands before a name, and timm's pyramids write `stem_0` for `stem.0`.
    """
    by_name = {flat_name(name): value for name, value in source.items()}
    best: dict[str, Tensor] = {}
    for wrapper in WRAPPERS:
        tails = {
            name: flat_name(name.removeprefix(ENCODER + wrapper))
            for name in own
            if name.startswith(ENCODER + wrapper) and _is_encoder(name)
        }
        prefix = _usual_prefix(by_name, tails.values())
        found = {n: by_name[prefix + tail] for n, tail in tails.items() if prefix + tail in by_name}
        best = max(best, found, key=len)
    return best


def _usual_prefix(names: Iterable[str], tails: Iterable[str]) -> str:
    """Return what most often stands before the wanted names."""
    wanted = set(tails)
    seen = Counter(prefix for name in names for prefix, tail in _cuts(name) if tail in wanted)
    return seen.most_common(1)[0][0] if seen else ""


def _cuts(name: str) -> Iterator[tuple[str, str]]:
    """Yield a name cut in two before each of its words."""
    yield "", name
    for at, letter in enumerate(name):
        if letter == "_":
            yield name[: at + 1], name[at + 1 :]


def _size(tensors: Mapping[str, Tensor]) -> int:
    return sum(value.numel() for value in tensors.values())


def _check_share(done: Transfer, least: float) -> None:
    if done.share < least:
        raise ModelError(
            f"weights {done.origin}: only {done.share:.0%} of the encoder's weights are in there: "
            "they belong to another encoder (model.encoder), or lower weights.least_matched"
        )


def _check_finite(origin: str, tensors: Mapping[str, Tensor]) -> None:
    for name, value in tensors.items():
        if not bool(value.isfinite().all()):
            raise ModelError(f"weights {origin}: {name} is not finite: the file is damaged")


def _first_convolution(network: nn.Module) -> str | None:
    """Return the name of the weights that read the bands; None if they are made anew."""
    names = (
        f"{name}.weight"
        for name, module in network.named_modules()
        if _is_encoder(name) and isinstance(module, nn.Conv2d)
    )
    return next(names, None)


def _rest(
    own: Mapping[str, Tensor],
    source: Mapping[str, Tensor],
    known: Sequence[str],
    classes: Sequence[str],
) -> dict[str, Tensor]:
    """Return what else the source has: decoder, and in the last layer the classes of one name."""
    found = {}
    remembers = _remembers_alike(own, source, known, classes)
    for name, value in own.items():
        if _is_encoder(name) or name not in source:
            continue
        if name.startswith(MEMORY) and not remembers:
            continue
        if name.startswith(HEAD):
            if set(known) & set(classes):
                found[name] = _same_classes(value, source[name], known, classes)
        elif source[name].shape == value.shape:
            found[name] = source[name]
    return found


def _remembers_alike(
    own: Mapping[str, Tensor],
    source: Mapping[str, Tensor],
    known: Sequence[str],
    classes: Sequence[str],
) -> bool:
    """Return whether memories are both of motifs, or both of the same classes in one order."""
    if CLASS_KEYS in own and CLASS_KEYS in source:
        return tuple(known) == tuple(classes)
    return CLASS_KEYS not in own and CLASS_KEYS not in source


def _same_classes(
    own: Tensor, source: Tensor, known: Sequence[str], classes: Sequence[str]
) -> Tensor:
    rows = own.clone()
    for at, name in enumerate(classes):
        if name in known and source.shape[1:] == own.shape[1:]:
            rows[at] = source[known.index(name)]
    return rows
