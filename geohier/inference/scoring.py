"""Run the model over batches of tiles: normalise, score, and fit what the device can hold."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import date

import torch
from torch import Tensor, nn
from torch.nn import functional

from geohier.errors import ModelError, ResourceError
from geohier.geo.dates import when
from geohier.geo.tiling import Tile
from geohier.inference.batching import TileBatch
from geohier.inference.blending import Scored
from geohier.inference.features import Features
from geohier.inference.symmetry import D4, mean_features, mean_scores
from geohier.layers.dates import coarser, with_dates
from geohier.models.card import ModelCard


class Scorer:
    """A model on a device, with the normalisation of its card.

    The model itself is moved there and set to evaluate; `borrowed` undoes it.

    Args:
        model: from `(B, C, H, W)` normalised pixels to `(B, K, H, W)` scores before a softmax, or
            to features on a coarser grid. One that says `takes_corners` is also given, as `(B, 2)`,
            row and column of each tile's first pixel.
        card: bands and classes of the model.
        features: what it gives in place of scores.
        device: where it runs.
        precision: `bf16` (autocast) or `fp32`.
        symmetric: average the probabilities of the eight flips and rotations of each tile.
        channels_last: lay the model out with channels last in memory.
        dates: those of the stack that the tiles are cut from; empty of no stack.
    """

    def __init__(
        self,
        model: nn.Module,
        card: ModelCard,
        *,
        features: Features | None = None,
        device: torch.device,
        precision: str = "fp32",
        symmetric: bool = False,
        channels_last: bool = False,
        dates: Sequence[date] = (),
    ) -> None:
        self.model = model.eval().to(device)
        if channels_last:
            self.model.to(memory_format=torch.channels_last)
        self.card = card
        self.features = features
        self.device = device
        self.precision = precision
        self.symmetric = symmetric
        self.placed = bool(getattr(model, "takes_corners", False))
        images = len(dates) or 1
        self.gain, self.shift = (t.repeat(1, images, 1, 1).to(device) for t in normalisation(card))
        self.when = torch.tensor(when(dates), device=device) if dates else None
        self.smallest_batch: int | None = None
        """Batch that memory forced since this was last read, None where none was forced."""
        self._all_finite = torch.ones((), dtype=torch.bool, device=device)

    @torch.inference_mode()
    def score(self, batches: Iterable[TileBatch]) -> Iterator[Scored]:
        """Yield each tile of the batches with its scores `(K, size, size)`, or features, float32.

        Raises:
            ModelError: the scores have another shape than the card says, or are not finite.
            ResourceError: not even one tile fits the memory of the device.
        """
        for batch in batches:
            yield from zip(batch.tiles, self.fitting(batch), strict=True)

    def normalised(self, batch: TileBatch) -> Tensor:
        """Return what the model reads, `(B, C, H, W)`: invalid pixels stand at the band's mean.

        Of a stack, the dates are told too, as of `with_dates`.
        """
        pixels = batch.pixels.to(self.device, non_blocking=True)
        pixels = pixels.to(torch.float32, copy=True).mul_(self.gain).add_(self.shift)
        valid = batch.valid
        if valid is not None:
            valid = valid.to(self.device, non_blocking=True)
            pixels.masked_fill_(~valid, 0.0)
        return pixels if self.when is None else with_dates(pixels, valid, self.when)

    def coarser(self, image: Tensor, factor: int) -> Tensor:
        """Return what the model reads of an image whose pixels are so many times as long."""
        if self.when is None:
            return functional.avg_pool2d(image, factor)
        return coarser(image, len(self.card.bands), factor)

    def fitting(self, batch: TileBatch) -> Tensor:
        """Return the scores `(B, K, H, W)` of a batch, in pieces that fit.

        After running out of memory, it is scored in halves.

        Raises:
            ModelError: as of `score`.
            ResourceError: not even one tile fits the memory of the device.
        """
        pixels, corners = self.normalised(batch), corners_of(batch.tiles)
        size = len(batch.tiles)
        while True:
            try:
                pieces = zip(torch.split(pixels, size), torch.split(corners, size), strict=True)
                scores = [self.forward(*piece) for piece in pieces]
                return torch.cat(scores) if len(scores) > 1 else scores[0]
            except RuntimeError as error:
                if not _out_of_memory(error):
                    raise
                if size == 1:
                    raise ResourceError(
                        f"one tile of {pixels.shape[-1]} px does not fit the memory of "
                        f"{self.device}: choose a smaller --size or another --device"
                    ) from error
            size = max(1, size // 2)
            self.smallest_batch = size
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def forward(self, pixels: Tensor, corners: Tensor | None = None) -> Tensor:
        """Return the scores `(B, K, H, W)` of normalised pixels `(B, C, H, W)`, checked."""
        places = (corners,) if self.placed else ()
        with self._autocast():
            scores = self._mean(pixels) if self.symmetric else self.model(pixels, *places)
        scores = scores.to(torch.float32, memory_format=torch.contiguous_format)
        return self._checked(scores, pixels)

    def _mean(self, pixels: Tensor) -> Tensor:
        mean = mean_scores if self.features is None else mean_features
        return mean(self.model, pixels, D4)

    def _autocast(self) -> AbstractContextManager[object]:
        if self.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def _checked(self, scores: Tensor, pixels: Tensor) -> Tensor:
        expected = self._expected(pixels)
        if tuple(scores.shape) != expected:
            raise ModelError(
                f"the model gave scores of shape {tuple(scores.shape)} for {len(pixels)} tiles, "
                f"its card says {expected}: card and model do not belong together"
            )
        if self.device.type == "cpu":
            # one pass over the scores; a sum can also overflow, so a bad one is looked at again
            self._all_finite = torch.isfinite(scores.sum()) or torch.isfinite(scores).all()
            self.check_finite()
        else:  # to ask for the answer now would be to wait for the device
            self._all_finite = self._all_finite & torch.isfinite(scores).all()
        return scores

    def _expected(self, pixels: Tensor) -> tuple[int, ...]:
        count, _, height, width = pixels.shape
        if self.features is None:
            return count, len(self.card.classes), height, width
        stride = self.features.stride
        return count, self.features.channels, height // stride, width // stride

    def check_finite(self) -> None:
        """Check all scores so far; other devices than the processor are only asked here.

        Raises:
            ModelError: some were not finite.
        """
        if not self._all_finite:
            raise ModelError(
                "the model gave scores that are not finite (NaN or infinite): its weights are "
                "damaged, or bf16 is too coarse for it (--precision fp32)"
            )


def corners_of(tiles: Sequence[Tile]) -> Tensor:
    """Return row and column of the first pixel of each tile, `(B, 2)`."""
    return torch.tensor([(tile.window.row_off, tile.window.col_off) for tile in tiles])


def normalisation(card: ModelCard) -> tuple[Tensor, Tensor]:
    """Return gain and shift, each `(1, C, 1, 1)`, from file units to what the model reads."""
    mean = torch.tensor([band.mean for band in card.bands], dtype=torch.float64)
    std = torch.tensor([band.std for band in card.bands], dtype=torch.float64)
    gain, shift = 1 / std, -mean / std
    if card.scaled:
        scale = torch.tensor([band.scale for band in card.bands], dtype=torch.float64)
        offset = torch.tensor([band.offset for band in card.bands], dtype=torch.float64)
        gain, shift = scale / std, (offset - mean) / std
    return gain.float()[None, :, None, None], shift.float()[None, :, None, None]


def _out_of_memory(error: RuntimeError) -> bool:
    """Tell running out of memory from a bug: on a processor PyTorch raises a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
