"""The layers of the GANs against their equations."""

import pytest
import torch
import torch.nn.functional as F
from tests.oracle.mutation import mutated
from torch import nn

from undrift.networks import Context, ContextSpec
from undrift.networks.gan import R3GANConfig, SNGANConfig, build_discriminator, modulation
from undrift.networks.gan.equalized import EqualConv, EqualLinear
from undrift.networks.gan.minibatch import with_spread
from undrift.networks.gan.modulation import ModulatedConv
from undrift.networks.gan.pyramid import grown, shrunk, sizes, widths


def seeded(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def critic(**changes):
    torch.manual_seed(0)
    config = SNGANConfig(width=8, latent=4, **changes)
    return build_discriminator(config, channels=1, size=(8, 8), context=ContextSpec(vector=3))


def norms(network):
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return torch.stack([torch.linalg.svdvals(m.weight.detach().flatten(1))[0] for m in layers])


def test_spectral_norm_is_one():
    network = critic()
    with torch.no_grad():
        for _ in range(60):  # every pass in training makes one power iteration
            _ = [m.weight for m in network.modules() if hasattr(m, "weight")]
    found = norms(network.eval())
    torch.testing.assert_close(found, torch.ones_like(found), rtol=0.02, atol=0)
    without = norms(critic(spectral_norm=False))
    assert (without - 1).abs().min() > 0.02


def test_spectral_norm_starts_from_the_weights_that_there_are_without_it():
    """He's, of gain 1, and biases of 0."""
    network, without = critic(), critic(spectral_norm=False)
    started = dict(without.named_parameters())
    layers = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    assert layers.keys() == {n.removesuffix(".weight") for n in started if n.endswith(".weight")}
    for name, layer in layers.items():
        weight = layer.parametrizations.weight.original.detach()
        assert torch.equal(weight, started[f"{name}.weight"])
        assert layer.bias is None or not layer.bias.any()
        root = weight.square().mean().sqrt() * weight[0].numel() ** 0.5
        assert abs(float(root) - 1) < 4 / (2 * weight.numel()) ** 0.5


def test_a_bounded_head_is_no_steeper_under_a_louder_condition():
    """Features x and a condition y: slopes up to |w| + |V| = 2, without spectral norm no bound."""
    network, free = critic().eval(), critic(spectral_norm=False)
    x, y = seeded(64, network.head.linear.in_features), seeded(64, 3, seed=1)

    def slopes(head, y):
        (slope,) = torch.autograd.grad(head(x, Context(vector=y)).sum(), x)
        return slope.norm(dim=1)

    x.requires_grad_()
    quiet, loud = slopes(network.head, y), slopes(network.head, 100 * y)
    torch.testing.assert_close(loud, quiet, rtol=1e-5, atol=0)
    assert 1 < loud.max() <= 2 * 1.02
    assert slopes(free.head, 100 * y).max() > 10 * slopes(free.head, y).max()


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_an_equalised_linear_layer_is_its_equation(rate):
    """Of 300 numbers: y = rate / sqrt(300) W x + rate b, with a mean square of 1 at the start."""
    torch.manual_seed(0)
    layer = EqualLinear(300, 80, bias=None, rate=rate)
    # over 500 rows: the rows' errors, the weights' and the products'
    error = 4 * (2 / (500 * 300) + 2 / (300 * 80) + 2 / (500 * 80)) ** 0.5
    assert abs(float(layer(seeded(500, 300, seed=7)).detach().square().mean()) - 1) < error
    layer = EqualLinear(300, 80, bias=0.7, rate=rate)
    torch.testing.assert_close(layer(torch.zeros(1, 300)), torch.full((1, 80), 0.7))
    with torch.no_grad():
        layer.weight.copy_(seeded(80, 300, seed=1))
        layer.bias.copy_(seeded(80, seed=2))
    x = seeded(5, 300, seed=3)
    wanted = x @ seeded(80, 300, seed=1).T * rate / 300**0.5 + rate * seeded(80, seed=2)
    torch.testing.assert_close(layer(x), wanted)


def test_an_equalised_convolution_is_its_equation():
    """Of 12 channels and 5 x 5 places, 300 numbers too; without its border."""
    torch.manual_seed(0)
    layer = EqualConv(12, 80, 5)
    assert not layer.bias.any()
    inside = layer(seeded(40, 12, 24, 24, seed=7)).detach()[:, :, 2:-2, 2:-2]
    # 4 x 4 patches of an image do not overlap
    error = 4 * (2 / (640 * 300) + 2 / (300 * 80) + 2 / (640 * 80)) ** 0.5
    assert abs(float(inside.square().mean()) - 1) < error
    with torch.no_grad():
        layer.weight.copy_(seeded(80, 12, 5, 5, seed=1))
        layer.bias.copy_(seeded(80, seed=2))
    x = seeded(2, 12, 7, 6, seed=3)
    weight = seeded(80, 12, 5, 5, seed=1) / 300**0.5
    wanted = F.conv2d(x, weight, seeded(80, seed=2), padding=2)
    torch.testing.assert_close(layer(x), wanted, rtol=1e-4, atol=1e-5)


def per_image(conv: ModulatedConv, x, w):
    """Equations 1 to 3 of the paper as they stand: one convolution per image."""
    weight = conv.conv.scale * conv.conv.weight
    out = []
    for image, style in zip(x, conv.affine(w), strict=True):
        modulated = weight * style[None, :, None, None]
        modulated = modulated / (modulated.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        out.append(F.conv2d(image[None], modulated, padding=1))
    return torch.cat(out)


def test_a_modulated_convolution_is_one_convolution_per_image():
    torch.manual_seed(0)
    conv = ModulatedConv(3, 5, 3, style=4)
    x, w = seeded(2, 3, 6, 6), seeded(2, 4, seed=1)
    torch.testing.assert_close(conv(x, w), per_image(conv, x, w), rtol=1e-4, atol=1e-5)
    wrong = mutated(modulation, "s.square() @", "s @").ModulatedConv(3, 5, 3, style=4)
    wrong.load_state_dict(conv.state_dict())
    assert not torch.allclose(wrong(x, w), per_image(conv, x, w), atol=1e-2)


def test_minibatch_spread_by_hand():
    """Two groups of two: rows 0 and 2 differ by 2 everywhere, rows 1 and 3 not at all."""
    x = torch.zeros(4, 1, 2, 2)
    x[2] = 2.0
    found = with_spread(x, 2)
    assert found.shape == (4, 2, 2, 2)
    torch.testing.assert_close(found[:, 1, 0, 0], torch.tensor([1.0, 1e-4, 1.0, 1e-4]))
    assert with_spread(x[:3], 2).shape == (3, 2, 2, 2)  # 3 has no divisor of 2: groups of one


def test_stages():
    assert sizes((32, 32)) == [(4, 4), (8, 8), (16, 16), (32, 32)]
    assert sizes((28, 28)) == [(7, 7), (14, 14), (28, 28)]
    assert sizes((12, 40)) == [(6, 20), (12, 40)]
    assert sizes((28, 28), patch=2) == [(7, 7), (14, 14)]
    assert sizes((12, 40), patch=2) == [(6, 20)]
    assert widths(16, 5) == [128, 128, 64, 32, 16]


def test_resampling_keeps_constants_and_shrinking_is_the_transpose_of_growing():
    x, y = seeded(1, 2, 5, 3), seeded(1, 2, 10, 6, seed=1)
    torch.testing.assert_close((grown(x) * y).sum() / 4, (x * shrunk(y)).sum())
    torch.testing.assert_close(shrunk(torch.ones(1, 2, 4, 6)), torch.ones(1, 2, 2, 3))


def test_stages_of_r3gan_are_wide_only_where_they_are_coarse():
    config = R3GANConfig(width=16, full_stages=2, group_width=4, blocks=1)
    network = build_discriminator(config, channels=1, size=(32, 32), context=ContextSpec())
    assert [stage.blocks[0].expand.in_channels for stage in network.stages] == [4, 8, 16, 16]


def test_residual_blocks_of_r3gan_start_as_the_identity():
    torch.manual_seed(0)
    config = R3GANConfig(width=8, group_width=4)
    network = build_discriminator(config, channels=1, size=(8, 8), context=ContextSpec())
    x = seeded(2, 8, 4, 4)
    assert all(torch.equal(block(x), x) for block in network.stages[0].blocks)
    # 2 stages of 2 blocks of 3 layers: gain 1.387 * 4^(-1/4), over 8 inputs.
    mix = network.stages[0].blocks[0].expand.weight.detach().std()
    assert abs(float(mix) - 1.3868 * 4**-0.25 / 8**0.5) < 0.08
