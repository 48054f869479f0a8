"""The stages of an encoder: what it computes between one level of its pyramid and the next."""

from dataclasses import dataclass, field

from torch import nn

ENCODER = "encoder"
WRAPPED = "model"
"""Where an encoder keeps what its library has built."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Modules that together are one stage, without those within them that are listed too."""

    modules: list[nn.Module] = field(default_factory=list)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Parameters of the stage, each once."""
        return [one for module in self.modules for one in module.parameters(recurse=False)]

    def freeze(self, *, frozen: bool) -> None:
        """Keep the parameters as they are, or learn them again.

        Frozen, normalisations use their running statistics and leave them alone.
        """
        for parameter in self.parameters:
            parameter.requires_grad_(not frozen)
        for module in self.modules:
            module.training = not frozen


def encoder_stages(network: nn.Module) -> tuple[Stage, ...]:
    """Return the stages of a network's encoder, finest first.

    A stage ends where timm says that a level of the pyramid is read, and with each block of a plain
    transformer; an encoder that does not say is one stage. Each module of the encoder is in exactly
    one, but for the pyramid over a plain transformer, which nobody has trained before.

    Args:
        network: a network of `build_segmenter`.
    """
    encoder = network.get_submodule(ENCODER)
    body = encoder_body(encoder)
    names = [flat_name(name) for name, _ in body.named_modules()]
    ends = [end for end in _level_names(encoder, body) if end in names]
    stages = [Stage() for _ in range(max(1, len(ends)))]
    at, inside = 0, False
    for name, module in zip(names, body.modules(), strict=True):
        here = bool(ends) and _is_within(name, ends[at])
        if inside and not here and at + 1 < len(stages):
            at += 1
            here = _is_within(name, ends[at])
        inside = here
        stages[at].modules.append(module)
    return tuple(stages)


def encoder_body(encoder: nn.Module) -> nn.Module:
    """Return what a library has trained of an encoder."""
    return getattr(encoder, WRAPPED, encoder)


def _level_names(encoder: nn.Module, body: nn.Module) -> list[str]:
    """Return the names of the modules that end a stage."""
    info = getattr(getattr(body, "feature_info", None), "info", [])
    ends = getattr(encoder, "stage_ends", None) or [entry["module"] for entry in info]
    return [flat_name(str(name)) for name in ends]


def _is_within(name: str, end: str) -> bool:
    return name == end or name.startswith(f"{end}_")


def flat_name(name: str) -> str:
    """Return a name as timm's pyramids write it: `stages_0` for `stages.0`."""
    return name.replace(".", "_")
