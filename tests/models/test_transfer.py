"""Weights of one network as the start of another: by name, by band, by class."""

from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from geohier.config.hierarchy import HierarchyConfig
from geohier.config.memory import MemoryConfig
from geohier.config.model import ModelConfig
from geohier.errors import ModelError
from geohier.geo.bands import Band, BandSet
from geohier.models.segmentation import at_image_resolution, build_segmenter
from geohier.models.transfer import start_from
from geohier.models.weight_files import SourceBands, Weights, read_weights

SMALL = ModelConfig(encoder="resnet10t", pyramid_channels=32, segmentation_channels=32)
CLASSES = ("ground", "roof")


def network(bands: int = 3, classes: int = 2, seed: int = 0, **changes: object) -> nn.Module:
    return deepcopy(_network(bands, classes, seed, tuple(changes.items())))


@cache
def _network(
    bands: int, classes: int, seed: int, changes: tuple[tuple[str, object], ...]
) -> nn.Module:
    torch.manual_seed(seed)
    built = build_segmenter(SMALL.model_copy(update=dict(changes)), bands, classes).eval()
    for module in built.modules():  # as after a training: statistics that are not 0 and 1
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return built


def bands(*names: str, mean: float = 100, std: float = 50, high: float | None = 200) -> BandSet:
    return BandSet(
        tuple(
            Band(name=name, dtype="uint8", mean=mean + at, std=std + at, high=high)
            for at, name in enumerate(names)
        )
    )


def known(band_set: BandSet) -> SourceBands:
    return SourceBands(
        names=band_set.names,
        mean=tuple(band.mean for band in band_set),
        std=tuple(band.std for band in band_set),
    )


def weights(source: nn.Module, read: SourceBands | None, classes: tuple[str, ...] = ()) -> Weights:
    return Weights(
        tensors=source.state_dict(), origin="other", sha256="0" * 64, bands=read, classes=classes
    )


def pixels(count: int = 3, side: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(30, 200, (1, count, side, side), generator=generator).float()


def normalised(values: Tensor, band_set: BandSet) -> Tensor:
    mean = torch.tensor([band.mean for band in band_set])[:, None, None]
    std = torch.tensor([band.std for band in band_set])[:, None, None]
    return (values - mean) / std


def middle(answer: Tensor) -> Tensor:
    """Leave out the rim, where zeros are padded that mean other pixels here and there."""
    return answer[..., 24:40, 24:40]


def first_answers(net: nn.Module, image: Tensor) -> Tensor:
    """Return what leaves the first convolutions and their normalisation."""
    body = net.get_submodule("encoder.model")
    answer: Tensor = body.bn1(body.conv1(image))
    return answer[..., 4:-4, 4:-4]


def test_another_model_is_taken_over_whole() -> None:
    one, other = network(seed=1), network(seed=2)
    read = bands("red", "green", "blue")
    done = start_from(other, weights(one, known(read), CLASSES), read, CLASSES)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value)
    assert (done.share, done.fresh, done.found) == (1.0, (), len(one.state_dict()))


@pytest.mark.parametrize("order", [("blue", "green", "red"), ("B04", "B02", "B03")])
def test_bands_find_each_other_by_name(order: tuple[str, ...]) -> None:
    one, other = network(seed=1), network(seed=2)
    read = SourceBands(names=("red", "green", "blue"))
    start_from(other, weights(one, read, CLASSES), bands(*order), CLASSES)
    image = normalised(pixels(), bands("red", "green", "blue"))
    places = [("red", "green", "blue").index(n) for n in (
        order if "red" in order else ("red", "blue", "green"))]  # fmt: skip
    with torch.no_grad():
        torch.testing.assert_close(other(image[:, places]), one(image), rtol=1e-4, atol=1e-5)


@given(mean=st.floats(40, 160), std=st.floats(20, 90))
def test_other_statistics_do_not_change_what_the_network_sees(mean: float, std: float) -> None:
    one, other = network(seed=1), network(seed=2)
    there = bands("red", "green", "blue")
    here = bands("red", "green", "blue", mean=mean, std=std)
    start_from(other, weights(one, known(there), CLASSES), here, CLASSES)
    with torch.no_grad():
        torch.testing.assert_close(
            first_answers(other, normalised(pixels(), here)),
            first_answers(one, normalised(pixels(), there)),
            rtol=1e-3,
            atol=1e-3,
        )


def test_a_band_that_is_new_starts_as_the_mean_of_the_others() -> None:
    one, other = network(seed=1), network(4, seed=2)
    here = bands("nir", "red", "green", "blue")
    read = SourceBands(names=("red", "green", "blue"))
    done = start_from(other, weights(one, read), here, CLASSES)
    first = "encoder.model.conv1.0.weight"
    before, after = one.state_dict()[first], other.state_dict()[first]
    torch.testing.assert_close(after[:, 0], before.mean(dim=1))
    torch.testing.assert_close(after[:, 1:], before)
    assert "nir" in str(done)


@pytest.mark.parametrize(
    ("formula", "same"), [("nir / red", True), ("nir / (red + 1)", False), (None, True)]
)
def test_computed_bands_of_one_name_are_the_same_only_if_their_formulas_are(
    formula: str | None, same: bool
) -> None:
    one, other = network(1, seed=1), network(1, seed=2)
    here = BandSet((Band(name="ratio", dtype="float32", mean=0, std=1, formula="nir / red"),))
    name = "ratio" if formula is None else f"ratio = {formula}"
    done = start_from(other, weights(one, SourceBands(names=(name,))), here, CLASSES)
    assert (done.notes == []) is same


def test_broad_and_narrow_infrared_stand_for_each_other() -> None:
    one, other = network(1, seed=1), network(1, seed=2)
    done = start_from(other, weights(one, SourceBands(names=("nir08",))), bands("nir"), CLASSES)
    assert done.notes == []


def test_bands_in_other_units_are_not_rescaled_and_that_is_said() -> None:
    one, other = network(seed=1), network(seed=2)
    there = bands("red", "green", "blue")
    here = bands("red", "green", "blue", mean=3000, std=900, high=20_000)
    done = start_from(other, weights(one, known(there), CLASSES), here, CLASSES)
    assert "other units" in str(done)
    torch.testing.assert_close(
        other.state_dict()["decoder.p5.weight"], one.state_dict()["decoder.p5.weight"]
    )
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(other(image), one(image))


def test_bytes_and_reflectance_are_told_apart_though_one_band_is_dark() -> None:
    bytes_of = SourceBands(names=("red", "green", "blue"), mean=(0,) * 3, std=(255,) * 3)
    reflectance = [("red", 1800.0), ("green", 1700.0), ("blue", 250.0)]
    dark = [("red", 180.0), ("green", 170.0), ("blue", 2.0)]
    for values, same in ((reflectance, False), (dark, True)):
        here = BandSet(
            tuple(Band(name=n, dtype="uint16", mean=h / 2, std=h / 4, high=h) for n, h in values)
        )
        done = start_from(network(seed=2), weights(network(seed=1), bytes_of), here, CLASSES)
        assert ("other units" in str(done)) is not same


def test_an_infrared_is_not_taken_twice() -> None:
    one, other = network(1, seed=1), network(2, seed=2)
    read = SourceBands(names=("nir08",))
    done = start_from(other, weights(one, read), bands("nir", "nir08"), CLASSES)
    assert "bands new to it start as the mean of its own: nir" in str(done)


def test_scenes_that_normalise_themselves_are_taken_as_they_are() -> None:
    one, other = network(seed=1), network(seed=2)
    here = bands("red", "green", "blue", mean=50, std=20)
    read = known(bands("red", "green", "blue"))
    start_from(other, weights(one, read, CLASSES), here, CLASSES, normalised=False)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(other(image), one(image))


def test_classes_of_one_name_are_kept_and_new_ones_start_anew() -> None:
    one, other = network(classes=2, seed=1), network(classes=3, seed=2)
    fresh = {name: value.clone() for name, value in other.state_dict().items()}
    read = SourceBands(names=("red", "green", "blue"))
    here = bands("red", "green", "blue")
    start_from(other, weights(one, read, CLASSES), here, ("roof", "water", "ground"))
    for kind in ("weight", "bias"):
        name = f"segmentation_head.0.{kind}"
        before, after = one.state_dict()[name], other.state_dict()[name]
        torch.testing.assert_close(after[0], before[1])
        torch.testing.assert_close(after[2], before[0])
        torch.testing.assert_close(after[1], fresh[name][1])


def remembering(of: str, slots: int, seed: int) -> nn.Module:
    memory = MemoryConfig.model_validate({"slots": slots, "of": of})
    return network(
        encoder="test_resnet",
        encoder_depth=4,
        decoder="hierarchy",
        hierarchy=HierarchyConfig(memory=memory),
        seed=seed,
    )


@pytest.mark.parametrize(
    ("before", "after", "classes", "taken"),
    [
        (("motifs", 8), ("motifs", 8), ("a", "b"), True),
        (("motifs", 8), ("classes", 4), CLASSES, False),
        (("classes", 4), ("motifs", 8), CLASSES, False),
        (("classes", 4), ("classes", 4), CLASSES, True),
        (("classes", 4), ("classes", 4), ("roof", "ground"), False),
    ],
)
def test_a_memory_is_taken_over_only_as_what_it_is_of(
    before: tuple[str, int], after: tuple[str, int], classes: tuple[str, ...], taken: bool
) -> None:
    """Eight motifs and four prototypes of each of two classes are tensors of the same shapes."""
    one, other = remembering(*before, seed=1), remembering(*after, seed=2)
    banks = [name for name in one.state_dict() if name.endswith((".sums", ".mass"))]
    for name in banks:
        one.get_buffer(name).fill_(7)
    read = bands("red", "green", "blue")
    done = start_from(other, weights(one, known(read), CLASSES), read, classes)
    assert [bool((other.get_buffer(name) == 7).all()) for name in banks] == [taken] * len(banks)
    assert ("memory" in done.fresh) is not taken


def test_a_head_of_other_classes_is_not_taken_over() -> None:
    one, other = network(seed=1), network(seed=2)
    fresh = other.state_dict()["segmentation_head.0.weight"].clone()
    read = SourceBands(names=("red", "green", "blue"))
    done = start_from(other, weights(one, read, ("a", "b")), bands(*read.names), CLASSES)
    assert done.fresh == ("segmentation_head",)
    torch.testing.assert_close(other.state_dict()["segmentation_head.0.weight"], fresh)


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "model.encoder.", "encoder_q."])
@pytest.mark.parametrize(
    "encoder",
    [
        "resnet10t",
        "convnext_atto",
        "mobilenetv2_050",
        "test_vit",
        pytest.param("twins_svt_small", marks=pytest.mark.slow),
    ],
)
def test_an_encoder_of_timm_is_found_whatever_stands_before_its_names(
    encoder: str, prefix: str
) -> None:
    torch.manual_seed(3)
    published = timm.create_model(encoder, num_classes=7)
    tensors = {f"{prefix}{name}": value for name, value in published.state_dict().items()}
    depth = 4 if encoder == "convnext_atto" else 5
    own = network(encoder=encoder, encoder_depth=depth, decoder="unet")
    given_ = Weights(tensors=tensors, origin="timm", sha256="0" * 64)
    done = start_from(own, given_, bands("red", "green", "blue"), CLASSES)
    assert done.share > 0.99
    assert done.fresh[0] != "encoder"


def test_weights_of_another_encoder_are_refused() -> None:
    other = timm.create_model("mobilenetv2_050")
    given_ = Weights(tensors=other.state_dict(), origin="mobile.pth", sha256="0" * 64)
    with pytest.raises(ModelError, match=r"mobile\.pth: only \d+% of the encoder's weights"):
        start_from(network(), given_, bands("red", "green", "blue"), CLASSES)
    start_from(network(), given_, bands("red", "green", "blue"), CLASSES, least_matched=0)


@pytest.mark.parametrize(
    ("read", "says"),
    [(None, "read 4 bands, and nobody says which"), (("a", "b"), "4 bands, but 2 are named")],
)
def test_bands_that_nobody_names_are_asked_for(read: tuple[str, ...] | None, says: str) -> None:
    source = weights(network(4), None if read is None else SourceBands(names=read))
    with pytest.raises(ModelError, match=says):
        start_from(network(4), source, bands("a", "b", "c", "d"), CLASSES)


def test_weights_that_are_not_finite_are_refused() -> None:
    one = network()
    with torch.no_grad():
        next(one.get_submodule("encoder").parameters()).fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        start_from(network(), weights(one, None), bands("red", "green", "blue"), CLASSES)


def test_a_network_on_coarser_pixels_is_the_one_that_it_wraps() -> None:
    one, other = network(seed=1), network(seed=2)
    coarse = at_image_resolution(one, SMALL.model_copy(update={"downsample": 4}))
    done = start_from(other, weights(coarse, None, CLASSES), bands("r", "g", "b"), CLASSES)
    assert done.share == 1.0


@pytest.mark.parametrize("keys", [(), ("state_dict",), ("model", "state_dict")])
def test_tensors_are_found_in_files_of_torch(tmp_path: Path, keys: tuple[str, ...]) -> None:
    content: object = {"conv.weight": torch.ones(2, 3)}
    for key in reversed(keys):
        content = {"epoch": 3, key: content}
    torch.save(content, tmp_path / "w.pth")
    found = read_weights(tmp_path / "w.pth")
    assert found.tensors.keys() == {"conv.weight"}
    assert read_weights(tmp_path / "w.pth", found.sha256).sha256 == found.sha256
    with pytest.raises(ModelError, match=r"weights\.sha256 says 000000000000"):
        read_weights(tmp_path / "w.pth", "0" * 64)


class Rogue:
    """What a pickle may do when it is read: here, make a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (str(self.mark), "w"))


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    torch.save({"state_dict": {"a": Rogue(mark)}}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="cannot be read as tensors alone") as caught:
        read_weights(tmp_path / "w.pth")
    assert "\n" not in str(caught.value)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"hello", b"\x80\x02", b"", b"\x80\x02}q\x00(X", b"ccopy\n"])
def test_whatever_is_in_a_file_of_torch_it_is_refused_in_one_line(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ModelError, match=r"w\.pth: cannot be read as tensors alone") as caught:
        read_weights(tmp_path / "w.pth")
    assert "\n" not in str(caught.value)


def test_a_file_that_holds_itself_is_refused(tmp_path: Path) -> None:
    content: dict[str, object] = {"epoch": 3}
    content["state_dict"] = content
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="holds no tensors by name"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_damaged_and_empty_files_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(ModelError, match="no such file"):
        read_weights(path)
    path.write_bytes(b"PK nothing")
    with pytest.raises(ModelError, match="w\\."):
        read_weights(path)
    if name == "w.pth":
        torch.save({"epoch": 3}, path)
        with pytest.raises(ModelError, match="holds no tensors by name"):
            read_weights(path)


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file({"a": torch.ones(3)}, tmp_path / "w.safetensors")
    assert read_weights(tmp_path / "w.safetensors").tensors["a"].tolist() == [1, 1, 1]


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model directory"):
        read_weights(tmp_path)


def test_a_model_directory_brings_its_bands_and_classes(tmp_path: Path) -> None:
    from small_models import save_small_model

    folder = save_small_model(tmp_path / "model")
    found = read_weights(folder)
    assert found.bands == SourceBands(
        names=("red", "green", "blue"), mean=(100, 100, 100), std=(50, 50, 50)
    )
    assert len(found.classes) == 3
    with pytest.raises(ModelError, match="SHA-256"):
        read_weights(folder, "0" * 64)
