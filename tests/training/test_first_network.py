"""The network that a training begins with."""

import pytest
import torch
from pydantic import ValidationError
from roof_scenes import MakeConfig

from geohier.config.schema import TrainConfig
from geohier.data.prepare import prepare
from geohier.models.first_weights import LATERALS
from geohier.models.weight_files import SourceBands, Weights
from geohier.training.fit import first_network
from geohier.training.start import Start

CHANGED = {f"decoder.{name}.weight" for name in LATERALS}


Tensors = dict[str, torch.Tensor]


def first_weights(config: TrainConfig, given: Tensors | None = None) -> Tensors:
    data = prepare(config)
    weights = None
    if given is not None:
        bands = SourceBands(names=data.bands.names)
        weights = Weights(tensors=given, origin="given", sha256="0" * 64, bands=bands)
    return first_network(Start(config, weights), data)[0].state_dict()


def test_a_unit_pyramid_differs_from_the_usual_start_in_its_laterals_alone(
    make_config: MakeConfig,
) -> None:
    usual = first_weights(make_config())
    weighed = first_weights(make_config(model={"first_weights": "unit_pyramid"}))
    assert {name for name in usual if not torch.equal(usual[name], weighed[name])} == CHANGED


def test_laterals_that_are_given_are_not_weighed_and_new_ones_are(make_config: MakeConfig) -> None:
    config = make_config(model={"first_weights": "unit_pyramid"})
    usual, given = first_weights(make_config()), first_weights(make_config(training={"seed": 7}))
    encoder = {name: one for name, one in given.items() if name.startswith("encoder.")}
    from_all, from_encoder = first_weights(config, given), first_weights(config, encoder)
    assert all(torch.equal(from_all[name], given[name]) for name in CHANGED)
    assert not any(torch.equal(from_encoder[name], usual[name]) for name in CHANGED)


def test_only_a_pyramid_can_be_weighed(make_config: MakeConfig) -> None:
    with pytest.raises(ValidationError, match="weighs the levels of an fpn, but decoder is unet"):
        make_config(model={"first_weights": "unit_pyramid", "decoder": "unet"})
