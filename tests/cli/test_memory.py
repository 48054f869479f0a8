"""geohier memory: a memory written anew, in a new model directory."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import yaml
from cli.conftest import Run
from colour_scenes import read
from roof_scenes import roofs, write_pair
from torch import Tensor

from geohier.config.load import load_config
from geohier.layers.memory import memories
from geohier.models.directory import load_model, save_model
from geohier.models.receptive_field import measure_receptive_field
from geohier.training.fit import train


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scenes, configs of them, and models that remember classes and motifs."""
    folder = tmp_path_factory.mktemp("taught")
    for seed, name in enumerate(["train/a", "train/b", "val/c"]):
        split, scene = name.split("/")
        write_pair(folder / "scenes" / split, scene, *roofs(seed))
    with pytest.MonkeyPatch.context() as patch:
        small = partial(measure_receptive_field, largest_px=128)
        patch.setattr("geohier.training.describe.measure_receptive_field", small)
        for of in ("classes", "motifs"):
            config = folder / f"{of}.yaml"
            config.write_text(yaml.safe_dump(values(of)))
            train(load_config(config), folder / of, quiet=True)
    return folder


def values(of: str) -> dict[str, object]:
    return {
        "data": {"root": "scenes", "classes": {0: "ground", 1: "roof"}},
        "model": {
            "encoder": "test_resnet",
            "decoder": "hierarchy",
            "pyramid_channels": 16,
            "segmentation_channels": 32,
            "hierarchy": {"memory": {"slots": 2, "of": of, "keep": 0.9}},
        },
        "chips": {"size_px": 64, "batch_size": 4, "per_epoch": 32},
        "training": {
            "epochs": 3 if of == "classes" else 1,
            "learning_rate": 0.003,
            "block_px": 64,
            "buffer_px": 0,
            "workers": 0,
        },
    }


@pytest.fixture
def write(run: Run, taught: Path, tmp_path: Path) -> Callable:
    """Return a function that writes a new model from one that is taught."""

    def command(of: str, *words: object, out: str = "new", code: int = 0) -> object:
        result = run("memory", taught / of / "model", *words, "--out", tmp_path / out, "--quiet")
        assert result.code == code, result.err
        return result

    return command


def tensors(model: Path) -> dict[str, Tensor]:
    return load_model(model).module.state_dict()


def banks(model: Path) -> dict[str, Tensor]:
    return {n: one for n, one in tensors(model).items() if n.endswith((".sums", ".mass"))}


@pytest.mark.parametrize("of", ["classes", "motifs"])
def test_nothing_but_the_memory_changes_and_equal_scenes_give_equal_bytes(
    write: Callable, taught: Path, tmp_path: Path, of: str
) -> None:
    source = taught / "scenes" / "train" / "images"
    words = ("--data", taught / "classes.yaml") if of == "classes" else (source,)
    model = taught / of / "model"
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    result = write(of, *words)
    assert "memory written from 2 scenes in 18 tiles (" in result.out
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before
    old, new = tensors(model), tensors(tmp_path / "new")
    changed = {name for name, one in old.items() if not torch.equal(new[name], one)}
    assert changed == {name for name in old if name.endswith((".sums", ".mass"))}

    write(of, *words, out="again")
    for path in (tmp_path / "new").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    (note,) = load_model(tmp_path / "new").card.trained_on["memory"]
    assert note["model_sha256"] == load_model(model).sha256
    assert sorted(note["data_sha256"]) == ["a", "b"]


def test_a_memory_that_was_wiped_and_written_again_answers_as_the_trained_one(
    write: Callable, run: Run, taught: Path, tmp_path: Path
) -> None:
    write("classes", "--data", taught / "classes.yaml", "--wipe")
    loaded = load_model(taught / "classes" / "model")
    for memory in memories(loaded.module):
        memory.wipe()
    save_model(tmp_path / "wiped", loaded.module, loaded.card, loaded.config)
    scene, maps = taught / "scenes" / "val" / "images" / "c.tif", {}
    models = {
        "old": taught / "classes" / "model",
        "new": tmp_path / "new",
        "wiped": tmp_path / "wiped",
    }
    for name, model in models.items():
        out = tmp_path / f"{name}.tif"
        done = run("predict", scene, "--model", model, "--out", out, "--probabilities", "--quiet")
        assert done.code == 0, done.err
        maps[name] = read(tmp_path / f"{name}_probabilities.tif").astype(int)
    apart = {name: np.abs(one - maps["old"]).mean() for name, one in maps.items()}
    assert apart["new"] < apart["wiped"] / 2


@pytest.mark.slow
def test_a_memory_can_be_written_again_and_again_and_the_card_says_so(
    run: Run, taught: Path, tmp_path: Path
) -> None:
    config, model = taught / "classes.yaml", taught / "classes" / "model"
    for split, name in (("train", "one"), ("val", "two")):
        done = run(
            *("memory", model, "--data", config, "--split", split),
            *("--out", tmp_path / name, "--json", "--quiet"),
        )
        assert done.code == 0, done.err
        model = tmp_path / name
        assert sum(done.json["pixels"].values()) == 192**2 * len(done.json["scenes"])
    notes = load_model(tmp_path / "two").card.trained_on["memory"]
    assert [sorted(note["data_sha256"]) for note in notes] == [["a", "b"], ["c"]]
    mass = [banks(tmp_path / name)["memory.banks.0.mass"] for name in ("one", "two")]
    assert not torch.equal(*mass)


@pytest.mark.slow
def test_a_memory_that_is_wiped_first_keeps_nothing_of_what_was_there(
    run: Run, write: Callable, taught: Path, tmp_path: Path
) -> None:
    image = taught / "scenes" / "val" / "images" / "c.tif"
    write("motifs", taught / "scenes" / "train" / "images", out="more")
    found = {}
    for name, model in (("trained", taught / "motifs" / "model"), ("more", tmp_path / "more")):
        for wipe in ((), ("--wipe",)):
            out = tmp_path / f"{name}{len(wipe)}"
            done = run("memory", model, image, "--out", out, "--quiet", *wipe)
            assert done.code == 0, done.err
            found[name, bool(wipe)] = banks(out)["memory.banks.0.sums"]
    assert torch.equal(found["trained", True], found["more", True])
    assert not torch.equal(found["trained", False], found["more", False])
    assert not torch.equal(found["trained", False], found["trained", True])


@pytest.mark.slow
def test_classes_are_those_of_the_card_in_whatever_order_a_config_has_them(
    write: Callable, taught: Path, tmp_path: Path
) -> None:
    write("classes", "--data", taught / "classes.yaml", out="one")
    other = values("classes") | {"data": {"root": "scenes", "classes": {1: "roof", 0: "ground"}}}
    (taught / "turned.yaml").write_text(yaml.safe_dump(other, sort_keys=False))
    write("classes", "--data", taught / "turned.yaml", out="two")
    one, two = (banks(tmp_path / name) for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_ground_without_data_is_no_motif(write: Callable, taught: Path, tmp_path: Path) -> None:
    with rasterio.open(taught / "scenes" / "train" / "images" / "a.tif") as image:
        pixels, place = image.read(), {"crs": image.crs, "transform": image.transform}
    shape = {"count": 2, "height": 192, "width": 192, "dtype": "uint8", "nodata": 0}
    pixels[:, :, 100:] = 0
    scene = tmp_path / "half.tif"
    with rasterio.open(scene, "w", driver="GTiff", **shape, **place) as file:
        file.write(pixels)
    done = write("motifs", scene, "--wipe", "--json")
    assert done.json["pixels"] == {"motifs": 192 * 100}
    assert done.json["tiles"] == 3 * 2


def test_what_cannot_be_written_is_refused_and_leaves_nothing(
    write: Callable, run: Run, taught: Path, model: Path, tmp_path: Path
) -> None:
    config, image = taught / "classes.yaml", taught / "scenes" / "train" / "images" / "a.tif"
    other = values("classes") | {"data": {"root": "scenes", "classes": {0: "ground", 1: "shed"}}}
    (taught / "other.yaml").write_text(yaml.safe_dump(other))
    none = values("classes") | {
        "data": {"root": "scenes", "classes": {5: "ground", 6: "roof"}, "ignore": [0, 1]}
    }
    (taught / "none.yaml").write_text(yaml.safe_dump(none))
    for words, code, says in (
        ((image,), 2, "give labelled ones with --data"),
        ((), 2, "one of the two"),
        ((image, "--data", config), 2, "one of the two"),
        ((image, "--split", "val"), 2, "--split is of --data"),
        (("--data", config, "--mosaic"), 2, "--mosaic is of scenes"),
        (("--data", taught / "other.yaml"), 2, "the config's are ground shed"),
        (("--data", taught / "none.yaml"), 3, "there is nothing to write"),
        (("--data", config, "--bands", "1"), 4, "--bands names 1 bands"),
    ):
        result = write("classes", *words, code=code)
        assert says in result.err, result.err
        assert len(result.err.splitlines()) == 1
    forgetful = run("memory", model, "--data", config, "--out", tmp_path / "new")
    assert forgetful.code == 4
    assert "has no memory that could be written" in forgetful.err
    assert not list(tmp_path.iterdir())
    (tmp_path / "new").mkdir()
    assert "is there already" in write("classes", "--data", config, code=2).err


@pytest.mark.slow
def test_a_disk_that_does_not_hold_what_was_written_leaves_no_model(
    write: Callable, taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: whole(path, data[:-1] + b"?"))
    result = write("classes", "--data", taught / "classes.yaml", code=5)
    assert "does not hold what was written" in result.err
    assert not list(tmp_path.iterdir())
