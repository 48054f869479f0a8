import pytest
import torch

from geohier.config.model import ModelConfig
from geohier.models.segmentation import build_segmenter
from geohier.training.ranks import synchronised


@pytest.mark.parametrize("encoder", ["test_resnet", "mobilenetv2_050"])
def test_a_synchronised_network_computes_what_it_did(encoder: str) -> None:
    """Also where a normalisation holds an activation, as those of mobilenets do."""
    network = build_segmenter(ModelConfig(encoder=encoder), bands=3, classes=2).eval()
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = network(image)
        converted = synchronised(network)
        torch.testing.assert_close(converted(image), before)
    kinds = {type(one).__name__ for one in converted.modules() if "Norm" in type(one).__name__}
    assert kinds
    assert all(kind.startswith("SyncBatchNorm") for kind in kinds)
