import pytest
import torch
from tests.networks.cases import awaken

from undrift.errors import UsageError
from undrift.networks import ContextSpec, MLPConfig, build_network


def test_points_and_their_images_are_the_same():
    network = awaken(build_network(MLPConfig(), channels=2, size=(1, 1), context=ContextSpec()))
    points, c_noise = torch.randn(5, 2), torch.zeros(5)
    out = network(points, c_noise)
    assert out.shape == (5, 2)
    assert torch.equal(out, network(points[:, :, None, None], c_noise)[:, :, 0, 0])


@pytest.mark.parametrize("wrong", [{"width": 0}, {"blocks": 0}, {"dropout": 1.5}])
def test_impossible_shapes_are_refused(wrong):
    with pytest.raises(UsageError, match="wanted"):
        MLPConfig(**wrong)
