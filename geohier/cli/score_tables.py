"""Scores as tables for people to read."""

import sys
from collections.abc import Iterator

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from geohier.evaluation.bootstrap import BLOCK_PX
from geohier.studies.evaluate import Evaluation
from geohier.studies.object_scores import ObjectEvaluation

ABSENT = "absent"
"""What stands where the labels do not hold a class: it has no score, and 0 would be a lie."""

MOST_COLUMNS = 8
"""Classes up to which a table has a column for each."""

PIPED_WIDTH = 120
"""Columns of a table that no terminal shows."""


def print_scores(evaluation: Evaluation) -> None:
    """Print the tables of an evaluation to stdout."""
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    for table in score_tables(evaluation):
        console.print(table)


def print_object_scores(found: ObjectEvaluation) -> None:
    """Print the scores of objects to stdout."""
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    heads = ("class", "F1", "95 % range", "precision", "recall", "AP", "RMSE, m", "true", "found")
    table = _table(f"Objects within {found.within_m:g} m, {found.scenes} scenes")
    for head in heads:
        table.add_column(head, justify="left" if head == "class" else "right", no_wrap=True)
    for name, one in found.classes.items():
        low, high = one.f1_range
        spread = "" if np.isnan(low) else f"{low:.3f} to {high:.3f}"
        table.add_row(
            *(name, shown(one.f1), spread, shown(one.precision), shown(one.recall)),
            *(shown(one.average_precision), f"{one.rmse_m:.2f}", f"{one.true}", f"{one.found}"),
        )
    console.print(table)
    for name, one in found.classes.items():
        least = f"score {one.threshold:.3f} or more; " if np.isfinite(one.threshold) else ""
        console.print(f"{name}: {least}off by {one.count_error:.1f} objects in a scene on average")


def score_tables(evaluation: Evaluation) -> Iterator[Table | str]:
    """Yield the tables of an evaluation and a line that sums it up."""
    names = [str(name) for name in evaluation.scores["class"].values]
    yield _by_class(evaluation, names)
    if evaluation.scores.sizes["scene"] > 1:
        yield _by_scene(evaluation, names)
    if len(names) <= MOST_COLUMNS:
        yield _confusion(evaluation, names)
    for number, level in enumerate(evaluation.levels, start=1):
        groups = [str(name) for name in level.scores["class"].values]
        yield _by_class(
            level, groups, f"Level {number} of the tree of classes, all scenes together"
        )
    yield _summary(evaluation)


def shown(score: float) -> str:
    """Return a score with three decimals, or "absent"."""
    return ABSENT if np.isnan(score) else f"{score:.3f}"


def _by_class(
    evaluation: Evaluation, names: list[str], title: str = "All scenes together"
) -> Table:
    scores = evaluation.scores
    table = _table(title)
    for head in ("class", "IoU", "95 % range", "F1", "precision", "recall", "labelled px"):
        table.add_column(head, justify="left" if head == "class" else "right", no_wrap=True)
    each = ("f1", "precision", "recall")
    for at, name in enumerate(names):
        values = [shown(scores[f"pooled_{score}"].values[at]) for score in each]
        pixels = int(scores.pooled_support.values[at])
        table.add_row(name, *_iou(evaluation, at), *values, f"{pixels:,}")
    table.add_section()
    means = [shown(scores[f"pooled_macro_{score}"].item()) for score in each]
    total = int(scores.pooled_support.sum())
    table.add_row("mean", *_iou(evaluation, len(names)), *means, f"{total:,}")
    return table


def _iou(evaluation: Evaluation, at: int) -> tuple[str, str]:
    found = evaluation.iou[at]
    known = not np.isnan(found.value)
    return shown(found.value), f"{found.low:.3f}-{found.high:.3f}" if known else ""


def _by_scene(evaluation: Evaluation, names: list[str]) -> Table:
    columns = names if len(names) <= MOST_COLUMNS else []
    table = _table("Scene by scene: IoU")
    table.add_column("scene")
    for title in (*columns, "mean", "accuracy", "labelled px"):
        table.add_column(title, justify="right", no_wrap=True)
    for scene in evaluation.scores.scene.values:
        one = evaluation.scores.sel(scene=scene)
        iou = [shown(one.iou.sel({"class": name}).item()) for name in columns]
        means = (shown(one.macro_iou.item()), shown(one.accuracy.item()))
        table.add_row(str(scene), *iou, *means, f"{int(one.support.sum()):,}")
    return table


def _confusion(evaluation: Evaluation, names: list[str]) -> Table:
    table = _table("Where the pixels of each true class went (rows: truth)")
    for title in ("", *names):
        table.add_column(title, justify="right" if title else "left", no_wrap=True)
    for name, row in zip(names, evaluation.scores.pooled_confusion.values, strict=True):
        total = row.sum()
        table.add_row(name, *(f"{count / total:.1%}" if total else ABSENT for count in row))
    return table


def _summary(evaluation: Evaluation) -> str:
    scores = evaluation.scores
    scenes = scores.sizes["scene"]
    return (
        f"accuracy {shown(scores.pooled_accuracy.item())} over {scenes} "
        f"scene{'s' if scenes > 1 else ''}; ranges from {evaluation.iou[-1].n} blocks of "
        f"{BLOCK_PX} px"
    )


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
