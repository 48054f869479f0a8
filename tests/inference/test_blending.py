import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import grids
from torch import Tensor

from geohier.geo.tiling import Tile, TileGrid
from geohier.inference.blending import RowBlender, rising_ramp
from geohier.inference.reduction import Reduction


def cut(scores: Tensor, tile: Tile) -> Tensor:
    rows, columns = tile.window.slices
    return scores[:, rows, columns]


def overhanging(grid: TileGrid, classes: int, seed: int) -> Tensor:
    height = (grid.rows - 1) * grid.step + grid.size
    width = (grid.columns - 1) * grid.step + grid.size
    return torch.randn(classes, height, width, generator=torch.Generator().manual_seed(seed))


def blended(
    grid: TileGrid,
    scores: Tensor,
    reduction: Reduction,
    wanted: np.ndarray | None = None,
    columns: range | None = None,
    first_row: int = 0,
) -> dict[str, np.ndarray]:
    blender = RowBlender(grid, reduction, columns=columns)
    wanted = np.ones((grid.height, grid.width), bool) if wanted is None else wanted
    strips = []
    for row in range(first_row, grid.rows):
        tiles = [grid.tile(row, column) for column in blender.columns]
        window = blender.strip_window(row)
        scored = [(tile, cut(scores, tile)) for tile in tiles]
        strips.append(blender.blend_row(row, scored, wanted[window.slices]))
    names = reduction.layers
    return {name: np.concatenate([s.layers[name] for s in strips], axis=1) for name in names}


@given(grids(), st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_cutting_then_blending_gives_the_raster_back(
    grid: TileGrid, classes: int, seed: int
) -> None:
    scores = overhanging(grid, classes, seed)
    layers = ("labels", "confidence", "entropy", "probabilities")
    reduction = Reduction(classes=classes, layers=layers)

    got = blended(grid, scores, reduction)

    whole = reduction.of_scores(scores[:, : grid.height, : grid.width])
    for name in layers:
        steps = 0 if name == "labels" else 1  # rounding to steps of 1/250
        difference = got[name].astype(int) - whole[name].numpy().astype(int)
        assert np.abs(difference).max() <= steps, name


@given(grids(), st.integers(0, 2**32 - 1))
def test_labels_alone_and_labels_with_probabilities_are_the_same(grid: TileGrid, seed: int) -> None:
    scores = overhanging(grid, 3, seed)
    alone = blended(grid, scores, Reduction(classes=3))
    both = blended(grid, scores, Reduction(classes=3, layers=("labels", "confidence")))
    np.testing.assert_array_equal(alone["labels"], both["labels"])


@given(grids())
def test_weights_of_all_tiles_sum_to_one_at_every_pixel(grid: TileGrid) -> None:
    rising = rising_ramp(grid.overlap, grid.margin).numpy()
    total = np.zeros((grid.height + grid.size, grid.width + grid.size))
    for tile in grid:
        rows, columns = np.ones(grid.size), np.ones(grid.size)
        for weight, first, last in (
            (rows, tile.row == 0, tile.row == grid.rows - 1),
            (columns, tile.column == 0, tile.column == grid.columns - 1),
        ):
            if not first:
                weight[: grid.overlap] *= rising
            if not last:
                weight[grid.step :] *= 1 - rising
        total[tile.window.slices] += np.outer(rows, columns)
    np.testing.assert_allclose(total[: grid.height, : grid.width], 1, atol=1e-6)


@given(grids(), st.integers(0, 2**32 - 1), st.data())
def test_the_margin_of_a_tile_counts_for_nothing_inside_the_raster(
    grid: TileGrid, seed: int, data: st.DataObject
) -> None:
    scores = overhanging(grid, 3, seed)
    reduction = Reduction(classes=3, layers=("labels", "probabilities"))
    clean = blended(grid, scores, reduction)
    blender = RowBlender(grid, reduction)
    wanted = np.ones((grid.height, grid.width), bool)
    strips = []
    for row in range(grid.rows):
        scored = []
        for tile in grid.row(row):
            spoilt = cut(scores, tile).clone()
            if tile.column > 0:
                spoilt[0, :, : grid.margin] = 99
            if tile.column < grid.columns - 1 and grid.margin:
                spoilt[1, :, -grid.margin :] = 99
            if tile.row > 0:
                spoilt[0, : grid.margin] = 99
            if tile.row < grid.rows - 1 and grid.margin:
                spoilt[1, -grid.margin :] = 99
            scored.append((tile, spoilt))
        window = blender.strip_window(row)
        strips.append(blender.blend_row(row, scored, wanted[window.slices]))
    got = np.concatenate([strip.layers["labels"] for strip in strips], axis=1)
    np.testing.assert_array_equal(got, clean["labels"])


@given(grids(), st.integers(0, 2**32 - 1), st.data())
def test_a_run_that_starts_at_the_row_above_gives_the_same_rows(
    grid: TileGrid, seed: int, data: st.DataObject
) -> None:
    scores = overhanging(grid, 3, seed)
    reduction = Reduction(classes=3, layers=("labels", "probabilities"))
    row = data.draw(st.integers(0, grid.rows - 1))
    whole = blended(grid, scores, reduction)

    rest = blended(grid, scores, reduction, first_row=max(row - 1, 0))

    top = grid.finished_rows(row).start
    skipped = grid.finished_rows(max(row - 1, 0)).start
    for name in reduction.layers:
        np.testing.assert_array_equal(rest[name][:, top - skipped :], whole[name][:, top:])


@given(grids(), st.integers(0, 2**32 - 1), st.data())
def test_a_swath_gives_the_columns_that_the_whole_gives(
    grid: TileGrid, seed: int, data: st.DataObject
) -> None:
    scores = overhanging(grid, 3, seed)
    reduction = Reduction(classes=3, layers=("labels", "probabilities"))
    start = data.draw(st.integers(0, max(grid.columns - 2, 0)))
    whole = blended(grid, scores, reduction)

    swath = range(start, grid.columns)
    part = blended(grid, scores, reduction, columns=swath)

    for name in reduction.layers:
        np.testing.assert_array_equal(part[name], whole[name][..., -part[name].shape[-1] :])


@given(grids(), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_skipping_tiles_that_hold_nothing_wanted_changes_nothing(
    grid: TileGrid, seed: int, share: float
) -> None:
    scores = overhanging(grid, 3, seed)
    reduction = Reduction(classes=3, layers=("labels", "confidence"))
    corners = np.random.default_rng(seed).random((grid.height // 8 + 1, grid.width // 8 + 1))
    wanted = np.kron(corners < share, np.ones((8, 8), bool))[: grid.height, : grid.width]
    everything = blended(grid, scores, reduction, wanted)

    blender = RowBlender(grid, reduction)
    strips = []
    for row in range(grid.rows):
        scored = [
            (tile, cut(scores, tile) if wanted[tile.window.slices].any() else None)
            for tile in grid.row(row)
        ]
        strips.append(blender.blend_row(row, scored, wanted[blender.strip_window(row).slices]))

    for name in reduction.layers:
        got = np.concatenate([strip.layers[name] for strip in strips], axis=1)
        np.testing.assert_array_equal(got, everything[name])
        assert (got[0][~wanted] == 255).all()
        assert (got[0][wanted] != 255).all()


def test_more_than_255_classes_are_16_bit() -> None:
    grid = TileGrid(height=5, width=7, size=4, overlap=2)
    scores = overhanging(grid, 300, seed=1)
    scores[299] = 50
    wanted = np.ones((5, 7), bool)
    wanted[0, 0] = False
    labels = blended(grid, scores, Reduction(classes=300), wanted)["labels"]
    assert labels.dtype == np.uint16
    assert labels[0, 0, 0] == 65535
    assert (labels[0, 1:] == 299).all()


def test_a_crop_cuts_in_the_middle_of_the_overlap() -> None:
    assert rising_ramp(4, margin=2).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("threshold", "label"), [(0.2, 1), (0.4, 0)])
def test_a_threshold_decides_where_a_class_begins(threshold: float, label: int) -> None:
    probabilities = torch.tensor([0.5, 0.3, 0.2])[:, None, None]
    reduction = Reduction(classes=3, layers=("labels", "confidence"), thresholds={1: threshold})
    reduced = reduction.of_blended(probabilities)
    assert reduced["labels"].item() == label
    assert reduced["confidence"].item() == round(250 * probabilities[label].item())
