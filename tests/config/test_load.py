import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from geohier.config.bands import BandFormula
from geohier.config.load import config_hash, dump_config, load_config
from geohier.config.text import EXAMPLE, commented_config, config_schema
from geohier.errors import ConfigError

REPOSITORY = Path(__file__).resolve().parents[2]
CLASSES = "data: {classes: {ground: 0, roof: 1}}\n"

WriteConfig = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_data_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEOHIER_DATA", raising=False)


@pytest.fixture
def write_config(tmp_path: Path) -> WriteConfig:
    def write(text: str, name: str = "run.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "configs").glob("*.yaml")), ids=lambda path: path.name
)
def test_every_config_of_the_repository_loads(path: Path) -> None:
    overrides = ["data_root=/data"]
    if path.name == "base.yaml":
        overrides.append("data.classes={ground: 0, roof: 1}")
    config = load_config(path, overrides)
    assert config.data.root.parent == Path("/data") or path.name == "base.yaml"


def test_a_child_states_only_how_it_differs_from_its_parent(write_config: WriteConfig) -> None:
    write_config(CLASSES + "chips: {size_px: 256, batch_size: 4}\n", "parents/base.yaml")
    child = write_config("extends: parents/base.yaml\nchips: {batch_size: 2}\n")
    chips = load_config(child).chips
    assert (chips.size_px, chips.batch_size) == (256, 2)


def test_classes_of_a_child_replace_those_of_its_parent(write_config: WriteConfig) -> None:
    write_config(CLASSES, "base.yaml")
    child = write_config("extends: base.yaml\ndata: {classes: {0: sea, 3: land}}\n")
    classes = load_config(child).data.classes
    assert [(one.name, one.values) for one in classes] == [("sea", (0,)), ("land", (3,))]


def test_overrides_come_last_and_are_typed_as_yaml(write_config: WriteConfig) -> None:
    path = write_config(CLASSES + "chips: {per_epoch: 5}\n")
    config = load_config(
        path, ["chips.per_epoch=null", "augment.scale=[1, 2]", "training.learning_rate=1e-4"]
    )
    assert config.chips.per_epoch is None
    assert config.augment.scale == (1.0, 2.0)
    assert config.training.learning_rate == 1e-4


@pytest.mark.parametrize("given", ["option", "environment"])
def test_data_root_is_filled_in(
    write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    path = write_config("data: {root: '${data_root}/roofs', classes: {a: 0, b: 1}}\n")
    if given == "environment":
        monkeypatch.setenv("GEOHIER_DATA", "/data")
    config = load_config(path, ["data_root=/data"] if given == "option" else [])
    assert config.data.root == Path("/data/roofs")


def test_a_relative_root_starts_at_the_file_that_states_it(write_config: WriteConfig) -> None:
    base = write_config("data: {root: roofs, classes: {a: 0, b: 1}}\n", "parents/base.yaml")
    child = write_config("extends: parents/base.yaml\n")
    assert load_config(child).data.root == base.parent / "roofs"
    assert load_config(child, ["data.root=here"]).data.root == Path("here")


def test_bands_are_names_indexes_and_formulas_in_either_spelling(
    write_config: WriteConfig, tmp_path: Path
) -> None:
    written = "[red, 3, ndvi, {name: sum, formula: B04 + nir}, {ratio: nir / red}]"
    config = load_config(
        write_config(f"data: {{classes: {{ground: 0, roof: 1}}, bands: {written}}}\n")
    )
    formulas = (
        BandFormula(name="sum", formula="B04 + nir"),
        BandFormula(name="ratio", formula="nir / red"),
    )
    assert config.data.bands == ("red", 3, "ndvi", *formulas)
    for text in (dump_config(config), commented_config(config, "A head.")):
        (tmp_path / "again.yaml").write_text(text)
        again = load_config(tmp_path / "again.yaml", [f"data_root={tmp_path}"])
        assert again.data.bands == config.data.bands


@pytest.mark.parametrize(
    ("given", "ignored"), [("255", (255,)), ("[0, 255]", (0, 255)), ("null", ()), ("[]", ())]
)
def test_no_one_or_several_label_values_are_ignored(
    write_config: WriteConfig, given: str, ignored: tuple[int, ...]
) -> None:
    path = write_config("data: {classes: {ground: 1, roof: 2}}\n")
    assert load_config(path, [f"data.ignore={given}"]).data.ignored == ignored


MISTAKES = [
    ("chips: {sise_px: 3}", "chips.sise_px: unknown key; did you mean size_px?"),
    ("chip: {size_px: 64}", "chip: unknown key; did you mean chips?"),
    ("data: {train: [{imag: a, mask: b}]}", "data.train.0.imag: unknown key; did you mean image?"),
    ("chips: {size_px: large}", 'chips.size_px: give a whole number, found "large"'),
    ("chips: {size_px: 100}", "chips.size_px: give a multiple of 32, found 100"),
    ("chips: 3", "chips: give keys and values, found 3"),
    ("chips: {batch_size: 0}", "chips.batch_size: give a number above 0, found 0"),
    ("data: {bands: 3}", "data.bands: give a list, such as [a, b], found 3"),
    ("data: {bands: [{a: 1}]}", "data.bands: a band is a name, an index from 0, or {name: ratio"),
    (
        "data: {bands: [-1]}",
        "an index from 0, or {name: ratio, formula: nir / (red + 1)}, found -1",
    ),
    ("data: {bands: [{name: x, formulla: nir}]}", "found {'name': 'x', 'formulla': 'nir'}"),
    ("data: {bands: [{x: nir / (red}]}", "data.bands: formula 'nir / (red' ends where"),
    ("data: {bands: [{nir: nir / 2}]}", "data.bands: band nir would be computed from itself"),
    ("data: {bands: [nir, red, nir]}", "data.bands: band nir is named 2 times: name it once"),
    ("data: {bands: [nir, {nir: red / 2}]}", "data.bands: band nir is named 2 times"),
    ("data: {classes: {0: a, 1: b}, bands: []}", "data.bands: give 1 or more, found 0"),
    ("data: {root: 3}", "data.root: give a path, found 3"),
    ("data: {train: [{image: 3, mask: b}]}", "data.train.0.image: give a path, found 3"),
    ("augment: {flips: maybe}", 'augment.flips: give true or false, found "maybe"'),
    ("model: {dropout: 2}", "model.dropout: give a number below 1, found 2"),
    ("weights: {sha256: abc}", "weights.sha256: give a SHA-256 of 64 hexadecimal digits"),
    ("chips: {? 2024-01-01 : 3}", "chips.2024-01-01: unknown key"),
    ("data: {train: [{image: {? 2024-01-01 : 3}, mask: b}]}", "train.0.image: give a path, found"),
    ("model: {decoder: pan}", "model.decoder: give 'fpn', 'unet' or 'hierarchy', found \"pan\""),
    ("chips: {per_epoch: 3, megapixels_per_epoch: 4}", "chips: per_epoch and megapixels_per_epoch"),
    ("training: {learning_rate: .inf}", "training.learning_rate: give a finite number, found"),
    ("objectives: {dice: 0, cross_entropy: 0}", "objectives: all weights are 0"),
    ("augment: {scale: [2, 1]}", "augment: scale falls from 2.0 to 1.0: swap them"),
    ("data: {classes: {0: a, 255: b}}", "data: class b has the label value 255"),
    ("data: {classes: {0: a, 1: b}, ignore: [7, 1]}", "data: class b has the label value 1"),
    ("data: {classes: 4}", "data.classes: give names with their label values"),
    ("data: {classes: {0: a}}", "data.classes: give 2 or more, found 1"),
    ("data: {classes: {no: 0, b: 1}}", "data.classes: class False among [False, 'b']"),
    ("data: {classes: {a: [0, 1], b: 1}}", "data.classes: label value 1 stands for two classes"),
    ("data: {classes: {a: 0, b: {values: 1, colour: 2}}}", "did you mean color?"),
    (
        "data: {classes: {a: 0, b: {values: 1, color: red}}}",
        "data.classes.1.color: give a colour as #rr",
    ),
    (
        "data: {val: [{image: a, mask: b}], classes: {a: 0, b: 1}}",
        "data: val lists scenes but train lists none",
    ),
    ("chips: {size_px: 64, size_px: 96}", "line 2: key size_px stands twice: keep one"),
    ("chips: &a {size_px: 64}\nmodel: *a", "line 3: alias *a: write the value out"),
    ("chips: !!python/object:os.system {}", "line 2: a tag (!...): only plain values are read"),
    ("chips: {size_px: 64", "line 3: expected ',' or '}'"),
    ("model: {encoder: '${HOME}'}", "model.encoder: '${HOME}': only ${data_root} is filled in"),
    ("data: {root: '${data_root}/a'}", "data.root: ${data_root}/a needs the folder of the data"),
    ("extends: [a]", "extends: give a path relative to this file, found ['a']"),
    ("extends: gone.yaml", "extends: there is no file"),
    ("chips: " + "[" * 5000, "is nested too deeply"),
    ("1: 2", "1: unknown key"),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES, ids=[one[1][:60] for one in MISTAKES])
def test_a_mistake_is_named_with_its_file_and_key(
    write_config: WriteConfig, mistake: str, message: str
) -> None:
    head = "training: {epochs: 3}\n" if "training" not in mistake else "model: {encoder: a}\n"
    text = mistake if "data:" in mistake else mistake + "\n" + CLASSES
    path = write_config(head + text)
    with pytest.raises(ConfigError) as found:
        load_config(path)
    assert str(found.value).startswith(str(path))
    assert message in str(found.value)
    assert "\n" not in str(found.value)


def test_the_blame_goes_to_the_file_or_option_that_said_it(write_config: WriteConfig) -> None:
    base = write_config(CLASSES + "chips: {sise: 3}\n", "base.yaml")
    child = write_config("extends: base.yaml\nchips: {size_px: 64}\n")
    with pytest.raises(ConfigError, match="unknown key") as found:
        load_config(child)
    assert str(found.value).startswith(f"{base}: chips.sise")
    with pytest.raises(ConfigError, match=r"^--set chips: give keys and values"):
        load_config(child, ["chips=3"])


def test_an_option_is_blamed_by_its_key_alone_and_beside_the_file_for_a_rule_between_keys(
    write_config: WriteConfig,
) -> None:
    config = write_config(CLASSES)
    for options, said in (
        (["chips.size_px=7"], "--set chips.size_px: give a multiple of 32, found 7"),
        (["chips={size_px: 7}"], "--set chips: chips.size_px: give a multiple"),
        (["model.hierarchy.attention.levels=3"], "--set model.hierarchy.attention.levels: levels"),
        (["auxiliary.edges=1"], f"{config} with --set auxiliary.edges: auxiliary edges is of"),
    ):
        with pytest.raises(ConfigError) as found:
            load_config(config, options)
        assert str(found.value).startswith(said)


def test_a_missing_key_is_named(write_config: WriteConfig) -> None:
    with pytest.raises(ConfigError, match=r"run.yaml: data.classes: is missing"):
        load_config(write_config("chips: {size_px: 64}\n"))


def test_parents_in_a_circle_are_refused(write_config: WriteConfig) -> None:
    write_config("extends: run.yaml\n", "base.yaml")
    with pytest.raises(ConfigError, match="goes in a circle"):
        load_config(write_config("extends: base.yaml\n"))


def test_an_override_given_twice_is_refused(write_config: WriteConfig) -> None:
    twice = ["chips.size_px=64", "model.dropout=0", "chips.size_px=96"]
    with pytest.raises(ConfigError, match=r"^--set chips.size_px is given twice: give it once$"):
        load_config(write_config(CLASSES), twice)


@pytest.mark.parametrize("override", ["chips", "=3", "chips..a=3", "chips.=3"])
def test_an_override_without_key_or_value_is_refused(
    write_config: WriteConfig, override: str
) -> None:
    with pytest.raises(ConfigError, match="give KEY=VALUE"):
        load_config(write_config(CLASSES), [override])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a" * 1_000_001, "is larger than"),
        (b"\xff\xfe\x00", "is no UTF-8 text"),
        (b"just text", "holds text: give keys and values"),
        (b"", "data: is missing|data.classes: is missing"),
    ],
)
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml: cannot be read: No such file"):
        load_config(tmp_path / "none.yaml")


def test_a_dumped_config_is_read_back_and_names_no_folder(write_config: WriteConfig) -> None:
    path = write_config("data: {root: /secret/place, classes: {a: [0, 2], b: 1}}\n")
    config = load_config(path)
    text = dump_config(config)
    assert "secret" not in text
    again = load_config(write_config(text, "again.yaml"), ["data_root=/secret/place"])
    assert again == config


def test_the_hash_follows_all_but_the_place_of_the_data(write_config: WriteConfig) -> None:
    path = write_config(CLASSES)
    here = config_hash(load_config(path))
    assert config_hash(load_config(path, [f"data.root={os.sep}elsewhere"])) == here
    assert config_hash(load_config(path, ["training.workers=0"])) == here
    assert config_hash(load_config(path, ["training.seed=1"])) != here


LISTED = "{train: [{image: /PLACE/a.tif, mask: m.tif}], val: [{image: [/PLACE/b.tif], mask: n}]}"


@pytest.mark.parametrize(
    "data",
    [
        LISTED,
        "{catalog: /PLACE/scenes.csv}",
        "{torchgeo: {dataset: NAIP, root: /PLACE/naip, labels: {dataset: CDL, root: /PLACE/cdl}}}",
        "{labels: {outside: a, areas: /PLACE/done.gpkg}}",
    ],
    ids=["lists", "catalogue", "torchgeo", "areas"],
)
def test_neither_a_dumped_config_nor_the_hash_follows_data_that_were_moved(
    write_config: WriteConfig, data: str
) -> None:
    said = data.replace("{", "{classes: {a: 0, b: 1}, ", 1)
    here, there = (
        load_config(write_config(f"data: {said}\n".replace("/PLACE", place)))
        for place in ("/secret/place", "/elsewhere")
    )
    text = dump_config(here)
    assert "/secret" not in text
    assert text == dump_config(there)
    assert config_hash(here) == config_hash(there)
    again = load_config(write_config(text, "again.yaml"), ["data_root=/elsewhere"])
    assert dump_config(again) == text
    renamed = load_config(write_config(f"data: {said}\n".replace("/PLACE/", "/elsewhere/other-")))
    assert config_hash(renamed) != config_hash(here)


def test_the_commented_text_is_read_back_and_explains_every_key(write_config: WriteConfig) -> None:
    config = EXAMPLE.model_copy(
        update={"data": EXAMPLE.data.model_copy(update={"root": Path("/data"), "ignore": None})}
    )
    text = commented_config(config, head="Found: much")
    assert load_config(write_config(text)) == config
    lines = text.splitlines()
    keys = [at for at, line in enumerate(lines) if line.startswith("  ") and line[2].isalpha()]
    sections = [one for one in config.model_dump().values() if isinstance(one, dict)]
    assert len(keys) == sum(map(len, sections))
    assert lines[lines.index("task: segmentation") - 1].startswith("#")
    assert all(lines[at - 1].strip().startswith("#") for at in keys)
    assert max(map(len, lines)) <= 100


def test_the_schema_describes_every_field() -> None:
    schema = yaml.safe_load(config_schema())
    models = [one for one in schema["$defs"].values() if "properties" in one]
    assert len(models) >= 8
    for model in models:
        assert all(field.get("description") for field in model["properties"].values())
