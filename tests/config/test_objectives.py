from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from geohier.config.load import dump_config, load_config
from geohier.config.objectives import Focal
from geohier.config.text import config_schema
from geohier.errors import ConfigError

WriteConfig = Callable[..., Path]

DATA = "data: {classes: {0: ground, 1: roof}}\n"


@pytest.fixture
def write_config(tmp_path: Path) -> WriteConfig:
    def write(text: str, name: str = "run.yaml") -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_a_number_is_the_weight_of_a_loss_and_options_stand_beside_a_weight(
    write_config: WriteConfig,
) -> None:
    stated = "objectives: {cross_entropy: 0, lovasz: 2, focal: {gamma: 3}, dice: {weight: 0.5}}\n"
    objectives = load_config(write_config(DATA + stated)).objectives
    assert objectives.used == {"focal": 1, "dice": 0.5, "lovasz": 2}
    assert objectives.focal.gamma == 3


def test_nothing_stated_is_cross_entropy_and_dice(write_config: WriteConfig) -> None:
    assert load_config(write_config(DATA)).objectives.used == {"cross_entropy": 1, "dice": 1}


def test_a_weight_and_options_of_another_layer_leave_each_other_as_they_are(
    write_config: WriteConfig,
) -> None:
    write_config(DATA + "objectives: {focal: {weight: 1, gamma: 3}, tversky: 0.5}\n", "base.yaml")
    path = write_config("extends: base.yaml\nobjectives: {focal: 0.25}\n")
    objectives = load_config(path, ["objectives.tversky.alpha=0.1"]).objectives
    assert objectives.focal == Focal(weight=0.25, gamma=3)
    assert (objectives.tversky.weight, objectives.tversky.alpha) == (0.5, 0.1)


def test_losses_are_dumped_and_read_back(write_config: WriteConfig) -> None:
    stated = "{cross_entropy: {class_weights: balanced}, focal: {class_weights: {roof: 4}}}"
    config = load_config(write_config(f"{DATA}objectives: {stated}\n"))
    again = write_config(dump_config(config), "again.yaml")
    assert load_config(again, ["data_root=."]).objectives == config.objectives


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ("{dise: 1}", "objectives.dise: unknown key; did you mean dice"),
        ("{dice: -1}", "objectives.dice.weight: "),
        ("{focal: {gama: 1}}", "objectives.focal.gama: unknown key; did you mean gamma"),
        ("{focal: heavy}", "objectives.focal.weight: "),
        ("{cross_entropy: 0, dice: 0}", "objectives: all weights are 0"),
        ("{boundary: {reach_px: 0}}", "objectives.boundary.reach_px: "),
        (
            "{focal: {class_weights: {rooff: 2}}}",
            "objectives.focal.class_weights: rooff is no class: they are ground roof",
        ),
        (
            "{cross_entropy: {class_weights: {roof: 0, ground: 0}}}",
            "objectives.cross_entropy.class_weights: all are 0",
        ),
    ],
)
def test_what_is_wrong_with_a_loss_is_said_in_one_line(
    write_config: WriteConfig, stated: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write_config(f"{DATA}objectives: {stated}\n"))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_editors_accept_a_weight_where_options_may_stand() -> None:
    terms = yaml.safe_load(config_schema())["$defs"]["ObjectivesConfig"]["properties"]
    for term in terms.values():
        kinds = [one.get("type", "options") for one in term["anyOf"]]
        assert kinds == ["number", "options"]
