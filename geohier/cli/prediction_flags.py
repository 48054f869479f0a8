"""Options that commands share, declared once: what `plan` plans is what `predict` does."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_type_hints

import typer

from geohier.cli.usual_options import Overwrite, Restart
from geohier.errors import ConfigError

if TYPE_CHECKING:
    from geohier.inference.exits import EarlyExits
    from geohier.inference.options import PredictOptions
    from geohier.raster.reader import OpenOptions


Device = Annotated[str, typer.Option(help="auto, cuda, cuda:1, mps or cpu.")]
Bands = Annotated[
    str | None,
    typer.Option(help="Bands of the scene, in the order that inspect MODEL says: 4,3,2."),
]
ForceScale = Annotated[
    bool, typer.Option("--force-scale", help="Accept units other than the model's.")
]
ForceGsd = Annotated[bool, typer.Option("--force-gsd", help="Accept a GSD far from the model's.")]
MemoryGb = Annotated[
    float | None,
    typer.Option(
        help="Memory to work in, GiB; wider rasters are worked through in swaths.",
        show_default="a quarter of the machine's",
    ),
]


@dataclass(frozen=True, kw_only=True)
class WorkFlags:
    """What a user may say on the command line about how a model goes over a scene."""

    size: Annotated[
        int | None,
        typer.Option(help="Side of a tile, px.", show_default="from the model's margin"),
    ] = None
    overlap: Annotated[
        int | None,
        typer.Option(help="Pixels that tiles share.", show_default="from the model's margin"),
    ] = None
    blend: Annotated[
        Literal["taper", "crop"],
        typer.Option(help="Hand over along a ramp, or cut in the middle of the overlap."),
    ] = "taper"
    batch_size: Annotated[
        str, typer.Option(help="Tiles that go through the model together, or auto.")
    ] = "auto"
    device: Device = "auto"
    precision: Annotated[
        Literal["auto", "bf16", "fp32"],
        typer.Option(help="auto is bf16 where the processor computes in it."),
    ] = "auto"
    tta: Annotated[
        Literal["none", "d4"],
        typer.Option(help="d4 averages over the flips and rotations: eight times the work."),
    ] = "none"
    bands: Bands = None
    valid: Annotated[
        Literal["all", "any"],
        typer.Option(help="A pixel is valid if all, or any, of its bands are."),
    ] = "all"
    alpha: Annotated[
        Literal["auto", "band", "none"],
        typer.Option(help="Whether a band is alpha; `geohier inspect` says what auto does."),
    ] = "auto"
    force_scale: ForceScale = False
    force_gsd: ForceGsd = False
    memory_gb: MemoryGb = None

    def predict_options(self) -> "PredictOptions":
        """Return how scenes are predicted.

        Raises:
            ConfigError: an option is not of the form that it should have.
        """
        from geohier.inference.options import PredictOptions

        return PredictOptions(
            size=self.size,
            overlap=self.overlap,
            blend=self.blend,
            batch_size=parse_batch_size(self.batch_size),
            device=self.device,
            precision=self.precision,
            symmetric=self.tta == "d4",
            bands=None if self.bands is None else parse_list(self.bands),
            valid=self.valid,
            alpha=self.alpha,
            force_scale=self.force_scale,
            force_gsd=self.force_gsd,
            memory_gb=self.memory_gb,
        )


@dataclass(frozen=True, kw_only=True)
class ModelFlags(WorkFlags):
    """What a user may say about how a model is used and its classes are chosen."""

    threshold: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS=P", help="Choose CLASS wherever its probability reaches P."),
    ] = None
    exits: Annotated[
        str | None,
        typer.Option(
            metavar="4,2",
            help="Look at tiles 4, then 2 times as coarse first; the first sure answer stands.",
            show_default="look at all in full",
        ),
    ] = None
    sure: Annotated[
        float | None,
        typer.Option(help="Probability that answers must reach to leave.", show_default="0.95"),
    ] = None
    sure_share: Annotated[
        float | None,
        typer.Option(help="Share of a tile's pixels that must reach it.", show_default="1: all"),
    ] = None
    sample: Annotated[
        int | None,
        typer.Option(
            metavar="SEED",
            help="Draw one of the maps that a model with latents finds possible.",
            show_default="the means of its latents",
        ),
    ] = None

    def predict_options(self) -> "PredictOptions":
        """Return how scenes are predicted.

        Raises:
            ConfigError: an option is not of the form that it should have.
        """
        thresholds = parse_thresholds(self.threshold)
        return replace(
            super().predict_options(),
            thresholds=thresholds,
            sample=self.sample,
            exits=parse_exits(self.exits, sure=self.sure, share=self.sure_share),
        )


@dataclass(frozen=True, kw_only=True)
class SceneFlags:
    """What a user may say about scenes."""

    mosaic: Annotated[
        bool, typer.Option("--mosaic", help="Read adjoining rasters on one grid as one scene.")
    ] = False
    aoi: Annotated[
        Path | None,
        typer.Option(help="Polygons in a vector file; outside is nodata and costs nothing."),
    ] = None
    nodata: Annotated[
        float | None, typer.Option(help="Nodata value, in place of what the files declare.")
    ] = None
    max_pixels: Annotated[
        int | None, typer.Option(min=1, help="Refuse scenes with more pixels.")
    ] = None
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let scenes be URLs or /vsi paths.")
    ] = False
    allow_ungeoreferenced: Annotated[
        bool,
        typer.Option("--allow-ungeoreferenced", help="Accept rasters that say not where they lie."),
    ] = False

    def open_options(self) -> "OpenOptions":
        """Return how scenes are opened."""
        return {
            "allow_remote": self.allow_remote,
            "allow_ungeoreferenced": self.allow_ungeoreferenced,
            "nodata": self.nodata,
            "max_pixels": self.max_pixels,
        }


@dataclass(frozen=True, kw_only=True)
class PredictionFlags(ModelFlags, SceneFlags):
    """What a user may say about scenes, the model, and the layers that are written."""

    tree_level: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Map the groups of level N of the classes' tree; 1 is the coarsest.",
            show_default="the classes",
        ),
    ] = None
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write the probability of each class.")
    ] = False
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Also write the probability of the chosen class.")
    ] = False
    entropy: Annotated[
        bool, typer.Option("--entropy", help="Also write the entropy, from 0 (sure) to 1.")
    ] = False

    def predict_options(self) -> "PredictOptions":
        """Return how scenes are predicted, and what is written of them.

        Raises:
            ConfigError: an option is not of the form that it should have.
        """
        return replace(
            super().predict_options(),
            confidence=self.confidence,
            entropy=self.entropy,
            probabilities=self.probabilities,
            tree_level=self.tree_level,
            aoi=self.aoi,
        )


@dataclass(frozen=True, kw_only=True)
class WritingFlags:
    """What a user may say about what is written."""

    creation: Annotated[
        list[str] | None,
        typer.Option("--co", metavar="KEY=VALUE", help="Creation option of GDAL's COG driver."),
    ] = None
    restart: Restart = False
    overwrite: Overwrite = False
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at a block that cannot be read.")
    ] = False

    def written(self, options: "PredictOptions") -> "PredictOptions":
        """Return options, and how what they ask for is written.

        Raises:
            ConfigError: an option is not of the form that it should have.
        """
        return replace(
            options,
            creation=parse_pairs("--co", [pair.upper() for pair in self.creation or ()]),
            restart=self.restart,
            overwrite=self.overwrite,
            strict=self.strict,
        )


@dataclass(frozen=True, kw_only=True)
class PredictFlags(PredictionFlags, WritingFlags):
    """What a user may say about scenes, the model, and how layers are written."""

    def predict_options(self) -> "PredictOptions":
        """Return how scenes are predicted and their layers written.

        Raises:
            ConfigError: an option is not of the form that it should have.
        """
        return self.written(super().predict_options())


@dataclass(frozen=True, kw_only=True)
class EmbedFlags(WorkFlags, SceneFlags, WritingFlags):
    """What a user may say about scenes and the model where classes do not matter."""

    def predict_options(self) -> "PredictOptions":
        """Return how the model goes over scenes, and how its features are written.

        Raises:
            ConfigError: an option is not of the form that it should have.
        """
        return self.written(replace(super().predict_options(), aoi=self.aoi))


def changed(flags: ModelFlags) -> dict[str, object]:
    """Return the options that a user has given, by name."""
    values = {field.name: getattr(flags, field.name) for field in fields(flags)}
    return {name: value for name, value in values.items() if value != getattr(type(flags), name)}


def takes_flags[R](command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options of the class of its argument `flags`, which it gets filled in."""
    kind: type[WorkFlags] = get_type_hints(command)["flags"]
    hints = get_type_hints(kind, include_extras=True)
    own = [at for at in inspect.signature(command).parameters.values() if at.name != "flags"]
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]

    @functools.wraps(command)
    def expanded(**values: object) -> R:
        flags = {parameter.name: values.pop(parameter.name) for parameter in shared}
        return command(**values, flags=kind(**flags))  # type: ignore[arg-type]

    parameters = [at.replace(kind=inspect.Parameter.KEYWORD_ONLY) for at in own] + shared
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {at.name: at.annotation for at in parameters}
    return expanded


def parse_pairs(option: str, pairs: Sequence[str] | None) -> dict[str, str]:
    """Return `KEY=VALUE` texts as a mapping.

    Raises:
        ConfigError: a text has no `=`, or a key is given twice.
    """
    parsed: dict[str, str] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise ConfigError(f"{option} {pair!r} is not of the form KEY=VALUE")
        if key in parsed:
            raise ConfigError(f"{option} {key} is given twice: give it once")
        parsed[key] = value
    return parsed


def parse_thresholds(pairs: Sequence[str] | None) -> dict[str, float]:
    """Return `CLASS=0.3` texts as a mapping.

    Raises:
        ConfigError: a probability is not a number.
    """
    parsed = {}
    for name, value in parse_pairs("--threshold", pairs).items():
        try:
            parsed[name] = float(value)
        except ValueError:
            raise ConfigError(f"--threshold {name}={value}: {value!r} is not a number") from None
    return parsed


def parse_exits(
    text: str | None, *, sure: float | None, share: float | None
) -> "EarlyExits | None":
    """Return the exits behind `4,2` and when they are taken, None where none are given.

    Raises:
        ConfigError: they are no whole numbers, or what they need is given without them.
    """
    from geohier.inference.exits import EarlyExits

    said = {name: one for name, one in (("sure", sure), ("share", share)) if one is not None}
    if text is None:
        if said:
            option = "--sure" if "sure" in said else "--sure-share"
            raise ConfigError(f"{option} is for --exits, which are missing: give them, as in 4,2")
        return None
    if not all(one.isdecimal() for one in parse_list(text)):
        raise ConfigError(f"--exits {text!r}: give whole numbers, the coarsest first, as in 4,2")
    return EarlyExits(factors=tuple(map(int, parse_list(text))), **said)


def parse_list(text: str) -> tuple[str, ...]:
    """Return the entries of a list with commas.

    Example:
        >>> parse_list("nir, 2,1")
        ('nir', '2', '1')
    """
    return tuple(entry.strip() for entry in text.split(","))


def parse_batch_size(text: str) -> int | None:
    """Return the batch size, None for `auto`.

    Raises:
        ConfigError: it is neither a whole number nor `auto`.
    """
    if text == "auto":
        return None
    if not text.isdecimal():
        raise ConfigError(f"--batch-size {text!r} is neither a whole number nor auto")
    return int(text)
