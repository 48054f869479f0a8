"""The part of the results page that levels against sizes of objects fill."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from table import table

type Json = Mapping[str, Any]


def describe(document: Json) -> Iterator[str]:
    """Yield the lines of the results page."""
    found = document["found"]
    known = [one for one in found["sizes"] if one["objects"]]
    levels = len(known[0]["recall_without"])
    gated = known[0]["gated_level"] is not None
    yield from [f"`{document['command']}`", ""]
    yield (
        f"Whole objects of class {found['class']} on val by the diameter of a disc of their area: "
        "the mean share of an object's pixels that is found, and what that share gains where one "
        f"level alone, 0 the finest, brings nothing to the merge. {document['remark']}"
    )
    yield ""
    header = ("m", "objects", "found", *(f"without {level}" for level in range(levels)))
    gates = ("mean level of the gates",) if gated else ()
    yield from table((*header, *gates), (_row(one, gated=gated) for one in known))


def _row(one: Json, *, gated: bool) -> Sequence[str]:
    high = "more" if one["high_m"] is None else f"{one['high_m']:g}"
    gains = [f"{without - one['recall']:+.3f}" for without in one["recall_without"]]
    gates = [f"{one['gated_level']:.2f}"] if gated else []
    return (
        f"{one['low_m']:g} to {high}",
        str(one["objects"]),
        f"{one['recall']:.3f}",
        *gains,
        *gates,
    )
