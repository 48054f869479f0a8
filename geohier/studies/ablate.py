"""Compare variants of a config: each is trained with each seed, and judged on the same ground."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from geohier.data.catalog import read_catalog
from geohier.errors import ConfigError, InputError, ModelError
from geohier.raster.lock import OutputLock
from geohier.studies.ablate_cell import CELLS, Json, check_cell, folder_of, run_cell, state_of
from geohier.studies.ablate_picture import draw_ablation
from geohier.studies.ablate_plan import Ablation, Cell
from geohier.studies.ablate_report import Row, rows_of, write_report
from geohier.training.run_folder import is_begun


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What came of an ablation.

    Args:
        rows: one for each variant, the config as it is first.
        problems: why cells have no score.
    """

    rows: tuple[Row, ...]
    problems: Mapping[Cell, str] = field(default_factory=dict)


type Tell = Callable[[Cell, Json | None, str], None]


def states(ablation: Ablation, out: Path) -> dict[Cell, str]:
    """Return how far each cell is: done, underway or to do.

    Raises:
        OutputExistsError: the folder holds something else than an ablation.
    """
    is_begun(out, "ablation", CELLS, resume=True)
    return {cell: state_of(folder_of(out, cell), ablation.judge) for cell in ablation.cells}


def ablate(
    ablation: Ablation,
    out: Path,
    *,
    resume: bool = False,
    allow_download: bool = False,
    tell: Tell = lambda cell, found, problem: None,
    on_scene: Callable[[str], None] = lambda name: None,
) -> Results:
    """Train every cell that is not done, and return the comparison.

    Scores are taken on the choose blocks, which are the same for all cells of a seed; val is looked
    at only if it is asked to judge, and never chooses the epoch that is kept. What cannot be
    trained is told, and the others go on.

    Writes `ablation.csv`, `levels.csv`, `ablation.json` and `ablation.png` after each cell, and a
    run folder for each cell in `cells`.

    Args:
        ablation: what is compared.
        out: folder of the ablation.
        resume: go on with what is in `out`, if anything is.
        allow_download: fetch published weights that are not on this machine.
        tell: called with each cell when it has ended, what came of it, and what went wrong.
        on_scene: called with the name of each scene of val before it is predicted.

    Raises:
        OutputExistsError: `out` holds something, and it is not to be resumed.
        ConfigError: a cell that is in `out` is of another config.
        InputError, ResourceError: the scenes cannot be used, the machine lacks something.
        ModelError: no cell came to a score.
        OutputLockedError: another process works in `out`.
    """
    is_begun(out, "ablation", CELLS, resume=resume)
    if ablation.judge == "val":
        _check_val(ablation)
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = OutputLock(out)
    try:
        for cell in ablation.cells:
            check_cell(folder_of(out, cell), ablation.load(cell))
        found: dict[Cell, Json] = {}
        problems: dict[Cell, str] = {}
        for cell in ablation.cells:
            try:
                found[cell] = run_cell(
                    cell,
                    ablation.load(cell),
                    folder_of(out, cell),
                    ablation.judge,
                    allow_download=allow_download,
                    on_scene=on_scene,
                )
            except (ConfigError, ModelError, torch.OutOfMemoryError) as error:
                problems[cell] = str(error).split("\n", 1)[0]
            rows = rows_of(ablation, found, problems)
            write_report(out, ablation, rows)
            draw_ablation(out, ablation, rows)
            tell(cell, found.get(cell), problems.get(cell, ""))
        if not found:
            raise ModelError(f"none of {len(problems)} cells came to a score: {problems[cell]}")
        return Results(rows=rows, problems=problems)
    finally:
        lock.release()


def _check_val(ablation: Ablation) -> None:
    """Refuse at once what would be missed after the first training."""
    data = ablation.load(next(ablation.cells)).data
    if not read_catalog(data).val:
        raise InputError(f"{data.root}: there is no scene in val: judge on the choose blocks")
