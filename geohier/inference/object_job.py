"""The job of a model that finds objects: a map of middles, and the objects that are read off it."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from geohier.errors import OutputExistsError
from geohier.inference.job import Job
from geohier.inference.objects import find_objects, middles_path
from geohier.inference.pipeline import Prediction, run_job
from geohier.inference.progress import Progress
from geohier.raster.files import shown
from geohier.raster.vectors import check_named_vector, check_placed, write_vectors


def run_object_job(job: Job, target: Path, progress: Progress | None = None) -> Prediction:
    """Find the objects of a prepared job and write them as points.

    The map of how likely each pixel is a middle is made first, beside the target: by tiles, blended
    and resumed as any map is. So each object is found once, wherever tiles meet. Thresholds choose
    among peaks of that map: with others, it is not made anew.

    Args:
        job: as `prepare` has checked it.
        target: vector file; its suffix says the format.
        progress: called as work goes on.

    Raises:
        OutputExistsError: `target` holds something else.
        GeohierError: as `run_job`.
    """
    check_named_vector(target)
    check_placed(target, job.source.geobox.crs)
    raster, options = middles_path(target), job.options
    if target.exists() and not options.overwrite and not raster.exists():
        raise OutputExistsError(
            f"{shown(target)} is there already: choose --overwrite or another path"
        )
    prediction = run_job(replace(job, options=replace(options, thresholds={})), raster, progress)
    card = job.predictor.card
    found = find_objects(raster, card, options.thresholds)
    is_new = write_vectors(
        found.table(card, job.source.name), target, geometry="Point", overwrite=options.overwrite
    )
    counts = Counter(card.classes[at].name for at in found.classes)
    assert card.points is not None
    return replace(
        prediction,
        objects={name: counts[name] for name in card.points.thresholds},
        outputs={**prediction.run.outputs, "objects": target.absolute()},
        up_to_date=prediction.up_to_date and not is_new,
    )
