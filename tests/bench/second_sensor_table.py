"""The part of the results page that a second sensor fills: its own, dropped, of other ground."""

from collections.abc import Iterator, Mapping
from typing import Any

from table import table

type Json = Mapping[str, Any]


def describe(document: Json) -> Iterator[str]:
    """Yield the lines of the results page."""
    found = document["found"]
    yield from [f"`{document['command']}`", ""]
    yield (
        f"Macro IoU on {found['chips']} chips of val by what is shown of the second sensor, mean "
        f"over seeds ({found['models']}); and what its own brings against it, with the 95 % range "
        f"over chips and seeds. {document['remark']}"
    )
    yield ""
    header = ("second sensor", "macro IoU", "its own brings")
    yield from table(header, (_row(one) for one in found["scores"]))


def _row(one: Json) -> tuple[str, ...]:
    gain = one["gain"]
    brings = "-"
    if gain is not None:
        brings = f"{gain['value']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})"
    return one["shown"], f"{one['iou']['value']:.4f}", brings
