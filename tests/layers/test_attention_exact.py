"""Attention in windows and across levels against the same thing written out in full."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pyramids import awakened, pyramid
from torch import Tensor

from geohier.layers.attention_across import CrossLevelAttention
from geohier.layers.attention_window import WindowAttention


def dense(part: WindowAttention, level: Tensor) -> Tensor:
    """Attention of every cell to every cell, with all but the window masked."""
    query, key, value = (one.flatten(-2) for one in part.heads(level))
    _, _, height, width = level.shape
    row = torch.arange(height).repeat_interleave(width)
    col = torch.arange(width).repeat(height)
    down, right = row[None] - row[:, None], col[None] - col[:, None]
    near = (down.abs() <= part.reach) & (right.abs() <= part.reach)
    bias = part.bias[
        :,
        (down + part.reach).clamp(0, 2 * part.reach),
        (right + part.reach).clamp(0, 2 * part.reach),
    ]
    scores = torch.einsum("bndq,bndk->bnqk", query, key) * query.shape[2] ** -0.5 + bias
    weights = scores.masked_fill(~near, -torch.inf).softmax(-1)
    found = torch.einsum("bnqk,bndk->bndq", weights, value)
    return part.project(found.flatten(1, 2).unflatten(-1, (height, width)))


@given(st.integers(1, 21), st.integers(1, 21), st.sampled_from([1, 3, 5, 9]), st.integers(1, 3))
def test_windows_equal_masked_dense_attention(
    height: int, width: int, window: int, batch: int
) -> None:
    torch.manual_seed(0)
    part = awakened(WindowAttention(6, 2, 4, window))
    level = torch.randn(batch, 6, height, width)
    torch.testing.assert_close(part(level), dense(part, level), rtol=1e-4, atol=1e-4)


def test_windows_have_the_gradients_of_masked_dense_attention() -> None:
    """Also on a tile that no block divides, whose last cells are beyond its edge."""
    torch.manual_seed(0)
    part = awakened(WindowAttention(6, 2, 4, 5))
    level = torch.randn(2, 6, 13, 9)
    found = []
    for answer in (part(level), dense(part, level)):
        part.zero_grad()
        answer.square().sum().backward()
        found.append([one.grad.clone() for one in part.parameters() if one.grad is not None])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def written_out(part: CrossLevelAttention, levels: list[Tensor], at: int) -> Tensor:
    """What the cells of a level find, one after the other."""
    (query,) = part.asking[at](levels[at])
    pairs = [asked(level) for asked, level in zip(part.asked, levels, strict=True)]
    found = torch.zeros_like(query)
    reach = part.places[0][0].reach
    for y in range(query.shape[-2]):
        for x in range(query.shape[-1]):
            own = query[..., y, x] * query.shape[2] ** -0.5
            key, value = (one[..., y, x] for one in pairs[at])
            scores, values = [(own * key).sum(2)], [value]
            for up, place in enumerate(part.places[at], start=1):
                key, value = pairs[at + up]
                f = 2**up
                for i in range(-reach, reach + 1):
                    for j in range(-reach, reach + 1):
                        row, col = y // f + i, x // f + j
                        if 0 <= row < key.shape[-2] and 0 <= col < key.shape[-1]:
                            bias = place.rows[:, i + reach, y % f] + place.cols[:, j + reach, x % f]
                            scores.append((own * key[..., row, col]).sum(2) + bias)
                            values.append(value[..., row, col])
            weights = torch.stack(scores).softmax(0)
            found[..., y, x] = sum(w[:, :, None] * v for w, v in zip(weights, values, strict=True))
    return found.flatten(1, 2)


@pytest.mark.parametrize(
    ("channels", "side"),
    [((6, 6, 8), 12), ((4, 4, 4, 4, 4), 16)],
    ids=["few", "coarser_than_blocks"],
)
def test_cells_look_at_exactly_the_coarser_cells_around_their_place(
    channels: tuple[int, ...], side: int
) -> None:
    torch.manual_seed(0)
    levels = pyramid(channels, side=side, batch=2)
    part = awakened(CrossLevelAttention(channels, 2, 3, cells=3))
    with torch.no_grad():
        answers, _ = part(levels)
        for at in range(len(levels) - 1):
            expected = levels[at] + part.project[at](written_out(part, levels, at))
            torch.testing.assert_close(answers[at], expected, rtol=1e-4, atol=1e-4)
