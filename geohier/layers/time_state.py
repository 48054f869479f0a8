"""What cells keep from date to date."""

import torch
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn

from geohier.layers.attention_heads import starting_at_nothing

CELLS = 3
"""Side of the square of cells by which a state is changed."""

YEAR = 366
"""Days that set a year apart from the one before, for putting dates in their order."""


class DateState(nn.Module):
    """Cells go through the dates from the oldest to the newest: their last state is added.

    Shi et al. 2015, Convolutional LSTM Network; the step is torchgeo's. A date that did not see a
    cell leaves its state as it was. The last state is added to the mean of what the dates saw, and
    adds nothing at first. What a cell looks at grows by one cell a side with each date.

    Args:
        channels: of the level.
        state_channels: of the state.

    Shape:
        - level: `(B, T, C, H, W)`
        - seen: `(B, T, H, W)`
        - days, ages: `(B, T)`, day of the year, and years before the newest
        - returns: `(B, C, H, W)`, and how much of its state's changes a cell owes to each date
          `(B, T, H, W)`
    """

    def __init__(self, channels: int, state_channels: int) -> None:
        super().__init__()
        from torchgeo.models.convlstm import ConvLSTMCell  # seconds

        self.enter = nn.Sequential(LayerNorm2d(channels), nn.Conv2d(channels, state_channels, 1))
        self.cell = ConvLSTMCell(state_channels, state_channels, (CELLS, CELLS))
        self.project = starting_at_nothing(state_channels, channels)

    def forward(
        self, level: Tensor, seen: Tensor, days: Tensor, ages: Tensor
    ) -> tuple[Tensor, Tensor]:
        entering = torch.unflatten(self.enter(level.flatten(0, 1)), 0, seen.shape[:2])
        entering = entering * seen[:, :, None]  # cells beside one must not see what it did not
        order = (days - YEAR * ages).argsort(dim=1, stable=True)
        state, changes = self._gone_through(_taken(entering, order), _taken(seen, order))
        shares = _taken(changes, order.argsort(dim=1))
        shares = shares / shares.sum(1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
        wide = seen[:, :, None].to(level.dtype)
        mean = (wide * level).sum(1) / wide.sum(1).clamp(min=1)
        return mean + self.project(state) * wide.amax(1), shares

    def _gone_through(self, entering: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last state `(B, S, H, W)`, and how far each date moved it `(B, T, H, W)`."""
        hidden = torch.zeros_like(entering[:, 0])
        inner, moved = hidden, []
        for at in range(entering.shape[1]):
            new, within = self.cell(entering[:, at], (hidden, inner))
            there = seen[:, at, None]
            after = torch.where(there, new, hidden)
            inner = torch.where(there, within, inner)
            moved.append((after - hidden).detach().float().norm(dim=1))
            hidden = after
        return hidden, torch.stack(moved, dim=1)


def _taken(dates: Tensor, order: Tensor) -> Tensor:
    """Return dates `(B, T, ...)` in the order `(B, T)`."""
    return dates[torch.arange(len(order), device=order.device)[:, None], order]
