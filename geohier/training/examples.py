"""A few chips of the choose blocks as pictures of how a run goes: image, labels, prediction.

`examples/epoch-001.png`, 2, 4, 8 and so on: a handful of pictures however long a run is; and
`examples/best.png` of the epoch whose weights are kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from geohier.config.classes import ClassConfig
from geohier.data.chips import Chip
from geohier.data.labels import IGNORE_INDEX
from geohier.raster.durable import write_durably, writing
from geohier.training.example_picture import Example, ExamplePicture
from geohier.training.log import EpochLog, score_name
from geohier.training.task import SegmentationTask

EXAMPLES = "examples"
BEST = "best.png"


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A chip `(C, H, W)` with its labels, and how much there is to see in it."""

    scene: str
    worth: float
    image: Tensor
    mask: Tensor


class DrawExamples(Callback):
    """Draws the same chips after epochs 1, 2, 4, 8, ... and after each best one.

    They are chosen in the first pass over the choose blocks, those of most even classes, of
    different scenes where there are enough. They are predicted while the weights that are judged
    are in place. Nothing is drawn at random, and nothing of the network is changed.

    Args:
        folder: the run's folder.
        count: how many chips.
        log: has the row of an epoch when it ends: it must stand before this in the callbacks.
        classes: their names and colours.
        bands: canonical names of the chips' bands.
    """

    def __init__(
        self,
        folder: Path,
        count: int,
        log: EpochLog,
        classes: Sequence[ClassConfig],
        bands: Sequence[str],
    ) -> None:
        self.folder = folder / EXAMPLES
        self.count = count
        self.kept = log
        self.picture = ExamplePicture(classes, bands)
        scores = (row[score_name(row)] for row in log.rows)
        self._best = max(scores, default=float("-inf"))
        self._chosen: list[_Candidate] = []
        self._all_seen = False
        self._found: list[Tensor] = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Chip,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not self._all_seen:
            for at, scene in enumerate(batch["scene"]):
                self._consider(batch["image"][at], batch["mask"][at], scene)
        if batch_idx + 1 == trainer.num_val_batches[dataloader_idx]:
            self._all_seen = True
            assert isinstance(pl_module, SegmentationTask)
            self._found = [_classes_of(pl_module, one.image) for one in self._chosen]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        row = self.kept.rows[-1]
        epoch, score = int(row["epoch"]), float(row[score_name(row)])
        names = [f"epoch-{epoch:03}.png"] if epoch.bit_count() == 1 else []
        if score > self._best:
            self._best = score
            names.append(BEST)
        if names and self._chosen:
            assert isinstance(pl_module, SegmentationTask)
            self._write(names, pl_module.drawn)

    def _write(self, names: Sequence[str], drawn: Callable[[Tensor], Tensor]) -> None:
        examples = [
            Example(image=one.image, labels=drawn(one.mask), found=found)
            for one, found in zip(self._chosen, self._found, strict=True)
        ]
        png = self.picture.draw(examples)
        with writing(self.folder):
            self.folder.mkdir(exist_ok=True)
        for name in names:
            write_durably(self.folder / name, png)

    def _consider(self, image: Tensor, mask: Tensor, scene: str) -> None:
        """Keep a chip if it is among the most telling so far."""
        worth = _worth(mask)
        if worth > 0:
            one = _Candidate(scene, worth, image.cpu().clone(), mask.cpu().clone())
            self._chosen = _most_telling([*self._chosen, one], self.count)


def _most_telling(candidates: Sequence[_Candidate], count: int) -> list[_Candidate]:
    """Return the best chip of each scene, then others; of equals, the first."""
    ranked = sorted(candidates, key=lambda one: -one.worth)
    best = {one.scene: one for one in reversed(ranked)}
    firsts = [one for one in ranked if best[one.scene] is one]
    rest = [one for one in ranked if best[one.scene] is not one]
    return [*firsts, *rest][:count]


def _worth(mask: Tensor) -> float:
    """Return how mixed the classes of a chip are, and how much of it is labelled; 0 without."""
    known = mask[mask != IGNORE_INDEX]
    if not known.numel():
        return 0.0
    shares = known.bincount() / known.numel()
    entropy = float(torch.special.entr(shares).sum())
    return (entropy + 0.01) * known.numel() / mask.numel()


def _classes_of(task: SegmentationTask, image: Tensor) -> Tensor:
    """Return the class of each pixel of a chip as it is drawn, `(H, W)`."""
    batch = image[None].to(task.device).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        return task.answer(batch)[0].cpu()
