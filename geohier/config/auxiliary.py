"""What the levels of a hierarchy learn beside the classes: weighted terms."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from geohier.config.objectives import Term, or_its_weight
from geohier.config.section import Section

type Weighing = Literal["fixed", "uncertainty", "pcgrad"]


class Edges(Term):
    """Where classes meet."""

    width_px: Annotated[int, Field(ge=1, le=64)] = 2
    """Distance from a pixel of another class, in the network's pixels, up to which a pixel is on
    an edge."""


class Distance(Term):
    """How far off the next other class is."""

    reach_px: Annotated[int, Field(ge=1, le=1024)] = 16
    """Distance, in the network's pixels, from which on all is equally far."""


class AuxiliaryConfig(Section):
    """Terms for decoder hierarchy, by heads that are thrown away after training."""

    edges: Annotated[Edges, or_its_weight(Edges)] = Edges(weight=0)
    """Each pixel tells whether it lies within width_px of another class (cross-entropy)."""
    distance: Annotated[Distance, or_its_weight(Distance)] = Distance(weight=0)
    """Each pixel tells its distance from the next other class, up to reach_px, as a part of it."""
    levels: Annotated[Term, or_its_weight(Term)] = Term(weight=0)
    """Deep supervision: each level tells the shares of the classes under its cells."""
    consistency: Annotated[Term, or_its_weight(Term)] = Term(weight=0)
    """Each level's shares agree with the mean of the next finer level's, and the finest one's with
    that of the answer, labelled or not."""
    reconstruction: Annotated[Term, or_its_weight(Term)] = Term(weight=0)
    """Each level rebuilds what it adds to the image: its band of the Laplacian pyramid, and the
    coarsest a thumbnail; in variances of each, so that 1 is no better than the mean."""
    weighing: Weighing = "fixed"
    """How terms and the loss of the classes are weighed. fixed: by their weights; uncertainty: also
    by variances that are learnt (Kendall et al. 2018); pcgrad: gradients that contradict each other
    lose what contradicts (Yu et al. 2020), one backward pass per term."""

    @model_validator(mode="after")
    def _something_to_weigh(self) -> Self:
        if self.weighing != "fixed" and not self.used:
            raise ValueError(
                f"weighing {self.weighing} weighs terms against each other, but all weights are 0: "
                "give a term a weight above 0, or set weighing to fixed"
            )
        return self

    @property
    def used(self) -> dict[str, float]:
        """Weights of the terms that are not left out, by name."""
        return {name: term.weight for name, term in self._terms() if term.weight > 0}

    def _terms(self) -> Iterator[tuple[str, Term]]:
        for name in type(self).model_fields:
            term = getattr(self, name)
            if isinstance(term, Term):
                yield name, term
