"""`geohier evaluate`: scores of predictions, or of a model, on labelled scenes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from geohier.cli.errors import reports_errors, say, say_note, say_scene
from geohier.cli.prediction_flags import ModelFlags, changed, takes_flags
from geohier.cli.usual_options import AsJson
from geohier.errors import FINISHED_WITH_FAILURES, ConfigError

if TYPE_CHECKING:
    from geohier.studies.evaluate import Evaluation
    from geohier.studies.legend import LabelRules
    from geohier.studies.object_scores import ObjectEvaluation


UNLABELLED_VALUE = 255
"""Label value that means unlabelled where nothing is said."""


@dataclass(frozen=True, kw_only=True)
class _LabelOptions:
    """What was typed about labels on disk."""

    classes: str | None
    ignore: str | None
    attribute: str | None
    outside: str | None
    areas: Path | None
    point_radius_m: float | None

    def rules(self) -> "LabelRules":
        from geohier.studies.legend import LabelRules, parse_classes

        if self.areas and self.attribute and not self.outside:
            raise ConfigError("--areas says where --outside holds, which is missing")
        return LabelRules(
            classes=parse_classes(self.classes) if self.classes else (),
            ignore=_read_ignore(self.ignore),
            attribute=self.attribute,
            outside=self.outside,
            areas=self.areas,
            point_radius_m=self.point_radius_m,
        )


@reports_errors
@takes_flags
def evaluate(
    flags: ModelFlags,
    predictions: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Class rasters, or folders of them; with --within-m vector files.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Raster or polygons in any CRS, or a folder of files named as scenes."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Classes by number, with their label values: ground=0,building=1+255."),
    ] = None,
    ignore: Annotated[
        str | None,
        typer.Option(help="Label values that mean unlabelled: 0,255; or none.", show_default="255"),
    ] = None,
    attribute: Annotated[
        str | None,
        typer.Option(help="Column of polygons with label values or class names."),
    ] = None,
    outside: Annotated[
        str | None,
        typer.Option(
            help="Class of the ground outside polygons; without it, the first class, and with "
            "--attribute unlabelled."
        ),
    ] = None,
    areas: Annotated[
        Path | None, typer.Option(help="Polygons in which --outside holds; else it is unlabelled.")
    ] = None,
    point_radius_m: Annotated[
        float | None, typer.Option(min=0, help="Radius of the discs that stand for points, m.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model directory: predict the scenes of --data first.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Config that says which scenes there are.")
    ] = None,
    split: Annotated[
        Literal["val", "train"] | None,
        typer.Option(help="Scenes of --data to score.", show_default="val"),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the config.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder that keeps the predictions.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="Folder for a PNG of each scene: image, prediction, truth, errors."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Image, or folder of images named as scenes, for --picture."),
    ] = None,
    within_m: Annotated[
        float | None,
        typer.Option(
            help="How near to a true object one that was found is right, m. PREDICTION are then "
            "vector files of objects.",
            show_default="of models that find objects, as in training",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score predictions against labels, or a model on labelled scenes.

    A class that the labels do not hold is "absent" and left out of the means. The options from
    --threshold on say how --model predicts.

    For example:

      geohier evaluate map.tif --labels masks/

      geohier evaluate --model model --data buildings.yaml --split val

      geohier evaluate trees.gpkg --labels points.geojson --within-m 6
    """
    if model is not None or data is not None:
        _refuse(
            "predictions on disk",
            predictions=predictions,
            labels=labels,
            classes=classes,
            ignore=ignore,
            attribute=attribute,
            outside=outside,
            areas=areas,
            point_radius_m=point_radius_m,
            images=images,
        )
        _check_both(model, data)
        assert model is not None
        assert data is not None
        from geohier.models.manifest import finds_objects

        if finds_objects(model):
            if picture is not None:
                raise ConfigError("--picture is for maps of classes: look at --out in a GIS")
            found = _evaluate_objects(
                model, data, split or "val", overrides or [], out, within_m, flags
            )
            _print_objects(found, as_json=as_json)
            raise typer.Exit(FINISHED_WITH_FAILURES if found.failures else 0)
        _refuse_radius(within_m)
        result = _evaluate_model(model, data, split or "val", overrides or [], out, picture, flags)
    elif within_m is not None:
        _refuse("a model", split=split, set=overrides, out=out, **changed(flags))
        _refuse_maps(
            classes=classes,
            ignore=ignore,
            outside=outside,
            areas=areas,
            point_radius_m=point_radius_m,
            picture=picture,
            images=images,
        )
        found = _evaluate_vectors(predictions or [], labels, within_m, attribute)
        _print_objects(found, as_json=as_json)
        raise typer.Exit(FINISHED_WITH_FAILURES if found.failures else 0)
    else:
        if images is not None and picture is None:
            raise ConfigError("--images is for --picture FOLDER, which is missing")
        _refuse("a model", split=split, set=overrides, out=out, **changed(flags))
        said = _LabelOptions(
            classes=classes,
            ignore=ignore,
            attribute=attribute,
            outside=outside,
            areas=areas,
            point_radius_m=point_radius_m,
        )
        result = _evaluate_files(predictions or [], labels, said, picture=picture, images=images)
    _print(result, as_json=as_json)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def _refuse(what: str, **options: object) -> None:
    """Refuse options that the way of scoring that was chosen does not have."""
    for name, value in options.items():
        if value or (value == 0 and value is not False):
            option = "PREDICTION" if name == "predictions" else f"--{name.replace('_', '-')}"
            raise ConfigError(
                f"{option} is for scoring {what}: give PREDICTION... --labels, "
                "or --model with --data"
            )


def _check_both(model: Path | None, data: Path | None) -> None:
    if model is None or data is None:
        missing = "--model" if model is None else "--data"
        raise ConfigError(f"{missing} is missing: a model is scored with --model DIR --data CONFIG")


def _refuse_radius(within_m: float | None) -> None:
    if within_m is not None:
        raise ConfigError("--within-m is for models that find objects: leave it out")


def _refuse_maps(**options: object) -> None:
    for name, value in options.items():
        if value:
            raise ConfigError(
                f"--{name.replace('_', '-')} is for maps of classes, and --within-m for objects: "
                "leave one of them out"
            )


def _evaluate_vectors(
    predictions: list[Path], labels: Path | None, within_m: float, attribute: str | None
) -> "ObjectEvaluation":
    if not predictions or labels is None:
        missing = "--labels" if predictions else "PREDICTION"
        raise ConfigError(f"{missing} is missing: give PREDICTION... --labels")
    from geohier.studies.evaluate_vectors import evaluate_vectors

    return evaluate_vectors(predictions, labels, within_m, attribute=attribute, on_scene=say_scene)


def _evaluate_objects(
    model: Path,
    data: Path,
    split: Literal["val", "train"],
    overrides: list[str],
    out: Path | None,
    within_m: float | None,
    flags: ModelFlags,
) -> "ObjectEvaluation":
    from geohier.config.load import load_config
    from geohier.models.directory import load_model
    from geohier.studies.evaluate_objects import evaluate_objects

    return evaluate_objects(
        load_model(model),
        load_config(data, overrides),
        split,
        out=out,
        options=flags.predict_options(),
        within_m=within_m,
        on_scene=say_scene,
    )


def _print_objects(found: "ObjectEvaluation", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        from geohier.cli.score_tables import print_object_scores

        print_object_scores(found)
    for name, failure in found.failures.items():
        say(f"geohier: {name} is not scored: {failure}")


def _evaluate_model(
    model: Path,
    data: Path,
    split: Literal["val", "train"],
    overrides: list[str],
    out: Path | None,
    pictures: Path | None,
    flags: ModelFlags,
) -> "Evaluation":
    from geohier.config.load import load_config
    from geohier.studies.evaluate_model import evaluate_model

    config = load_config(data, overrides)
    return evaluate_model(
        model,
        config,
        split,
        out=out,
        options=flags.predict_options(),
        pictures=pictures,
        on_scene=say_scene,
    )


def _evaluate_files(
    predictions: list[Path],
    labels: Path | None,
    said: _LabelOptions,
    *,
    picture: Path | None,
    images: Path | None,
) -> "Evaluation":
    if not predictions or labels is None:
        missing = "--labels" if predictions else "PREDICTION"
        raise ConfigError(
            f"{missing} is missing: give PREDICTION... --labels, or --model with --data"
        )
    from geohier.studies.evaluate import evaluate_rasters
    from geohier.studies.pairing import match_labels

    return evaluate_rasters(
        match_labels(predictions, labels, images),
        said.rules(),
        pictures=picture,
        on_scene=say_scene,
    )


def _read_ignore(text: str | None) -> tuple[int, ...]:
    if text is None:
        return (UNLABELLED_VALUE,)
    if text.lower() == "none":
        return ()
    try:
        return tuple(int(one) for one in text.split(","))
    except ValueError:
        raise ConfigError(f"--ignore {text}: give whole numbers such as 0,255, or none") from None


def _print(result: "Evaluation", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=2))
    else:
        from geohier.cli.score_tables import print_scores

        print_scores(result)
    for name, notes in result.notes.items():
        for note in notes:
            say_note(note, name)
    for name, failure in result.failures.items():
        say(f"geohier: {name} is not scored: {failure}")
