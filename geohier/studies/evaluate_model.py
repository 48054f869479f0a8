"""Scores of a model on labelled scenes: predicted as any raster is, then scored from the files."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from geohier.config.schema import DataConfig, TrainConfig
from geohier.data import label_rules
from geohier.data.catalog import LabelledScene, Split, read_catalog
from geohier.data.scene import open_scene
from geohier.errors import ConfigError, GeohierError, InputError
from geohier.geo.class_tree import ClassTree
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import predict_raster
from geohier.inference.target import check_outside_models
from geohier.models.card import ClassLabel, ModelCard
from geohier.models.directory import LoadedModel, load_model
from geohier.studies.evaluate import Evaluation, Pair, evaluate_rasters, file_stem
from geohier.studies.legend import LabelRules


def evaluate_model(
    model: LoadedModel | Path,
    config: TrainConfig,
    split: Split = "val",
    *,
    out: Path | None = None,
    options: PredictOptions | None = None,
    pictures: Path | None = None,
    on_scene: Callable[[str], None] = lambda name: None,
) -> Evaluation:
    """Predict every scene of a split and score the results.

    Args:
        model: a model, or its directory.
        config: says which scenes there are and what their labels mean.
        split: `val`, or `train`.
        out: folder that keeps the predictions, so that a second run has only the rest to do; a
            temporary one if None.
        options: how to predict.
        pictures: folder for a PNG of each scene.
        on_scene: called with the name of each scene before it is predicted.

    Raises:
        InputError: the split has no scene.
        ConfigError: the classes of the model and of the config differ, or `out` lies in a model
            directory.
        GeohierError: no scene could be predicted and scored.
    """
    scenes = scenes_of(config.data, split)
    loaded = load_model(model) if isinstance(model, Path) else model
    classes = classes_of(loaded.card, config.data)
    with folder_of(out) as folder:
        pairs, failed = _predict_all(scenes, loaded, folder, options, on_scene)
        rules = _rules(classes, config.data)
        tree = _tree(loaded.card, config.data)
        done = evaluate_rasters(pairs, rules, tree=tree, pictures=pictures)
    earlier = {name: str(error) for name, error in failed.items()}
    return replace(done, failures={**earlier, **done.failures})


def scenes_of(data: DataConfig, split: Split) -> Sequence[LabelledScene]:
    """Return the scenes of a split.

    Raises:
        InputError: there is none.
    """
    catalog = read_catalog(data)
    scenes = catalog.val if split == "val" else catalog.train
    if not scenes:
        raise InputError(f"{data.root}: there is no scene in the split {split}")
    return scenes


def _rules(classes: tuple[ClassLabel, ...], data: DataConfig) -> LabelRules:
    on_disk = label_rules.LabelRules.of(data)
    return LabelRules(
        classes=classes,
        ignore=data.ignored,
        attribute=on_disk.attribute,
        outside=on_disk.outside,
        complete=False,
        point_radius_m=on_disk.point_radius_m,
        areas=on_disk.areas,
    )


def classes_of(card: ModelCard, data: DataConfig) -> tuple[ClassLabel, ...]:
    """Return the model's classes with the label values that the config gives them.

    Raises:
        ConfigError: they are not those of the config.
    """
    values = {one.name: one.values for one in data.classes}
    names = [one.name for one in card.classes]
    if set(names) != values.keys():
        raise ConfigError(
            f"the model's classes are {' '.join(names)}, the config's are {' '.join(values)}: "
            "give the data with the model's classes"
        )
    return tuple(
        ClassLabel(name=one.name, color=one.color, label_values=values[one.name])
        for one in card.classes
    )


def _tree(card: ModelCard, data: DataConfig) -> ClassTree | None:
    """Return the config's tree of the classes, or else the model's."""
    if data.tree is None:
        return card.tree
    return data.tree.reordered([one.name for one in card.classes])


@contextmanager
def folder_of(out: Path | None) -> Iterator[Path]:
    """Give the folder that keeps predictions, or a temporary one."""
    if out is not None:
        check_outside_models(out / "maps")
    with nullcontext(out) if out else tempfile.TemporaryDirectory(prefix="geohier-") as name:
        folder = Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


def _predict_all(
    scenes: Sequence[LabelledScene],
    model: LoadedModel,
    folder: Path,
    options: PredictOptions | None,
    on_scene: Callable[[str], None],
) -> tuple[list[Pair], dict[str, GeohierError]]:
    """Predict all scenes; return those to score, and those that failed if others did not."""
    pairs, failed = [], dict[str, GeohierError]()
    for scene in scenes:
        on_scene(scene.id)
        target = folder / f"{file_stem(scene.id)}.tif"
        try:
            with open_scene(scene.raster(), allow_ungeoreferenced=True) as source:
                found = predict_raster(source, target, model, options=options)
        except ConfigError:
            raise
        except GeohierError as error:
            failed[scene.id] = error
            continue
        pairs.append(
            Pair(
                name=scene.id,
                prediction=target,
                labels=scene.mask,
                image=scene.image,
                within=scene.windows,
                unread_blocks=len(found.run.failures),
            )
        )
    if not pairs:
        raise next(iter(failed.values()))
    return pairs, failed
