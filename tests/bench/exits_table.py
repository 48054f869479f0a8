"""The part of the results page, and the picture, that early exits fill."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from table import table

type Json = Mapping[str, Any]


def command(given: argparse.Namespace) -> str:
    """Return what was typed, without what lies before the run's folder."""
    model = Path(*given.model.parts[-2:])
    words = [f"python tests/bench/exits.py {given.name} --model runs/{model}"]
    words += [f"--config configs/{given.config.name} --data-root ..."]
    words += [f"--set {one}" for one in given.set]
    words += [f"--exits {one}" for one in given.exits or ()]
    words += [f"--sure {one:g}" for one in given.sure or ()]
    words += [f"--share {given.share:g}"] if given.share != 1 else []
    sides = (("size", given.size), ("overlap", given.overlap))
    words += [f"--{name} {value}" for name, value in sides if value is not None]
    return " ".join(words)


def describe(document: Json, picture: str) -> Iterator[str]:
    """Yield the lines of the results page."""
    found = document["found"]
    yield from [f"`{document['command']}`", ""]
    yield (
        f"Maps of {found['scenes']} scenes of val with early exits, against every tile looked at "
        "in full: the share of the compute that is saved, of the labels that change, and the IoU "
        "against the labels. Where all leave, that is one coarser look at everything: the control. "
        f"{document['remark']}".rstrip()
    )
    yield ""
    names = [name for name in (*found["classes"], "macro") if found["full"][name] is not None]
    header = ("exits", "sure", "tiles that left", "saved", "labels that change", *names)
    full = ("none", "", "0 %", "0.000", "0.00%", *(f"{found['full'][one]:.4f}" for one in names))
    yield from table(header, [full, *(_row(one, names) for one in found["exits"])])
    yield f"![labels that change against compute saved](images/{picture}.png)"


def _row(one: Json, names: Sequence[str]) -> Sequence[str]:
    total = sum(one["tiles"].values())
    early = total - one["tiles"]["1"]
    return (
        ", ".join(f"1/{factor}" for factor in one["factors"]),
        _sure(one),
        f"{early / total:.0%}".replace("%", " %"),
        f"{one['saved']:.3f}",
        f"{one['changed']:.2%}",
        *(f"{one['iou'][name]:.4f}" for name in names),
    )


def _sure(one: Json) -> str:
    if one["sure"] == 0:
        return "all leave"
    return f"{one['sure']:g}" + ("" if one["share"] == 1 else f" on {one['share']:.0%}")


def draw(found: Json, path: Path) -> None:
    """Draw the share of labels that change, and the IoU, against the compute that is saved."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    changed, scored = figure.subplots(1, 2)
    for axes, label in ((changed, "labels that change, %"), (scored, "mean IoU")):
        axes.set(xlabel="compute saved, %", ylabel=label)
        axes.grid(alpha=0.3)
    controls = [one for one in found["exits"] if one["sure"] == 0]
    curves = [one for one in found["exits"] if one["sure"] != 0]
    for factors, rows in groupby(curves, key=lambda one: tuple(one["factors"])):
        points = sorted(rows, key=lambda one: one["sure"])
        saved = [100 * one["saved"] for one in points]
        name = f"exits {', '.join(f'1/{factor}' for factor in factors)}"
        [line] = changed.plot(
            saved, [100 * one["changed"] for one in points], marker="o", label=name
        )
        scored.plot(
            saved, [one["iou"]["macro"] for one in points], marker="o", color=line.get_color()
        )
    saved = [100 * one["saved"] for one in controls]
    changed.scatter(
        saved, [100 * one["changed"] for one in controls], c="k", marker="x", label="all leave"
    )
    scored.scatter(saved, [one["iou"]["macro"] for one in controls], c="k", marker="x")
    scored.axhline(found["full"]["macro"], color="gray", linestyle=":", label="in full")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
