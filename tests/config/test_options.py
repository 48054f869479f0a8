"""Keys and values as the schema has them."""

import pytest

from geohier.config.load import leaves
from geohier.config.model import ModelConfig
from geohier.config.options import options_of
from geohier.config.section import Section
from geohier.config.training import TrainingConfig


@pytest.mark.parametrize(("section", "name"), [(ModelConfig, "model"), (TrainingConfig, "train")])
def test_every_key_is_there_with_its_default_and_its_meaning(
    section: type[Section], name: str
) -> None:
    found = {one.key: one for one in options_of(section, name)}
    defaults = dict(leaves({name: section().model_dump(mode="json")}))
    assert {key: one.default for key, one in found.items()} == defaults
    assert all(one.form and one.meaning for one in found.values())


def test_the_values_of_a_choice_are_those_that_the_config_takes() -> None:
    for one in options_of(TrainingConfig, "training"):
        for value in one.values:
            TrainingConfig.model_validate({one.key.partition(".")[2]: value})
    found = {one.key: one for one in options_of(ModelConfig, "model")}
    assert found["model.downsample"].values == (1, 2, 4)
    assert set(found["model.decoder"].values) >= {"fpn", "unet", "hierarchy"}
    assert found["model.encoder_depth"].form == "whole number from 3 to 5"
    assert found["model.hierarchy.separable"].form == "false, true"
