"""Confusion matrices and the scores they give."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_f1_score,
    multiclass_jaccard_index,
    multiclass_precision,
    multiclass_recall,
)

from geohier.errors import LabelError
from geohier.evaluation.segmentation import ConfusionMatrix, class_scores, macro, pool, scores

Maps = tuple[int, NDArray[np.uint8], NDArray[np.uint8]]


@st.composite
def maps(draw: st.DrawFn) -> Maps:
    """Number of classes, a prediction and labels, with holes in both."""
    classes = draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    prediction, truth = rng.integers(0, classes, size=(2, *shape)).astype("uint8")
    prediction[rng.random(shape) < 0.1] = 255
    truth[rng.random(shape) < 0.2] = 255
    return classes, prediction, truth


def of(maps: Maps) -> ConfusionMatrix:
    classes, prediction, truth = maps
    return ConfusionMatrix.of(prediction, truth, classes=classes)


@given(maps())
def test_every_labelled_pixel_is_counted_once(maps: Maps) -> None:
    matrix = of(maps)
    _, prediction, truth = maps
    assert matrix.labelled == np.count_nonzero(truth != 255)
    missed = np.count_nonzero((truth != 255) & (prediction == 255))
    assert matrix.unpredicted.sum() == missed


@given(maps(), st.integers(1, 8))
def test_the_parts_of_a_scene_add_up_to_the_scene(maps: Maps, cut: int) -> None:
    classes, prediction, truth = maps
    parts = [(prediction[:cut], truth[:cut]), (prediction[cut:], truth[cut:])]
    whole = pool([ConfusionMatrix.of(p, t, classes=classes) for p, t in parts])
    np.testing.assert_array_equal(whole.counts, of(maps).counts)
    np.testing.assert_array_equal(whole.unpredicted, of(maps).unpredicted)


@given(maps(), st.randoms(use_true_random=False))
def test_renaming_classes_renames_their_scores(maps: Maps, random: object) -> None:
    classes, prediction, truth = maps
    order = np.random.default_rng(random.randint(0, 99)).permutation(classes)  # type: ignore[attr-defined]
    renamed = np.append(order, np.full(256 - classes, 255)).astype("uint8")
    before = class_scores(of(maps).counts)
    after = class_scores(of((classes, renamed[prediction], renamed[truth])).counts)
    for name, values in before.items():
        np.testing.assert_allclose(after[name][order], values)


@given(maps())
def test_a_perfect_prediction_scores_one_in_every_class_present(maps: Maps) -> None:
    classes, _, truth = maps
    by_class = class_scores(of((classes, truth, truth)).counts)
    present = [k in truth for k in range(classes)]
    for values in by_class.values():
        np.testing.assert_array_equal(values, np.where(present, 1.0, np.nan))


@given(maps())
def test_iou_follows_from_f1(maps: Maps) -> None:
    by_class = class_scores(of(maps).counts)
    np.testing.assert_allclose(by_class["iou"], by_class["f1"] / (2 - by_class["f1"]))


@given(maps())
def test_scores_agree_with_torchmetrics(maps: Maps) -> None:
    classes, prediction, truth = maps
    predicted = prediction != 255
    preds = torch.from_numpy(prediction[predicted].astype("int64"))
    target = torch.from_numpy(truth[predicted].astype("int64"))
    if not (target != 255).any():
        return
    theirs = {
        name: metric(preds, target, num_classes=classes, average="none", ignore_index=255).numpy()
        for name, metric in {
            "iou": multiclass_jaccard_index,
            "f1": multiclass_f1_score,
            "precision": multiclass_precision,
            "recall": multiclass_recall,
        }.items()
    }
    present = np.array([bool((target == k).any()) for k in range(classes)])
    ours = scores({"scene": of(maps)}, [f"class {k}" for k in range(classes)])
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name].values[0][present], values[present], rtol=1e-6)
    right = multiclass_accuracy(
        preds, target, num_classes=classes, average="micro", ignore_index=255
    )
    np.testing.assert_allclose(ours.accuracy.item(), right.item(), rtol=1e-6)


def test_an_absent_class_has_no_score_and_no_say_in_the_mean() -> None:
    """Class 2 is predicted on two pixels but labelled nowhere: 'absent', not 0."""
    truth, prediction = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 2, 1, 1, 2])
    by_class = class_scores(ConfusionMatrix.of(prediction, truth, classes=3).counts)
    for values in by_class.values():
        assert np.isnan(values[2])
    assert macro(by_class["iou"]) == pytest.approx(2 / 3)


def test_a_class_that_is_never_predicted_scores_zero() -> None:
    by_class = class_scores(
        ConfusionMatrix.of(np.zeros(4, int), np.array([0, 0, 1, 1]), classes=2).counts
    )
    assert [values[1] for values in by_class.values()] == [0, 0, 0, 0]


def test_nothing_labelled_gives_no_score_at_all() -> None:
    empty = scores({"scene": ConfusionMatrix.empty(2)}, ["no", "yes"])
    assert np.isnan(empty.iou.values).all()
    assert np.isnan([empty.macro_iou.item(), empty.accuracy.item(), empty.pooled_accuracy]).all()


def test_pooled_scores_are_those_of_all_pixels_together() -> None:
    """One scene of 4 px half right, one of 2 px all right: pooled by pixels, not by scenes."""
    one = ConfusionMatrix.of(np.array([0, 0, 0, 0]), np.array([0, 0, 1, 1]), classes=2)
    other = ConfusionMatrix.of(np.array([1, 1]), np.array([1, 1]), classes=2)
    found = scores({"one": one, "other": other}, ["no", "yes"])
    assert found.accuracy.values.tolist() == [0.5, 1.0]
    assert found.pooled_accuracy.item() == pytest.approx(4 / 6)
    np.testing.assert_allclose(found.pooled_iou, [2 / 4, 2 / 4])
    np.testing.assert_array_equal(found.pooled_confusion, one.counts + other.counts)
    assert np.isnan(found.iou.sel(scene="other", **{"class": "no"}).item())


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        ([0, 1, 1], [0, 9, 9], r"the labels have class 9 on 2 px, but the classes are 0 to 1"),
        ([0, 7, 1], [0, 1, 1], r"the prediction has class 7 on 1 px"),
        ([0, -1, 1], [0, 1, 1], r"the prediction has class -1"),
        ([0, 1], [0, 1, 1], r"does not lie on labels"),
    ],
)
def test_ids_that_are_no_class_are_refused(
    prediction: list[int], truth: list[int], message: str
) -> None:
    with pytest.raises(LabelError, match=message):
        ConfusionMatrix.of(np.array(prediction), np.array(truth), classes=2)
