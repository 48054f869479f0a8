"""Tiles that leave early: what they answer, which they are, and that nothing else changes it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from dated_scenes import write_stack
from hypothesis import given, settings
from hypothesis import strategies as st
from inference.test_dates import Newest
from inference.test_dates import card as dated_card
from inference.test_dates import expected as newest_of
from inference.test_pipeline import EXACT, Convolutions, card_of, read
from torch import Tensor, nn
from torch.nn import functional

from geohier.errors import ConfigError, ModelError
from geohier.geo.class_tree import ClassTree
from geohier.inference.exits import EarlyExits, Exits
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import Prediction, predict_raster

WriteScene = Callable[..., Path]

TILES = {"size": 16, "overlap": 4, **EXACT}
CARD = card_of(3, 3, scale=(0.25, 1.0), margins_px={95: 1})


def sure_and_unsure(height: int = 40, width: int = 60) -> np.ndarray:
    """Return scores: on the left the first class is sure, then two are, pixel by pixel in turn, and
    on the right nothing is."""
    scores = np.zeros((3, height, width), "float32")
    scores[0, :, : width // 2] = 9
    turns = np.indices((height, width)).sum(axis=0) % 2
    scores[1, :, width // 2 :] = np.where(turns, 9, 0)[:, width // 2 :]
    scores[2, :, width // 2 :] = np.where(turns, 0, 9)[:, width // 2 :]
    return scores


class Runs:
    """Predictions of one scene by a model that answers with its pixels."""

    def __init__(self, scene: Path, folder: Path) -> None:
        self.scene, self.folder = scene, folder

    def __call__(
        self, name: str, exits: EarlyExits | None = None, **changes: object
    ) -> tuple[Prediction, dict[str, np.ndarray]]:
        card = changes.pop("card", CARD)
        options = PredictOptions(**{**TILES, "probabilities": True, "exits": exits, **changes})
        target = self.folder / f"{name}.tif"
        done = predict_raster(self.scene, target, nn.Identity(), card=card, options=options)
        return done, {layer: read(path) for layer, path in done.run.outputs.items()}


@pytest.fixture
def runs(write_scene: WriteScene, tmp_path: Path) -> Runs:
    return Runs(write_scene(sure_and_unsure()), tmp_path)


def same(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(one[layer], two[layer]) for layer in one)


@settings(max_examples=12)
@given(
    height=st.integers(1, 70),
    width=st.integers(30, 70),
    size=st.integers(24, 40),
    factor=st.integers(2, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_early_answers_are_those_of_one_coarser_look_at_the_whole(
    write_scene: WriteScene,
    tmp_path: Path,
    height: int,
    width: int,
    size: int,
    factor: int,
    seed: int,
) -> None:
    """Views see beyond their tiles and lie on one grid of squares, so no tile shows."""
    values = np.random.default_rng(seed).normal(size=(2, height, width)).astype("float32")
    scene, net = write_scene(values), Convolutions()
    card = card_of(2, 3, margins_px={95: net.radius + 1}, scale=(0.1, 1))
    options = PredictOptions(
        size=size,
        overlap=12,
        probabilities=True,
        overwrite=True,
        exits=EarlyExits(factors=(factor,), sure=0),
        **EXACT,
    )
    run = predict_raster(scene, tmp_path / "out.tif", net, card=card, options=options)
    assert run.exits == Exits(tiles={factor: len(run.plan.grid), 1: 0}, saved=run.exits.saved)

    far = 12 * factor
    around = np.stack([band[_mirror(height, far)][:, _mirror(width, far)] for band in values])
    sides = (side // factor * factor for side in around.shape[1:])
    seen = torch.from_numpy(around[:, : next(sides), : next(sides)])[None]
    with torch.no_grad():
        whole = net(functional.avg_pool2d(seen, factor))
        whole = functional.interpolate(whole, scale_factor=factor, mode="bilinear")[0].softmax(0)
    inside = np.s_[:, far : far + height, far : far + width]
    near = factor * (net.radius + 1)
    got = read(tmp_path / "out_probabilities.tif")[:, near:-near, near:-near]
    steps = whole.numpy()[inside][:, near:-near, near:-near] * 250
    assert got.size == 0 or np.abs(got - steps).max() <= 0.5 + 1e-2


@settings(max_examples=10)
@given(st.integers(10, 50), st.integers(10, 50), st.sampled_from([2, 4]), st.integers(0, 99))
def test_looks_are_enlarged_without_seams_where_tiles_meet(
    write_scene: WriteScene, tmp_path: Path, height: int, width: int, factor: int, seed: int
) -> None:
    """A tile's part of a look is enlarged with the squares beside it."""
    scores = np.random.default_rng(seed).normal(size=(3, height, width)).astype("float32")
    exits = EarlyExits(factors=(factor,), sure=0)
    options = PredictOptions(**TILES, overwrite=True, probabilities=True, exits=exits)
    scene = write_scene(scores)
    predict_raster(scene, tmp_path / "out.tif", nn.Identity(), card=CARD, options=options)
    far = 16
    around = np.stack([band[_mirror(height, far)][:, _mirror(width, far)] for band in scores])
    rows, cols = (side // factor * factor for side in around.shape[1:])
    means = functional.avg_pool2d(torch.from_numpy(around[:, :rows, :cols])[None], factor)
    whole = functional.interpolate(means, scale_factor=factor, mode="bilinear")[0].softmax(0)
    whole = whole[:, far : far + height, far : far + width].numpy() * 250
    found = read(tmp_path / "out_probabilities.tif")
    inner = np.s_[:, factor : -factor or None, factor : -factor or None]
    assert float(np.abs(found[inner] - whole[inner]).max()) <= 0.5 + 1e-2


def _mirror(length: int, far: int) -> list[int]:
    from geohier.geo.tiling import reflected

    return reflected(-far, length + far + 4, length)


def test_without_exits_there_is_no_trace_of_them(runs: Runs) -> None:
    done, _ = runs("plain")
    record = json.loads(Path(f"{done.run.target}.run.json").read_text())
    assert "exits" not in record["fingerprint"]["options"]
    assert "counts" not in record
    assert done.exits is None


def test_where_no_answer_can_be_sure_enough_nothing_leaves_and_nothing_changes(runs: Runs) -> None:
    _, plain = runs("plain")
    done, found = runs("never", EarlyExits(factors=(4, 2), sure=1.01))
    assert done.exits is not None
    assert done.exits.tiles == {4: 0, 2: 0, 1: len(done.plan.grid)}
    assert done.exits.saved < 0, "looks that nothing came of cost something"
    assert same(plain, found)


def test_where_every_answer_is_sure_enough_all_leave_with_the_coarsest_look(runs: Runs) -> None:
    done, _ = runs("always", EarlyExits(factors=(4, 2), sure=0))
    assert done.exits is not None
    assert done.exits.tiles == {4: len(done.plan.grid), 2: 0, 1: 0}
    assert 0.5 < done.exits.saved < 1 - 1 / 16


def test_tiles_leave_where_they_are_sure_and_the_others_are_looked_at_in_full(runs: Runs) -> None:
    _, plain = runs("plain")
    done, found = runs("some", EarlyExits(factors=(2,)))
    grid = done.plan.grid
    left = sum(grid.tile(0, at).window.col_stop <= 30 for at in range(grid.columns)) * grid.rows
    assert done.exits is not None
    assert done.exits.tiles == {2: left, 1: len(grid) - left}
    assert same(plain, found), "means of what is alike everywhere are the same"
    _, blurred = runs("blurred", EarlyExits(factors=(2,), sure=0.49))
    assert (blurred["labels"] != plain["labels"]).any(), "the others are unsure, and now they left"


def test_a_share_of_the_pixels_may_be_enough(runs: Runs) -> None:
    all_of_them, _ = runs("all", EarlyExits(factors=(2,)))
    most, _ = runs("most", EarlyExits(factors=(2,), share=0.3))
    assert all_of_them.exits is not None
    assert most.exits is not None
    assert most.exits.early > all_of_them.exits.early


def test_pixels_without_data_do_not_keep_a_tile(write_scene: WriteScene, tmp_path: Path) -> None:
    scores = sure_and_unsure()
    scores[:, :, 30:] = np.nan
    done, found = Runs(write_scene(scores), tmp_path)("holes", EarlyExits(factors=(2,), sure=0.6))
    grid = done.plan.grid
    seen = sum(grid.tile(0, at).window.col_off < 30 for at in range(grid.columns)) * grid.rows
    assert done.exits is not None
    assert done.exits.tiles == {2: seen, 1: 0}
    assert (found["labels"][0, :, 30:] == 255).all()


def test_what_stands_in_the_margin_of_a_tile_does_not_keep_it(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    scores = np.zeros((3, 32, 48), "float32")
    scores[0] = 9
    scores[1, :, 30:32] = 9  # in the margin of the left tile, in the middle of the right one
    runs = Runs(write_scene(scores), tmp_path)
    card = replace(CARD, margins_px={95: 4})
    done, _ = runs("map", EarlyExits(factors=(2,)), card=card, size=32, overlap=16)
    assert done.exits is not None
    assert done.exits.tiles == {2: 1, 1: 1}


def test_groups_can_be_sure_where_their_classes_are_not(runs: Runs) -> None:
    names = [one.name for one in CARD.classes]
    tree = ClassTree.of({"one": names[:1], "others": names[1:]}, names)
    done, _ = runs("g", EarlyExits(factors=(2,)), card=replace(CARD, tree=tree), tree_level=1)
    assert done.exits is not None
    assert done.exits.early > len(done.plan.grid) // 2


class WholeDays(Newest):
    """Sees to it that a day of the year is one."""

    def forward(self, image: Tensor) -> Tensor:
        days = image.unflatten(1, (-1, 3 + 2))[:, :, 3]
        assert bool((days == days.round()).all())
        return super().forward(image)


@pytest.mark.parametrize("factor", [2, 4])
def test_a_coarser_look_at_a_stack_knows_its_dates(tmp_path: Path, factor: int) -> None:
    """Of blocks of 10 px, squares of 2 px see one alone, of 4 px also two."""

    def blocks(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        values = rng.permutation(np.arange(1, 190, dtype="uint8")).reshape(3, 7, 9)
        values[:, rng.random((7, 9)) < 0.4] = 0
        return values.repeat(10, axis=1).repeat(10, axis=2)

    stack = {"2016": blocks(0), "2018-03": blocks(1), "2020-11-30": blocks(2)}
    scene = write_stack(tmp_path / "s.scene.yaml", stack, nodata=0)
    exits = EarlyExits(factors=(factor,), sure=0)
    done = predict_raster(
        scene,
        tmp_path / "map.tif",
        WholeDays(),
        card=dated_card(scale=(0.25, 1.0)),
        options=PredictOptions(size=32, overlap=0, exits=exits, **EXACT),
    )
    assert done.exits is not None
    assert done.exits.tiles[1] == 0
    if factor == 2:
        inside = np.tile(np.pad(np.ones((6, 6), bool), 2), (7, 9))
        found = read(done.run.target)[0]
        np.testing.assert_array_equal(found[inside], newest_of(stack)[inside])


class Stop(BaseException):
    """A kill."""


@pytest.mark.parametrize("after", [1, 2])
def test_a_run_that_was_killed_ends_with_the_same_bytes_and_counts(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    exits = EarlyExits(factors=(4, 2))
    whole, _ = runs("whole", exits)
    from geohier.raster.store import PartStore

    write, made = PartStore.write, []

    def interrupted(self: PartStore, *values: object) -> None:
        if len(made) == after:
            raise Stop
        made.append(values)
        write(self, *values)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(PartStore, "write", interrupted)
        with pytest.raises(Stop):
            runs("broken", exits)
    again, _ = runs("broken", exits)
    assert again.exits == whole.exits
    assert whole.exits is not None
    assert sum(whole.exits.tiles.values()) == len(whole.plan.grid)
    for layer, path in whole.run.outputs.items():
        assert path.read_bytes() == again.run.outputs[layer].read_bytes()
    finished, _ = runs("broken", exits)
    assert finished.up_to_date
    assert finished.exits == whole.exits
    assert again.run.counts == whole.run.counts
    assert {
        factor: again.run.counts.get(f"tiles_at_factor_{factor}", 0) for factor in (4, 2, 1)
    } == (whole.exits.tiles)


def test_batches_and_swaths_do_not_change_what_leaves(runs: Runs) -> None:
    exits = EarlyExits(factors=(4, 2))
    one, first = runs("one", exits)
    assert one.exits is not None
    for name, changes in (("two", {"batch_size": 3}), ("three", {"memory_gb": 0.0002})):
        other, found = runs(name, exits, **changes)
        assert other.exits is not None
        assert other.exits.tiles == one.exits.tiles
        assert same(first, found)
    assert len(other.plan.swaths) > 1


def test_other_exits_are_another_run(runs: Runs) -> None:
    runs("map", EarlyExits(factors=(2,)))
    for other in (None, EarlyExits(factors=(4, 2)), EarlyExits(factors=(2,), sure=0.9)):
        with pytest.raises(ConfigError, match="made by another run"):
            runs("map", other)


class Halves(nn.Module):
    """Counts the pixels that it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, pixels: Tensor) -> Tensor:
        self.seen += pixels[:, 0].numel()
        return pixels


def test_what_is_saved_is_what_the_network_did_not_see(runs: Runs) -> None:
    plain, early = Halves(), Halves()
    for model, exits in ((plain, None), (early, EarlyExits(factors=(4, 2)))):
        options = PredictOptions(**TILES, exits=exits, overwrite=True)
        target = runs.folder / "seen.tif"
        done = predict_raster(runs.scene, target, model, card=CARD, options=options)
    assert done.exits is not None
    assert done.exits.saved == pytest.approx(1 - early.seen / plain.seen)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"tile_dependent": True}, ConfigError, "depends on the whole tile, of which a coarser"),
        ({"scale": (0.5, 1)}, ModelError, r"the model was trained on 2 times at most: train with"),
    ],
)
def test_a_model_that_cannot_look_at_coarser_pixels_is_refused(
    runs: Runs, changes: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        runs("map", EarlyExits(factors=(4, 2)), card=replace(CARD, **changes))
    assert "\n" not in str(caught.value)
    assert not list(runs.folder.glob("map*"))


def test_the_range_that_a_model_was_trained_for_may_be_set_aside_or_be_unknown(runs: Runs) -> None:
    exits = EarlyExits(factors=(4,))
    narrow = replace(CARD, scale=(0.5, 1))
    known, _ = runs("known", exits, card=narrow, force_gsd=True)
    assert not [note for note in known.notes if "training" in note]
    unknown, _ = runs("unknown", exits, card=replace(CARD, scale=None))
    assert any("does not say how coarse the ground looked" in note for note in unknown.notes)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"factors": (2, 4)}, "exits 2,4: give each once and the coarsest first, such as 4,2"),
        ({"factors": (2, 2)}, "such as 2"),
        ({"factors": ()}, "exits none"),
        ({"factors": (1,)}, "exit 1: a coarser look averages 2 to 32 px a side"),
        ({"factors": (64,)}, "exit 64"),
        ({"factors": (2,), "sure": -0.1}, "sure -0.1 is no probability"),
        ({"factors": (2,), "sure": float("nan")}, "sure nan"),
        ({"factors": (2,), "share": 0.0}, "sure share 0: give a share above 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(values: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        EarlyExits(**values)  # type: ignore[arg-type]
    assert says in str(caught.value)


def test_a_drawn_map_has_no_exits() -> None:
    with pytest.raises(ConfigError, match="leave out the sample or the exits"):
        PredictOptions(exits=EarlyExits(factors=(2,)), sample=1)


def test_files_name_their_exits_by_the_hash_of_their_options(runs: Runs) -> None:
    hashes = set()
    for name, exits in (("a", None), ("b", EarlyExits(factors=(2,)))):
        with rasterio.open(runs(name, exits)[0].run.target) as file:
            hashes.add(file.tags()["geohier_options_sha256"])
    assert len(hashes) == 2
