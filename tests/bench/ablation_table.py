"""The part of the results page that ablations fill."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from table import table

type Json = Mapping[str, Any]

ON = {"choose": "on the choose blocks", "val": "on val"}


def describe(name: str, document: Json) -> Iterator[str]:
    """Yield the lines of the results page.

    Args:
        name: of the document, and of its picture.
        document: of docs/results/.
    """
    found = document["found"]
    done = [one for one in found["variants"] if one["mean"] is not None]
    yield from [f"`{document['command']}`, which is", "", f"`{document['runs']}`", ""]
    seeds = ", ".join(map(str, found["seeds"]))
    yield (
        f"Mean IoU {ON[found['judge']]}, seeds {seeds}, all with the same number of steps; the "
        "difference is to the baseline, seed by seed, with its 95 % range (Student's t). FLOPs are "
        f"of prediction, for each pixel of the image; seconds of a step on {document['threads']} "
        f"thread{'s' if document['threads'] > 1 else ''}. {document['remark']}"
    )
    yield ""
    yield from table(
        (
            *("variant", "mean IoU", "seeds", "difference", "95 % range", "M parameters"),
            *("kFLOP/px", "s/step", "steps", "Mpx", "still rising"),
        ),
        map(_scores, done),
    )
    yield from [f"![Gains and costs of each variant](images/{name}.png)", ""]
    if any(one["levels"] for one in done):
        yield from _levels(done)
    missing = [one["variant"] for one in found["variants"] if one["mean"] is None]
    if missing:
        yield f"Not run: {', '.join(missing)}."


def _scores(one: Json) -> Sequence[str]:
    gain, figures, each = one["difference"], one["figures"], list(one["scores"].values())
    has_range = gain is not None and gain["low"] is not None
    return (
        one["variant"],
        f"{one['mean']:.4f}",
        f"{min(each):.4f} to {max(each):.4f}" if len(each) > 1 else "one",
        "" if gain is None else f"{gain['mean']:+.4f}",
        f"{gain['low']:+.4f} to {gain['high']:+.4f}" if has_range else "",
        f"{figures['parameters'] / 1e6:.2f}",
        f"{figures['flops_per_px'] / 1e3:.1f}",
        "" if figures.get("seconds_per_step") is None else f"{figures['seconds_per_step']:.2f}",
        f"{figures['steps']:.0f}",
        f"{figures['megapixels']:.0f}",
        f"{one['still_rising']} of {len(each)}",
    )


def _levels(variants: Sequence[Json]) -> Iterator[str]:
    yield "Levels from fine to coarse: what mean IoU gains where a level alone brings nothing to "
    yield "the merge, its effective rank, the norm of the gradient by its features, in thousandths,"
    yield "and its linear CKA with the next coarser one."
    yield ""
    yield from table(
        ("variant", "IoU without", "effective rank", "gradient norm", "CKA with next"),
        (
            (
                one["variant"],
                _each(one["levels"], "iou_without", "+.3f"),
                _each(one["levels"], "effective_rank", ".0f"),
                _each(one["levels"], "gradient_norm", ".1f", 1000),
                _each(one["levels"], "cka_with_next", ".2f"),
            )
            for one in variants
            if one["levels"]
        ),
    )


def _each(levels: Sequence[Json], key: str, form: str, factor: float = 1) -> str:
    values = [level[key] for level in levels if level[key] is not None]
    return " ".join(format(factor * value, form) for value in values)
