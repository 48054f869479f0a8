"""What came of a search: a table, a picture, and the best trial as a config."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from geohier.config.load import load_config, nested, split_override
from geohier.config.search import Numbers, Parameter, text_of
from geohier.raster.durable import write_durably
from geohier.studies.tune_record import Tried
from geohier.training.figures import write_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TABLE = "trials.csv"
PICTURE = "trials.png"
BEST = "best.yaml"

ACROSS = 3
MARKERS = {"finished": ("o", "tab:blue"), "pruned": ("v", "0.6")}


def best_of(tried: Sequence[Tried]) -> Tried | None:
    """Return the finished trial of the highest score, the first of several; None if there is none.

    A pruned one has no model, and its score is of fewer epochs.
    """
    finished = [one for one in tried if one.ended == "finished"]
    return max(finished, key=_score, default=None)


def write_table(out: Path, tried: Sequence[Tried], keys: Sequence[str]) -> None:
    """Write `trials.csv`: a row for each trial, a column for each key."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["trial", "ended", "score", "epochs", *keys, "problem"])
    for one in tried:
        values = [text_of(one.values[key]) for key in keys]
        table.writerow([one.number, one.ended, one.score, one.epochs, *values, one.problem])
    write_durably(out / TABLE, text.getvalue().encode())


def write_best(
    out: Path, best: Tried, count: int, config: Path, overrides: Sequence[str] = ()
) -> None:
    """Write `best.yaml`, which extends the config and states what differs; `train` takes it.

    Args:
        out: folder of the search.
        best: the trial.
        count: trials that there were.
        config: the config that was searched around.
        overrides: `key=value`, laid over it in every trial.
    """
    stated: dict[str, object] = {"extends": Path(os.path.relpath(config, out)).as_posix()}
    given = dict(split_override(one) for one in overrides)
    given.pop("data_root", None)
    for key, value in {**given, **best.values}.items():
        _merge(stated, nested(key, value))
    head = (
        f"# The best of {count} trials: trial {best.number}, mean IoU {_score(best):.4f} on the "
        f"choose blocks, {best.epochs} epochs.\n"
    )
    _write_config(out / BEST, head, stated)
    root = load_config(config, overrides).data.root.resolve()
    filled_in = [one for one in overrides if one.startswith("data_root=")]
    if load_config(out / BEST, filled_in).data.root.resolve() != root:
        # a root that no file states is the folder of the config; one of --set, of the command
        _merge(stated, nested("data.root", os.path.relpath(root, out.resolve())))
        _write_config(out / BEST, head, stated)


def _write_config(path: Path, head: str, stated: Mapping[str, object]) -> None:
    text = yaml.safe_dump(stated, sort_keys=False, allow_unicode=True)
    write_durably(path, (head + text).encode())


def draw_search(out: Path, tried: Sequence[Tried], parameters: Sequence[Parameter]) -> None:
    """Write `trials.png`: the scores in the order of the trials, and against each parameter."""
    from matplotlib.figure import Figure

    rows = -(-(1 + len(parameters)) // ACROSS)
    figure = Figure(figsize=(4 * ACROSS, 3 * rows), layout="constrained")
    panels = figure.subplots(rows, ACROSS, squeeze=False, sharey=True).ravel()
    for axes in panels[: 1 + len(parameters) : ACROSS]:
        axes.set_ylabel("mean IoU, choose blocks")
    _draw_course(panels[0], tried)
    for axes, one in zip(panels[1:], parameters, strict=False):
        _draw_parameter(axes, one, tried)
    for axes in panels[1 + len(parameters) :]:
        axes.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    write_png(figure, out / PICTURE, dpi=100)


def _draw_course(axes: "Axes", tried: Sequence[Tried]) -> None:
    from matplotlib.ticker import MaxNLocator

    _scatter(axes, tried, [one.number for one in tried], labelled=True)
    finished = [one for one in tried if one.ended == "finished"]
    best = [max(map(_score, finished[: at + 1])) for at in range(len(finished))]
    numbers = [one.number for one in finished]
    axes.step(numbers, best, where="post", color="tab:orange", label="best so far")
    axes.set(xlabel="trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_parameter(axes: "Axes", one: Parameter, tried: Sequence[Tried]) -> None:
    if isinstance(one, Numbers):
        places = [trial.values[one.key] for trial in tried]
        _show_range(axes, one)
    else:
        places = [one.texts.index(text_of(trial.values[one.key])) for trial in tried]
        axes.set_xticks(range(len(one.texts)), [text[:20] for text in one.texts])
        axes.set_xlim(-0.5, len(one.texts) - 0.5)
    _scatter(axes, tried, places)
    axes.set(xlabel=one.key)


def _show_range(axes: "Axes", one: Numbers) -> None:
    """Let an axis span the whole range that is searched."""
    margin = 0.03
    if not one.log:
        space = margin * (one.high - one.low)
        axes.set_xlim(one.low - space, one.high + space)
        return
    space = (one.high / one.low) ** margin
    ticks = [one.low, (one.low * one.high) ** 0.5, one.high]
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
    axes.set_xticks([], minor=True)  # matplotlib's labels of less than a decade overlap
    axes.set_xlim(one.low / space, one.high * space)


def _scatter(
    axes: "Axes", tried: Sequence[Tried], places: Sequence[object], *, labelled: bool = False
) -> None:
    for ended, (marker, color) in MARKERS.items():
        shown = [at for at, one in enumerate(tried) if one.ended == ended]
        if shown:
            axes.scatter(
                [places[at] for at in shown],  # type: ignore[arg-type]
                [_score(tried[at]) for at in shown],
                marker=marker,
                color=color,
                label=ended if labelled else None,
            )


def _score(one: Tried) -> float:
    return -1.0 if one.score is None else one.score


def _merge(into: dict[str, object], values: Mapping[str, object]) -> None:
    for key, value in values.items():
        below = into.get(key)
        if isinstance(below, dict) and isinstance(value, Mapping):
            _merge(below, value)
        else:
            into[key] = value
