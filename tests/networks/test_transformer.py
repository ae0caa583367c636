import pytest
import torch
from tests.networks.cases import awaken, inputs

from undrift.errors import UsageError
from undrift.networks import ContextSpec, TransformerConfig, build_network, count_parameters
from undrift.networks.rotary import Rotary, rotate


def test_rotary_products_depend_on_distance_only():
    rotary = Rotary(16).double()
    cosine, sine = rotary(6, 7)
    query, key = torch.randn(2, 1, 1, 1, 16, dtype=torch.float64).expand(2, 1, 1, 42, 16)
    products = (rotate(query, (cosine, sine)) @ rotate(key, (cosine, sine)).mT)[0, 0]
    products = products.view(6, 7, 6, 7)
    torch.testing.assert_close(products[0, 1, 2, 4], products[3, 0, 5, 3], rtol=1e-10, atol=1e-10)
    assert (products[0, 1, 2, 4] - products[0, 1, 4, 2]).abs() > 1e-3, "rows and columns differ"
    assert (products[0, 0, 0, 1] - products[0, 1, 0, 0]).abs() > 1e-3, "the way back differs"


def test_rotary_keeps_lengths():
    rotation = Rotary(8).double()(3, 5)
    x = torch.randn(2, 2, 15, 8, dtype=torch.float64)
    torch.testing.assert_close(rotate(x, rotation).norm(dim=-1), x.norm(dim=-1))


def test_positions_are_heard():
    """Without positions, swapping patches would only swap the outputs."""
    config = TransformerConfig(patch=1, width=16, depth=1, heads=1)
    network = awaken(build_network(config, channels=1, size=(1, 3), context=ContextSpec()), 0.3)
    x, c_noise = inputs(1, 1, (1, 3))
    order = [1, 0, 2]
    swapped = network(x[..., order], c_noise)
    assert not torch.allclose(swapped, network(x, c_noise)[..., order], atol=1e-4)
    for block in network.blocks:
        block.attention.forward = without_rotation(block.attention)
    torch.testing.assert_close(network(x[..., order], c_noise), network(x, c_noise)[..., order])


def without_rotation(attention):
    forward = attention.forward
    return lambda x, rotation: forward(x)


@pytest.mark.parametrize(("size", "millions"), [("S", 33), ("B", 130), ("L", 458), ("XL", 675)])
def test_presets_have_the_published_number_of_parameters(size, millions):
    """Peebles & Xie 2023, table 1, within 2 %; on the meta device, so that XL costs nothing."""
    with torch.device("meta"):
        network = build_network(
            TransformerConfig.preset(size), channels=4, size=(32, 32), context=ContextSpec(256)
        )
    assert count_parameters(network) == pytest.approx(millions * 1e6, rel=0.02)


def test_an_unknown_preset_is_refused():
    with pytest.raises(UsageError, match="wanted one of S, B, L, XL"):
        TransformerConfig.preset("M")


@pytest.mark.parametrize(
    "wrong",
    [{"patch": 0}, {"depth": 0}, {"width": 30, "heads": 4}, {"mlp": 0.0}, {"dropout": -0.1}],
)
def test_impossible_shapes_are_refused(wrong):
    with pytest.raises(UsageError, match="wanted"):
        TransformerConfig(**wrong)
