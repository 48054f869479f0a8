"""geohier predict --sample: one of the maps that a model with latents finds possible."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from colour_scenes import read
from pyramids import awakened
from small_models import CLASSES, COLOURS

from geohier.config.schema import TrainConfig
from geohier.errors import ConfigError
from geohier.geo.bands import Band, BandSet
from geohier.inference.options import PredictOptions
from geohier.inference.pipeline import predict_raster
from geohier.models.card import ModelCard
from geohier.models.directory import load_model, save_model
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.segmentation import build_segmenter

Write = Callable[..., Path]

CONFIG = TrainConfig.model_validate(
    {
        "data": {"classes": {"land": 0, "water": 1, "roof": 2}},
        "model": {
            "encoder": "test_resnet",
            "decoder": "hierarchy",
            "encoder_depth": 3,
            "pyramid_channels": 8,
            "segmentation_channels": 8,
            "hierarchy": {"latents": {"levels": 3}},
        },
    }
)
MARGIN = 40
TILES = ("--size", 128, "--overlap", 64, "--device", "cpu", "--precision", "fp32")


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory whose answers depend on what is drawn."""
    bands = (Band(name=name, dtype="uint8", mean=100, std=50, high=200) for name in COLOURS)
    card = ModelCard(
        bands=BandSet(tuple(bands)),
        classes=CLASSES,
        stride=8,
        strides=(1, 2, 4, 8),
        margins_px={95: MARGIN},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_segmenter(CONFIG.model, bands=3, classes=3)
        assert isinstance(network, HierarchicalSegmenter)
        assert network.latents is not None
        awakened(network.latents)
        with torch.no_grad():
            network.train()(torch.randn(4, 3, 64, 64))
    return save_model(tmp_path_factory.mktemp("drawing") / "model", network.eval(), card, CONFIG)


@pytest.fixture
def wide(write_scene: Write) -> Path:
    values = np.random.default_rng(0).integers(0, 200, (3, 140, 290)).astype("uint8")
    return write_scene(values, "wide.tif", descriptions=COLOURS)


@pytest.fixture
def draw(run: Callable, drawing: Path, wide: Path, tmp_path: Path) -> Callable:
    """Return a function that draws a map of wide.tif to a name, with more options."""

    def command(name: str, *words: object, code: int = 0) -> Path:
        out = tmp_path / name
        result = run("predict", wide, "--model", drawing, "--out", out, *TILES, *words)
        assert result.code == code, result.err
        return out if code == 0 else result

    return command


def test_a_seed_draws_a_map_and_another_seed_another_one(draw: Callable) -> None:
    maps = [read(draw(f"{seed}.tif", "--sample", seed)) for seed in (1, 2**63 - 1)]
    mean = read(draw("mean.tif"))
    for one, two in ((maps[0], maps[1]), (maps[0], mean), (maps[1], mean)):
        assert 0.05 < float((one != two).mean()) < 0.95
    assert (draw("again.tif", "--sample", 1)).read_bytes() == draw(
        "1.tif", "--sample", 1
    ).read_bytes()


def test_tiles_draw_what_the_whole_raster_draws(drawing: Path, wide: Path, tmp_path: Path) -> None:
    found = []
    for name, size, overlap, batch in (
        ("whole", 336, 8, 1),
        ("tiles", 224, 112, 2),
    ):
        options = PredictOptions(
            size=size,
            overlap=overlap,
            batch_size=batch,
            probabilities=True,
            device="cpu",
            precision="fp32",
            sample=7,
        )
        predict_raster(wide, tmp_path / f"{name}.tif", drawing, options=options)
        found.append(read(tmp_path / f"{name}_probabilities.tif").astype(int))
    whole, tiles = found
    assert len(np.unique(whole)) > 50
    assert np.abs(tiles - whole).max() <= 1


@pytest.mark.slow
def test_a_run_that_was_killed_draws_the_rest_of_the_same_map(
    draw: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = draw("whole.tif", "--sample", 5).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("geohier.raster.store.PartStore.finish", interrupted)
        draw("map.tif", "--sample", 5, code=130)
    journal = tmp_path / "map.tif.parts" / "parts.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:1]))
    assert "options.sample was 5, now 6" in draw("map.tif", "--sample", 6, code=2).err
    assert "options.sample was 5" in draw("map.tif", code=2).err
    assert draw("map.tif", "--sample", 5).read_bytes() == whole


def interrupted(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_what_cannot_be_drawn_is_refused_at_once(
    run: Callable, draw: Callable, model: Path, wide: Path, drawing: Path, tmp_path: Path
) -> None:
    for command in ("predict", "plan"):
        words = (command, wide, "--model", model, "--out", tmp_path / "map.tif", "--sample", 1)
        result = run(*words)
        assert result.code == 2
        assert "this model has none: leave it out" in result.err
        assert len(result.err.splitlines()) == 1
    assert "leave one of them out" in draw("map.tif", "--sample", 1, "--tta", "d4", code=2).err
    assert "is no seed" in draw("map.tif", "--sample", -1, code=2).err
    assert "is no seed" in draw("map.tif", "--sample", 2**63, code=2).err
    loaded = load_model(drawing)
    card = replace(loaded.card, stride=4)
    with pytest.raises(ConfigError, match="no multiple of 8 px"):
        predict_raster(
            wide,
            tmp_path / "map.tif",
            loaded.module,
            card=card,
            options=PredictOptions(sample=1),
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wide.tif"]
