from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geohier.config.load import load_config
from geohier.config.search import Choices, Numbers, read_space
from geohier.errors import ConfigError

REPOSITORY = Path(__file__).resolve().parents[2]
SPACES = sorted((REPOSITORY / "configs" / "search").glob("*.yaml"))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "roofs.yaml"
    path.write_text("data: {classes: {ground: 0, roof: 1}}\n")
    return path


def written(config: Path, text: str) -> Path:
    path = config.with_name("space.yaml")
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.name)
def test_every_space_of_the_repository_fits_the_config_of_its_name(path: Path) -> None:
    config = path.parent.parent / path.name
    assert read_space(path, config, ["data_root=/data"])


def test_ranges_and_lists_are_read_and_whole_numbers_stay_whole(config: Path) -> None:
    space = written(
        config,
        """
        training.learning_rate: {low: 1e-4, high: 1e-2, log: true}
        augment.gain: {low: 0, high: 0.5}
        training.ema_decay: {low: 0, high: 0.5}
        chips.batch_size: {low: 2, high: 16, step: 2}
        training.patience: [5, null]
        """,
    )
    rate, gain, decay, size, patience = read_space(space, config)
    assert (rate, gain) == (
        Numbers(
            key="training.learning_rate", low=1e-4, high=1e-2, log=True, step=None, whole=False
        ),
        Numbers(key="augment.gain", low=0, high=0.5, log=False, step=None, whole=False),
    )
    assert isinstance(decay, Numbers)
    assert not decay.whole
    assert isinstance(size, Numbers)
    assert size.whole
    assert patience == Choices(key="training.patience", values=(5, None))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{}", "holds no key to search"),
        ("chips.batch_sise: [2, 4]", "chips.batch_sise: unknown key; did you mean batch_size?"),
        ("chps.batch_size: [2, 4]", "chps: unknown key; did you mean chips?"),
        ("model.decoder: [fpn, pfn]", "give 'fpn', 'unet' or 'hierarchy', found \"pfn\""),
        ("model.decoder: fpn", "give a list of values, or {low: ..., high: ...}, found fpn"),
        ("model.decoder: [fpn]", "two or more values that differ, found [fpn]"),
        ("model.decoder: [fpn, fpn]", "two or more values that differ"),
        ("training.learning_rate: {low: 1, high: 0.1}", "give a low below the high"),
        ("training.learning_rate: {low: 0, high: 1}", "give a number above 0, found 0"),
        ("training.learning_rate: {low: 0, high: 1, log: true}", "log needs a low above 0"),
        ("training.learning_rate: {low: 1e-3}", "training.learning_rate.high: is missing"),
        ("training.learning_rate: {low: a, high: 1}", "low: give a number, found"),
        ("training.learning_rate: {lo: 1e-3, high: 1}", "a range has low, high, log and step"),
        ("training: {learning_rate: [1e-3, 1e-2]}", "keys of the config are written with dots"),
        ("chips.size_px: {low: 128, high: 512}", "give a multiple of 32, found 129"),
        ("chips.batch_size: {low: 2, high: 7, step: 2}", "do not end at 7"),
        ("chips.batch_size: {low: 2, high: 7, step: 0.5}", "give a whole number, found 2.5"),
        ("chips.batch_size: {low: 2.5, high: 7}", "give a whole number, found 2.5"),
        ("training.epochs: {low: 2, high: 8, step: 2, log: true}", "do not go together"),
        ("training.seed: [0, 1]", "training.seed: cannot be searched"),
        ("data.gsd_m: [0.1, 0.2]", "changes which ground judges"),
        ("model.downsample: [1, 2]", "changes the pixels that judge"),
        ("pretraining.mask_share: [0.4, 0.6]", "changes nothing that a trial learns"),
        ("training.examples: [0, 4]", "changes nothing that a trial learns"),
        ("training.processes: [1, 2]", "is 1 in a search"),
        ("chips.per_epoch: [8, 16]", "is searched, but --set fixes it"),
        ("model.encoder: [a, b", "expected"),
    ],
)
def test_what_cannot_be_searched_is_told_by_the_file_and_the_key(
    config: Path, text: str, says: str
) -> None:
    with pytest.raises(ConfigError) as told:
        read_space(written(config, text), config, ["chips.per_epoch=8"])
    assert says in str(told.value)
    assert "space.yaml: " in str(told.value)


def test_bands_and_their_normalisation_may_be_searched(config: Path) -> None:
    space = written(config, "data.bands: [[red, green], [ndvi]]\ndata.normalise: [train, scene]\n")
    assert [one.key for one in read_space(space, config)] == ["data.bands", "data.normalise"]


@given(st.integers(0, 50), st.integers(1, 20), st.integers(1, 9), st.integers(-10, 80))
def test_a_range_holds_its_steps_and_nothing_else(
    low: int, step: int, steps: int, value: int
) -> None:
    numbers = Numbers(key="k", low=low, high=low + steps * step, log=False, step=step, whole=True)
    assert numbers.holds(value) == (value in range(low, low + steps * step + 1, step))
    assert not numbers.holds(None)


def test_the_last_values_are_laid_over_the_overrides_and_blamed_on_their_file(
    config: Path,
) -> None:
    over = load_config(config, ["chips.batch_size=2"], last={"chips.batch_size": 3}, last_from="s")
    assert over.chips.batch_size == 3
    with pytest.raises(ConfigError, match=r"^s: chips\.batch_size: "):
        load_config(config, last={"chips.batch_size": 0}, last_from="s")
