"""The main job on a CUDA device: the same answers as on a processor, and only labels come back."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from geohier.errors import ModelError
from geohier.geo.bands import Band, BandSet
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import Prediction, predict_raster
from geohier.models.card import ClassLabel, ModelCard

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

WriteScene = Callable[..., Path]

BANDS, CLASSES, SIDE_PX = ("red", "green", "blue"), 4, 300
MIB = 2**20


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, CLASSES, 3, padding=1)]
    return nn.Sequential(*layers)


def card() -> ModelCard:
    bands = tuple(Band(name=name, dtype="uint8", mean=120, std=60) for name in BANDS)
    classes = tuple(ClassLabel(name=f"class {k}", color="#336699") for k in range(CLASSES))
    return ModelCard(bands=BandSet(bands), classes=classes, margins_px={95: 2})


@pytest.fixture
def scene(write_scene: WriteScene) -> Path:
    """Imagery with a corner of nodata, of which several tiles hold nothing else."""
    values = np.random.default_rng(0).integers(1, 255, (3, SIDE_PX, SIDE_PX), dtype=np.uint8)
    values[:, :150, :140] = 0
    return write_scene(values, nodata=0, descriptions=BANDS)


def predict(
    scene: Path, target: Path, model: nn.Module | None = None, **more: object
) -> Prediction:
    options = PredictOptions(size=64, overlap=16, probabilities=True, **more)
    return predict_raster(scene, target, model or network(), card=card(), options=options)


def layers(prediction: Prediction) -> tuple[np.ndarray, np.ndarray]:
    with (
        rasterio.open(prediction.run.outputs["labels"]) as labels,
        rasterio.open(prediction.run.outputs["probabilities"]) as probabilities,
    ):
        return labels.read(1), probabilities.read().astype(int)


@pytest.fixture
def on_processor(scene: Path, tmp_path: Path) -> tuple[np.ndarray, np.ndarray]:
    return layers(predict(scene, tmp_path / "cpu.tif", device="cpu", precision="fp32"))


@pytest.mark.parametrize(
    ("precision", "steps", "share"), [("fp32", 1, 0.999), ("auto", 5, 0.98)], ids=["fp32", "bf16"]
)
def test_a_gpu_answers_as_a_processor_does(
    scene: Path,
    tmp_path: Path,
    on_processor: tuple[np.ndarray, np.ndarray],
    precision: str,
    steps: int,
    share: float,
) -> None:
    """Within `steps` of 1/250; float32 convolutions of a GPU may round to 10 bits (TF32)."""
    done = predict(scene, tmp_path / "gpu.tif", device="cuda", precision=precision)
    labels, probabilities = layers(done)

    assert done.plan.precision == ("fp32" if precision == "fp32" else "bf16")
    assert np.abs(probabilities - on_processor[1]).max() <= steps
    assert (labels == on_processor[0]).mean() >= share
    np.testing.assert_array_equal(labels == 255, on_processor[0] == 255)


def test_the_batch_size_changes_no_label_on_a_gpu(scene: Path, tmp_path: Path) -> None:
    found = [
        layers(predict(scene, tmp_path / f"{size}.tif", device="cuda", batch_size=size))
        for size in (1, 7)
    ]
    assert (found[0][0] == found[1][0]).mean() >= 0.999
    assert np.abs(found[0][1] - found[1][1]).max() <= 2


class Hungry(nn.Module):
    """Needs 64 MiB for each tile of a batch, and lets go of them."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network()

    def forward(self, pixels: Tensor) -> Tensor:
        torch.empty(len(pixels), 64 * MIB, dtype=torch.uint8, device=pixels.device)
        scores: Tensor = self.network(pixels)
        return scores


def test_a_batch_that_does_not_fit_the_gpu_is_halved_and_recorded(
    scene: Path, tmp_path: Path
) -> None:
    expected = layers(predict(scene, tmp_path / "free.tif", Hungry(), device="cuda", batch_size=2))
    torch.cuda.empty_cache()
    allowed = torch.cuda.memory_reserved() + 320 * MIB
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(allowed / total)
    try:
        done = predict(scene, tmp_path / "tight.tif", Hungry(), device="cuda", batch_size=8)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)

    forced = {note["batch_size"] for note in done.run.notes}
    assert forced
    assert forced <= {1, 2, 4}
    assert (layers(done)[0] == expected[0]).mean() >= 0.999


class FromDevice(TorchDispatchMode):
    """Writes down the type and size of every tensor that leaves the device."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[torch.dtype, int]] = []

    def __torch_dispatch__(
        self,
        function: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        result = function(*args, **(kwargs or {}))
        came_from = [one for one in args if isinstance(one, Tensor) and one.is_cuda]
        if came_from and isinstance(result, Tensor) and not result.is_cuda:
            self.seen.append((result.dtype, result.numel()))
        return result


def test_only_the_finished_layers_come_back_from_the_gpu(scene: Path, tmp_path: Path) -> None:
    with FromDevice() as watch:
        predict(scene, tmp_path / "gpu.tif", device="cuda")

    large = [(dtype, size) for dtype, size in watch.seen if size > 1]
    assert {dtype for dtype, _ in large} == {torch.uint8}
    assert sum(size for _, size in large) == SIDE_PX**2 * (1 + CLASSES)


class Broken(nn.Module):
    """Gives one score that is not finite, in a tile in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network()
        self.calls = 0

    def forward(self, pixels: Tensor) -> Tensor:
        scores: Tensor = self.network(pixels)
        self.calls += 1
        if self.calls == 3:
            scores[0, 0, 5, 5] = float("nan")
        return scores


def test_scores_that_are_not_finite_are_noticed_on_a_gpu(scene: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not finite"):
        predict(scene, tmp_path / "gpu.tif", Broken(), device="cuda")
    assert not (tmp_path / "gpu.tif").exists()
