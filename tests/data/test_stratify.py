import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from geohier.data.stratify import UNLABELLED, stratified_parts
from geohier.errors import ConfigError

amounts = arrays.arrays(
    np.int64,
    st.tuples(st.integers(8, 30), st.integers(1, 4)),
    elements=st.integers(0, 1000),
)


@given(amounts, st.integers(2, 5), st.integers(0, 99))
def test_each_labelled_block_is_in_one_part_and_no_part_is_empty(
    blocks: np.ndarray, count: int, seed: int
) -> None:
    labelled = blocks.any(axis=1)
    if labelled.sum() < count:
        with pytest.raises(ConfigError, match="blocks hold labels"):
            stratified_parts(blocks, [1 / count] * count, seed=seed)
        return
    parts = stratified_parts(blocks, [1 / count] * count, seed=seed)
    np.testing.assert_array_equal(parts == UNLABELLED, ~labelled)
    assert set(parts[labelled]) == set(range(count))
    np.testing.assert_array_equal(parts, stratified_parts(blocks, [1 / count] * count, seed=seed))


@given(
    arrays.arrays(np.int64, st.integers(12, 60), elements=st.integers(1, 1000)),
    st.integers(2, 5),
    st.integers(1, 3),
)
def test_parts_of_pure_blocks_differ_by_one_block_of_a_class_at_most(
    pixels: np.ndarray, count: int, classes: int
) -> None:
    """Each block goes where its class is wanted most, so no part can run away from another."""
    kinds = np.arange(len(pixels)) % classes
    blocks = np.where(np.arange(classes) == kinds[:, None], pixels[:, None], 0)
    parts = stratified_parts(blocks, [1 / count] * count, seed=0)
    held = np.stack([blocks[parts == part].sum(axis=0) for part in range(count)])
    for index in range(classes):
        if (kinds == index).sum() >= count:
            assert held[:, index].max() - held[:, index].min() <= pixels[kinds == index].max()


def test_a_rare_class_is_shared_out_before_the_common_one() -> None:
    """Four of forty blocks hold the rare class: drawn blindly, folds would lack it."""
    rng = np.random.default_rng(0)
    blocks = np.stack([rng.integers(500, 1000, 40), np.zeros(40, int)], axis=1)
    blocks[[3, 4, 5, 6], 1] = 50
    for seed in range(20):
        parts = stratified_parts(blocks, [0.25] * 4, seed=seed)
        held = np.stack([blocks[parts == part].sum(axis=0) for part in range(4)])
        assert (held[:, 1] == 50).all()
        assert held[:, 0].min() > 0.9 * held[:, 0].max()


def test_a_class_is_balanced_by_its_own_lack_and_not_by_that_of_all() -> None:
    """One part has got the only large block of a rare class: it is not to lack the other one."""
    blocks = np.array([[100, 0], [1, 0], *[[0, 4]] * 30])
    parts = stratified_parts(blocks, (0.5, 0.5), seed=0)
    held = [blocks[parts == part, 1].sum() for part in (0, 1)]
    assert held == [60, 60]


def test_shares_may_differ_and_two_blocks_still_make_two_parts() -> None:
    blocks = np.full((100, 1), 10)
    parts = stratified_parts(blocks, (0.2, 0.8), seed=1)
    assert np.bincount(parts).tolist() == [20, 80]
    assert sorted(stratified_parts(blocks[:2], (0.2, 0.8), seed=1)) == [0, 1]


def test_the_seed_decides_between_blocks_that_are_alike() -> None:
    blocks = np.full((30, 1), 10)
    one, same, other = (stratified_parts(blocks, (0.5, 0.5), seed=seed) for seed in (0, 0, 1))
    assert one.tolist() == same.tolist() != other.tolist()
