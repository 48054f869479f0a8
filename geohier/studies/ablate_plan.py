"""What an ablation will train, all of it checked before the first cell is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from geohier.config.ablation import BASELINE, Variant, read_variants
from geohier.config.load import config_hash, leaves, load_config
from geohier.config.schema import TrainConfig
from geohier.config.search import JUDGING, why_fixed
from geohier.errors import ConfigError
from geohier.models.lora import add_adapters
from geohier.models.segmentation import build_segmenter

type Judge = Literal["choose", "val"]

OWN_KEYS = {
    "training.seed": "is what --seeds changes",
    "training.patience": "is null in each cell: all take the same steps",
}
"""Keys that an ablation sets itself."""

LEFT_TO_VAL = ("model.downsample",)
"""What changes the pixels of the choose blocks, but not those of the maps that val judges."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One training of an ablation.

    Args:
        variant: what is changed.
        seed: its seed.
    """

    variant: Variant
    seed: int

    def __str__(self) -> str:
        return f"{self.variant}, seed {self.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ablation:
    """Variants of a config, each to be trained with each seed.

    Args:
        config: the config that is varied.
        overrides: `key=value`, laid over it in every cell.
        variants: what is compared, the config as it is first.
        seeds: of the trainings.
        judge: what scores are taken on.
        notes: what a user should know of what was stated.
        equal: names of variants that are the config as it is: their differences are chance.
    """

    config: Path
    overrides: tuple[str, ...]
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    judge: Judge
    notes: tuple[str, ...] = ()
    equal: frozenset[str] = field(default_factory=frozenset)

    @property
    def cells(self) -> Iterator[Cell]:
        """All trainings, seeds outermost: each seed is a whole comparison."""
        return (Cell(variant, seed) for seed in self.seeds for variant in self.variants)

    def load(self, cell: Cell) -> TrainConfig:
        """Return the config of a cell; without early stop, so that all take the same steps."""
        forced = {"training.seed": cell.seed, "training.patience": None}
        return _load(self.config, self.overrides, cell.variant, forced)


def plan_ablation(
    config: Path,
    axes: Sequence[str],
    *,
    overrides: Sequence[str] = (),
    grid: bool = False,
    seeds: int = 3,
    judge: Judge = "choose",
) -> Ablation:
    """Read what is to be compared, and see that every variant can be built and compared.

    Args:
        config: the config that is varied.
        axes: files and axes, as `read_variants` takes them.
        overrides: `key=value`, laid over the config in every cell.
        grid: take each value of an axis with each of the others.
        seeds: how many, counted from the config's.
        judge: what scores are taken on.

    Raises:
        ConfigError: config or axes are wrong; a variant's network cannot be built, its score could
            not be compared, or it would take other steps.
    """
    baseline = Variant(name=BASELINE, values={}, origin=str(config))
    as_it_is = _load(config, overrides, baseline)
    kept, notes, equal = [baseline], [], set()
    known = {config_hash(as_it_is): baseline}
    built: set[str] = set()
    _check_network(as_it_is, baseline, built)
    for one in read_variants(axes, grid=grid):
        changed = _load(config, overrides, one)
        _check_comparable(changed, as_it_is, one, judge)
        _check_steps(changed, as_it_is, one)
        _check_network(changed, one, built)
        same = known.setdefault(config_hash(changed), one)
        if same is baseline and not one.is_named:
            notes.append(f"{one} is the config as it is: it is not trained again")
            continue
        if same is baseline:
            equal.add(one.name)
        elif same is not one and not one.is_named:
            raise ConfigError(f"{one.origin}: {one} and {same} are the same config: drop one")
        kept.append(one)
    if len(kept) == 1:
        raise ConfigError(f"{config}: no variant differs from the config: give others by --axes")
    if as_it_is.training.patience is not None:
        notes.append("training.patience does not count: all cells take the same steps")
    first = as_it_is.training.seed
    return Ablation(
        config=config,
        overrides=tuple(overrides),
        variants=tuple(kept),
        seeds=tuple(range(first, first + seeds)),
        judge=judge,
        notes=tuple(notes),
        equal=frozenset(equal),
    )


def _load(
    config: Path,
    overrides: Sequence[str],
    variant: Variant,
    forced: Mapping[str, object] | None = None,
) -> TrainConfig:
    values = {**variant.values, **(forced or {})}
    return load_config(config, overrides, last=values, last_from=variant.origin)


def _check_comparable(
    changed: TrainConfig, baseline: TrainConfig, variant: Variant, judge: Judge
) -> None:
    """Refuse a variant that changes what judges it."""
    was, now = (dict(leaves(one.model_dump(mode="json"))) for one in (baseline, changed))
    free = LEFT_TO_VAL if judge == "val" else ()
    for key in sorted(was.keys() | now.keys()):
        why = why_fixed(key, JUDGING | OWN_KEYS)
        if why is not None and key not in free and was.get(key) != now.get(key):
            raise ConfigError(
                f"{variant.origin}: {key}: cannot be compared, since it {why}: leave it out, or "
                "change it for all with --set"
            )


def _check_steps(changed: TrainConfig, baseline: TrainConfig, variant: Variant) -> None:
    now, then = steps_of(changed), steps_of(baseline)
    if now is not None and then is not None and now != then:
        raise ConfigError(
            f"{variant.origin}: {variant} takes {now} steps, but the config {then}: scores are "
            "compared after the same steps, so change training.epochs or chips.per_epoch with it"
        )
    if (now, _covers(changed)) != (then, _covers(baseline)):
        raise ConfigError(
            f"{variant.origin}: {variant} would take another number of steps, since it takes as "
            "many chips as cover the scenes: state chips.per_epoch, --set chips.per_epoch=200"
        )


def steps_of(config: TrainConfig) -> int | None:
    """Return the steps of a run, None where it depends on the scenes how many chips cover them."""
    chips = config.chips.stated_per_epoch
    if chips is None:
        return None
    steps = config.training.epochs * max(chips // config.chips.batch_size, 1)
    return min(steps, config.training.max_steps or steps)


def _covers(config: TrainConfig) -> tuple[object, ...]:
    """Return what decides how many steps cover the scenes, if the config does not state it."""
    if config.chips.stated_per_epoch is not None:
        return ()
    chips, training = config.chips, config.training
    return (
        *(chips.size_px, chips.batch_size, config.model.downsample),
        *(training.epochs, training.max_steps, training.label_share),
    )


def _check_network(config: TrainConfig, variant: Variant, built: set[str]) -> None:
    """Refuse what cannot be built at once, not when its turn comes."""
    model = f"{config.model.model_dump_json()} {config.fine_tuning.lora_rank}"
    if model in built:
        return
    bands = len(config.data.bands or ()) or 3
    try:
        network = build_segmenter(config.model, bands, len(config.data.classes))
        add_adapters(network, config.fine_tuning.lora_rank, seed=0)
    except ConfigError as error:
        raise ConfigError(f"{variant.origin}: {error}") from error
    built.add(model)
