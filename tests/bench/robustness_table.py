"""The part of the results page that outlines, calibration and noise fill."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from table import table

type Json = Mapping[str, Any]


def describe(document: Json) -> Iterator[str]:
    """Yield the lines of the results page."""
    found = document["found"]
    first, *noisy = next(iter(found["models"].values()))
    noises = [one["noise"] for one in noisy]
    yield from [f"`{document['command']}`", ""]
    yield (
        f"Class {found['class']} on val, at the resolution of the network: IoU; F of its outlines "
        "within so many pixels; expected calibration error of all classes; and IoU with normal "
        f"noise added, in deviations of the bands. {document['remark']}"
    )
    yield ""
    outlines = [f"outlines, {px} px" for px in first["boundary_f1"]]
    header = ("variant", "IoU", *outlines, "calibration error", *(f"noise {at:g}" for at in noises))
    yield from table(header, (_row(name, scores) for name, scores in found["models"].items()))


def _row(name: str, scores: Sequence[Json]) -> Sequence[str]:
    clean, *noisy = scores
    outlines = [f"{clean['boundary_f1'][px]:.4f}" for px in clean["boundary_f1"]]
    return (
        *(name, f"{clean['iou']:.4f}", *outlines, f"{clean['calibration_error']:.4f}"),
        *(f"{one['iou']:.4f}" for one in noisy),
    )
