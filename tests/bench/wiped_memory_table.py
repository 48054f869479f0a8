"""The part of the results page that memories and wiped memories fill."""

from collections.abc import Iterator, Mapping
from typing import Any

from table import table

type Json = Mapping[str, Any]


def describe(document: Json) -> Iterator[str]:
    """Yield the lines of the results page."""
    found = document["found"]
    yield from [f"`{document['command']}`", ""]
    text = (
        "IoU on val with what models remember and with an empty memory, mean over seeds "
        f"({found['models']}); and what the memory brings, with its 95 % range over blocks of "
        f"512 px and seeds. {document['remark']}"
    )
    yield text.rstrip()
    yield ""
    header = ("class", "remembering", "wiped", "difference")
    yield from table(header, (_row(one) for one in found["scores"]))


def _row(one: Json) -> tuple[str, ...]:
    gain = one["difference"]
    return (
        one["class"],
        f"{one['kept']['value']:.4f}",
        f"{one['wiped']['value']:.4f}",
        f"{gain['value']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})",
    )
