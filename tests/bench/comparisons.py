"""What is compared on real scenes: comparisons of one config in variants, three seeds of each."""

from collections.abc import Mapping
from dataclasses import dataclass

SEEDS = (0, 1, 2)

SAMPLED = ("training.epochs=5",)
"""Half of the epochs that configs/trees.yaml asks for: many variants, and minutes for each."""

FEW = (*SAMPLED, "chips.size_px=128")
"""Four times the steps over the same pixels: from few labels, trees are learnt in small steps."""

BRIEF = ("training.epochs=3", "chips.megapixels_per_epoch=24")
"""A fifth of what configs/buildings.yaml asks for, where few labels are seen over and over."""

PRETRAINED = "{runs}/pretrain-"
"""Where a run of pretraining lies; a variant that starts from one names a file in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretraining:
    """One run of pretraining: `geohier pretrain` of a config in a folder of its name."""

    config: str
    overrides: tuple[str, ...]

    @property
    def command(self) -> str:
        """What a user would type."""
        sets = " ".join(f"--set {override}" for override in self.overrides)
        return f"geohier pretrain configs/{self.config}.yaml {sets}"


PRETRAININGS: Mapping[str, Pretraining] = {
    "trees": Pretraining(config="trees", overrides=("chips.size_px=128", "training.epochs=8")),
    "buildings": Pretraining(config="buildings", overrides=("training.epochs=4",)),
}


@dataclass(frozen=True, slots=True)
class Variant:
    """One side of a comparison.

    Args:
        run: its folder is RUNS/CONFIG-run-SEED: variants of the same name are the same runs.
        overrides: what it changes in the config.
    """

    run: str
    overrides: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Variants of one config.

    Args:
        config: its name in configs/.
        compared: what differs, as a noun.
        alike: what does not, beside the number of steps.
        variants: by the names that the tables give them.
        pairs: of which variants the difference is taken: one minus the other.
        remark: what a reader of the table should know.
    """

    config: str
    compared: str
    alike: str
    variants: Mapping[str, Variant]
    pairs: tuple[tuple[str, str], ...]
    remark: str = ""


def _decoders(config: str) -> Comparison:
    return Comparison(
        config=config,
        compared="decoder",
        alike="loop, chips",
        variants={name: Variant(name, (f"model.decoder={name}",)) for name in ("fpn", "unet")},
        pairs=(("fpn", "unet"),),
    )


def _sampler(name: str, *more: str) -> Variant:
    return Variant(name, (f"chips.sampler={name}", *more))


def _samplers(config: str, *more: str) -> Comparison:
    return Comparison(
        config=config,
        compared="sampler",
        alike="loop, network",
        variants={name: _sampler(name, *more) for name in ("balanced", "uniform")},
        pairs=(("balanced", "uniform"),),
    )


def _ordered(difficulty: str, order: str) -> Variant:
    keys = {"difficulty": difficulty, "order": order, "epochs": 3}
    overrides = tuple(f"curriculum.{key}={value}" for key, value in keys.items())
    return Variant(f"{difficulty}-{order}", (*SAMPLED, *overrides))


def _curricula() -> Comparison:
    first = {"easy first": "easy_first", "hard first": "hard_first"}
    return Comparison(
        config="trees",
        compared="order of chips",
        alike="loop, network",
        variants={
            **{name: _ordered("entropy", order) for name, order in first.items()},
            "uniform": _sampler("uniform", *SAMPLED),
        },
        pairs=(("easy first", "uniform"), ("easy first", "hard first"), ("hard first", "uniform")),
        remark="Easy is what holds few classes (entropy of the labels); all chips come alike from "
        "the fourth of five epochs on.",
    )


def _share(percent: int) -> Variant:
    """Return the variant that has a share of the labels of trees, and random first weights."""
    return Variant(f"labels{percent}", (*FEW, f"training.label_share={percent / 100}"))


def _label_shares() -> Comparison:
    return Comparison(
        config="trees",
        compared="share of labels",
        alike="loop, network, epochs",
        variants={f"{percent} %": _share(percent) for percent in (1, 5, 10, 100)},
        pairs=(("100 %", "10 %"), ("10 %", "5 %"), ("5 %", "1 %")),
        remark="The blocks that choose the epoch are the same for all: 15 % of the train scenes, "
        "whose labels a smaller share does not make fewer.",
    )


def _pretraining(config: str, *more: str) -> Comparison:
    """Compare first weights at two shares of the labels."""
    variants = {}
    for percent in (5, 10):
        few = (*more, f"training.label_share={percent / 100}")
        start = f"weights.file={PRETRAINED}{config}/encoder.safetensors"
        variants[f"pretrained, {percent} %"] = Variant(f"pretrained{percent}", (*few, start))
        variants[f"random, {percent} %"] = Variant(f"labels{percent}", few)
    return Comparison(
        config=config,
        compared="start",
        alike="loop, network",
        variants=variants,
        pairs=tuple((f"pretrained, {at} %", f"random, {at} %") for at in (5, 10)),
        remark="The blocks that choose the epoch are the same for all: 15 % of the train blocks. "
        f"Pretrained by masked reconstruction: `{PRETRAININGS[config].command}`.",
    )


def _dates() -> Comparison:
    kinds = {
        "three dates, attention": Variant("ltae", SAMPLED),
        "three dates, ConvLSTM": Variant(
            "convlstm", (*SAMPLED, "model.hierarchy.time.kind=convlstm")
        ),
        "one date": Variant("newest", (*SAMPLED, "data.dates.most=1")),
    }
    return Comparison(
        config="trees_dates",
        compared="dates",
        alike="labels, loop",
        variants=kinds,
        pairs=tuple((name, "one date") for name in list(kinds)[:2]),
        remark="Labels and maps are of 2020; three dates are 2016, 2018 and 2020. One date goes "
        "through the same network.",
    )


def _memory() -> Comparison:
    """Compare a hierarchy with a memory of classes and one without, at two shares of the labels."""
    variants = {}
    for percent in (5, 100):
        few = (*FEW, "model.decoder=hierarchy", f"training.label_share={percent / 100}")
        memory = "model.hierarchy.memory.slots=8"
        variants[f"memory, {percent} %"] = Variant(f"memory{percent}", (*few, memory))
        variants[f"none, {percent} %"] = Variant(f"hierarchy{percent}", few)
    return Comparison(
        config="trees",
        compared="memory",
        alike="loop, network, epochs",
        variants=variants,
        pairs=tuple((f"memory, {at} %", f"none, {at} %") for at in (5, 100)),
        remark="The blocks that choose the epoch are the same for all: 15 % of the train scenes, "
        "whose labels a smaller share does not make fewer.",
    )


COMPARISONS: Mapping[str, Comparison] = {
    "buildings": _decoders("buildings"),
    "forest": _decoders("forest"),
    "sampling-coast": _samplers("coast"),
    "sampling-trees": _samplers("trees", *SAMPLED),
    "curriculum-trees": _curricula(),
    "labels-trees": _label_shares(),
    "memory-trees": _memory(),
    "dates-trees": _dates(),
    "pretraining-trees": _pretraining("trees", *FEW),
    "pretraining-buildings": _pretraining("buildings", *BRIEF),
}
"""By the names that `compare.py` takes and docs/results/ has."""
