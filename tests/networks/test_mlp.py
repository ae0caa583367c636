import pytest
import torch
from tests.networks.cases import awaken

from undrift.errors import UsageError
from undrift.networks import ContextSpec, MLPConfig, are_points, build_network


def test_points_and_their_images_are_the_same():
    network = awaken(build_network(MLPConfig(), channels=2, size=(1, 1), context=ContextSpec()))
    points, c_noise = torch.randn(5, 2), torch.zeros(5)
    out = network(points, c_noise)
    assert out.shape == (5, 2)
    assert torch.equal(out, network(points[:, :, None, None], c_noise)[:, :, 0, 0])


def test_waves_of_the_input_are_heard():
    config = MLPConfig(width=16, blocks=1, fourier=(2.0, 5.0))
    network = awaken(build_network(config, channels=1, size=(1, 2), context=ContextSpec()))
    heard = []
    network.stem.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    x = torch.randn(3, 1, 1, 2)
    network(x, torch.zeros(3))
    row = x.flatten(1)
    waves = [f(w * row) for w in config.fourier for f in (torch.sin, torch.cos)]
    torch.testing.assert_close(heard[0], torch.cat([row, *waves], dim=1))


@pytest.mark.parametrize(
    ("size", "points"),
    [((1, 2), True), ((3, 100), True), ((100, 3), True), ((4, 4), False), ((4, 100), False)],
)
def test_images_without_neighbourhoods_are_points(size, points):
    assert are_points(size) == points


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"blocks": 0}, {"dropout": 1.5}, {"fourier": (-1.0,)}]
)
def test_impossible_shapes_are_refused(wrong):
    with pytest.raises(UsageError, match="wanted"):
        MLPConfig(**wrong)
