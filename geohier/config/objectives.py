"""The losses of a config: weighted terms, each a number or a weight with options of its own."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from geohier.config.section import Section, Share

LOSSES = ("objectives", "auxiliary")
"""Sections of a config that are made of terms."""

NO_TERMS = ("weighing",)
"""Keys in them that are none."""

type ClassWeights = Literal["balanced"] | dict[str, NonNegativeFloat]
"""How much the pixels of each class count."""


def spelt_out(term: object) -> object:
    """Return a term that is given as a number as the weight that it is.

    Example:
        >>> spelt_out(0.5), spelt_out({"gamma": 3})
        ({'weight': 0.5}, {'gamma': 3})
    """
    if isinstance(term, Mapping | Section):
        return term
    return {"weight": term}


def terms_spelt_out(values: Mapping[str, object]) -> Mapping[str, object]:
    """Return the values of a config with the terms of its losses spelt out.

    Laid over another layer, a mere weight then leaves that one's options as they are.
    """
    found = dict(values)
    for section in LOSSES:
        terms = found.get(section)
        if isinstance(terms, Mapping):
            found[section] = {
                name: term if name in NO_TERMS else spelt_out(term) for name, term in terms.items()
            }
    return found


class Term(Section):
    """A loss in the sum."""

    weight: NonNegativeFloat = 1.0
    """Weight in the sum; 0 leaves the term out."""


class CrossEntropy(Term):
    """Cross-entropy."""

    class_weights: ClassWeights | None = None
    """How much a pixel of each class counts: {building: 4}, where a class that is not named counts
    1; or balanced: each class as much as every other, over all train labels."""
    label_smoothing: Share = 0.0
    """Share of the truth that is spread over all classes, against answers that are too sure; with
    it a perfect answer has a loss above 0."""


class Focal(Term):
    """Focal loss: cross-entropy in which pixels that are right already count little."""

    gamma: NonNegativeFloat = 2.0
    """How little: a pixel of probability p counts (1 - p) ** gamma; 0 is the cross-entropy."""
    class_weights: ClassWeights | None = None
    """As in cross_entropy."""


class Tversky(Term):
    """Tversky loss: a Dice loss that weighs what is found wrongly and what is missed."""

    alpha: PositiveFloat = 0.3
    """Weight of pixels that are found wrongly; 0.5 for both is the Dice loss."""
    beta: PositiveFloat = 0.7
    """Weight of pixels that are missed."""


class Boundary(Term):
    """Boundary loss: wrong pixels count more the farther they lie from the true outline."""

    reach_px: PositiveInt = 16
    """Distance from the outline, in the network's pixels, from which on a pixel counts fully."""


def or_its_weight(term: type[Term]) -> BeforeValidator:
    """Return what lets a term be given as its weight alone."""
    return BeforeValidator(spelt_out, json_schema_input_type=float | term)


class ObjectivesConfig(Section):
    """The losses that are summed: a number is a weight, or give the weight among other options."""

    cross_entropy: Annotated[CrossEntropy, or_its_weight(CrossEntropy)] = CrossEntropy()
    """Cross-entropy; class_weights: balanced, or {building: 4}, makes pixels of rare classes count
    more, label_smoothing holds back answers that are too sure."""
    focal: Annotated[Focal, or_its_weight(Focal)] = Focal(weight=0)
    """Focal loss: cross-entropy in which pixels count (1 - p) ** gamma, so easy ones little."""
    dice: Annotated[Term, or_its_weight(Term)] = Term()
    """Soft Dice loss, the mean over the classes that a batch holds."""
    tversky: Annotated[Tversky, or_its_weight(Tversky)] = Tversky(weight=0)
    """Tversky loss: Dice with weights of what is found wrongly (alpha) and missed (beta)."""
    lovasz: Annotated[Term, or_its_weight(Term)] = Term(weight=0)
    """Lovasz-Softmax: follows the IoU of the classes that a batch holds."""
    boundary: Annotated[Boundary, or_its_weight(Boundary)] = Boundary(weight=0)
    """Boundary loss: wrong pixels count by their distance from the true outline, up to reach_px."""
    tree: Annotated[Term, or_its_weight(Term)] = Term(weight=0)
    """Cross-entropy of the groups that the true class is in, the mean over the levels of
    data.class_tree: what is wrong, but in the right group, counts less."""

    @model_validator(mode="after")
    def _something_to_learn(self) -> Self:
        if not self.used:
            raise ValueError("all weights are 0: give at least one objective a weight above 0")
        return self

    @property
    def used(self) -> dict[str, float]:
        """Weights of the terms that are not left out, by name."""
        return {name: term.weight for name, term in self.terms() if term.weight > 0}

    @property
    def balanced(self) -> bool:
        """Whether the classes are weighed by how many labels they have."""
        return "balanced" in (self.cross_entropy.class_weights, self.focal.class_weights)

    def terms(self) -> Iterator[tuple[str, Term]]:
        """Yield each term with its name."""
        for name in type(self).model_fields:
            yield name, getattr(self, name)

    def check_class_names(self, known: tuple[str, ...]) -> None:
        """Check that weights are given to classes that exist.

        Raises:
            ValueError: some name is no class, or no class is left with a weight above 0.
        """
        for name in ("cross_entropy", "focal"):
            weights = getattr(self, name).class_weights
            if not isinstance(weights, dict):
                continue
            where = f"objectives.{name}.class_weights"
            for one in weights:
                if one not in known:
                    raise ValueError(f"{where}: {one} is no class: they are {' '.join(known)}")
            if not any(weights.get(one, 1) for one in known):
                raise ValueError(f"{where}: all are 0: give one class a weight above 0")
