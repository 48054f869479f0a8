import pytest
import torch
from timm.layers import DropPath

from geohier.config.model import ModelConfig
from geohier.errors import ConfigError
from geohier.models.segmentation import build_segmenter


@pytest.mark.parametrize("decoder", ["fpn", "unet"])
def test_later_blocks_are_dropped_more_often_and_only_in_training(decoder: str) -> None:
    small = {"encoder": "test_resnet", "decoder": decoder, "segmentation_channels": 32}
    plain = build_segmenter(ModelConfig.model_validate(small), 3, 2).eval()
    config = ModelConfig.model_validate({**small, "drop_path": 0.4})
    dropping = build_segmenter(config, 3, 2).eval()
    chances = [m.drop_prob for m in dropping.modules() if isinstance(m, DropPath)]
    assert chances == sorted(chances)
    assert chances[-1] == pytest.approx(0.4)
    assert not any(isinstance(module, DropPath) for module in plain.modules())
    dropping.load_state_dict(plain.state_dict())
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(dropping(image), plain(image))


def test_an_encoder_without_paths_to_drop_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"mit_b0 .* set model.drop_path to 0"):
        build_segmenter(ModelConfig(encoder="mit_b0", drop_path=0.1), 3, 2)
