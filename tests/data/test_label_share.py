"""Fewer labels on purpose: a share of the labelled parts, nested."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geohier.data.label_share import keep_share
from geohier.data.prepare import prepare
from geohier.geo.window import Window

parts = st.dictionaries(
    st.sampled_from("abc"), st.integers(0, 9), min_size=1
).filter(lambda counts: sum(counts.values()) > 0).map(
    lambda counts: {
        name: tuple(
            Window(row_off=at * 9, col_off=0, height=1 + at % 4, width=1) for at in range(count)
        )
        for name, count in counts.items()
    }
)  # fmt: skip
shares = st.floats(0.01, 1)


def flat(kept: dict[str, tuple[Window, ...]]) -> set[tuple[str, Window]]:
    return {(name, window) for name, some in kept.items() for window in some}


@given(parts=parts, one=shares, other=shares, seed=st.integers(0, 99))
def test_larger_shares_hold_smaller_ones(
    parts: dict[str, tuple[Window, ...]], one: float, other: float, seed: int
) -> None:
    less, more = (flat(keep_share(parts, share=share, seed=seed)) for share in sorted((one, other)))
    assert less <= more <= flat(parts)


@given(parts=parts, share=shares, seed=st.integers(0, 99))
def test_as_many_parts_are_kept_as_the_share_takes(
    parts: dict[str, tuple[Window, ...]], share: float, seed: int
) -> None:
    kept = keep_share(parts, share=share, seed=seed)
    assert kept.keys() == parts.keys()
    areas = sorted(window.height for _, window in flat(kept))
    wanted = share * sum(window.height for _, window in flat(parts))
    assert sum(areas) >= wanted - 1e-9
    assert sum(areas) - areas[-1] < wanted


def test_a_config_fits_on_its_share_and_chooses_as_before(
    add_scene: Callable, make_config: Callable, rng: np.random.Generator
) -> None:
    image = rng.integers(1, 255, (2, 256, 256), dtype="uint8")
    add_scene("a", image, rng.integers(0, 2, (256, 256), dtype="uint8"))

    def areas(share: float) -> tuple[int, int]:
        data: Any = prepare(
            make_config(training={"block_px": 32, "buffer_px": 0, "label_share": share})
        )
        return tuple(
            sum(part.height * part.width for field in fields for part in field.parts)
            for fields in (data.fit, data.choose)
        )

    (all_fit, all_choose), (some_fit, some_choose) = areas(1.0), areas(0.25)
    assert some_choose == all_choose
    assert some_fit == pytest.approx(all_fit / 4, rel=0.1)
