import functools

import pytest
import torch
import torch.nn.functional as F
from tests.networks.cases import awaken, inputs

from undrift.errors import UsageError
from undrift.networks import ContextSpec, UNetConfig, build_network
from undrift.networks.blocks import ResidualBlock, fitting_heads, grow
from undrift.networks.norms import GROUP_EPSILON, fitting_groups, modulated_group_norm


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_modulated_group_norm_is_norm_then_scale_then_shift(memory_format):
    x = torch.randn(3, 12, 5, 4, dtype=torch.float64).contiguous(memory_format=memory_format)
    scale, shift = torch.randn(2, 3, 12, dtype=torch.float64).unbind()
    tensors = [tensor.requires_grad_() for tensor in (x, scale, shift)]
    folded = modulated_group_norm(x, 4, scale, shift)
    plain = (
        F.group_norm(x, 4, eps=GROUP_EPSILON) * scale[:, :, None, None] + shift[:, :, None, None]
    )
    torch.testing.assert_close(folded, plain, rtol=1e-12, atol=1e-12)
    weight = torch.randn_like(plain)
    for ours, theirs in zip(
        torch.autograd.grad((folded * weight).sum(), tensors),
        torch.autograd.grad((plain * weight).sum(), tensors),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_scale_and_shift_act_after_the_norm():
    """A block whose modulation is put before the norm would not hear the scale at all."""
    block = awaken(ResidualBlock(8, 8, 4))
    x, embedding = torch.randn(2, 8, 4, 4), torch.randn(2, 4)
    louder = ResidualBlock(8, 8, 4)
    louder.load_state_dict(block.state_dict())
    with torch.no_grad():
        louder.modulation.weight[:8] *= 3
    assert not torch.allclose(block(x, embedding), louder(x, embedding), atol=1e-4)


@pytest.mark.parametrize(("channels", "groups"), [(4, 1), (48, 6), (100, 10), (512, 32), (7, 1)])
def test_groups_divide_and_hold_eight_channels_where_they_can(channels, groups):
    assert fitting_groups(channels) == groups


@pytest.mark.parametrize(
    ("width", "head", "heads"), [(64, 32, 2), (48, 32, 2), (20, 64, 1), (35, 8, 5)]
)
def test_heads_divide_the_width(width, head, heads):
    assert fitting_heads(width, head) == heads


def test_growing_repeats_and_crops():
    x = torch.tensor([[[[1.0, 2.0]]]])
    assert grow(x, torch.zeros(1, 1, 1, 3)).tolist() == [[[[1.0, 1.0, 2.0]]]]


def test_patch_makes_the_grid_coarser_and_the_network_cheaper():
    x, c_noise = inputs(1, 1, (28, 28))
    seen = []
    for patch in (1, 2, 4):
        config = UNetConfig(patch=patch, width=8, multipliers=(1,), blocks=1)
        network = build_network(config, channels=1, size=(28, 28), context=ContextSpec())
        network.stem.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape[2:])))
        network(x, c_noise)
    assert seen == [(28, 28), (14, 14), (7, 7)]


def test_attention_makes_far_positions_hear_each_other():
    """With the norms out of the way, convolutions alone do not reach across the image."""
    x, c_noise = inputs(1, 1, (1, 40))
    other = x.clone()
    other[..., -1] += 1
    reach = {}
    for attention in ((), (0,)):
        config = UNetConfig(width=8, multipliers=(1,), blocks=1, attention=attention)
        network = build_network(config, channels=1, size=(1, 40), context=ContextSpec())
        silence_norms(awaken(network, 0.3))
        reach[attention] = (network(other, c_noise) - network(x, c_noise))[0, 0, 0, 0].abs().item()
    assert reach[()] == 0
    assert reach[(0,)] > 1e-6


def silence_norms(network):
    """Group norm ties all positions of a sample together, so it has to go to measure reach."""
    for module in network.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.forward = lambda x: x
        if isinstance(module, ResidualBlock):
            module.forward = functools.partial(unnormalised, module)


def unnormalised(block, x, embedding):
    return block.skip(x) + block.conv_out(F.silu(block.conv_in(F.silu(x))))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"patch": 0}, "patch is 0"),
        ({"width": -1}, "width is -1"),
        ({"blocks": 0}, "blocks is 0"),
        ({"multipliers": ()}, "multipliers"),
        ({"multipliers": (1, 0)}, "multipliers"),
        ({"attention": (2,)}, "attention at level 2, wanted"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"head_width": 0}, "head_width is 0"),
        ({"embedding": -1}, "embedding is -1"),
    ],
)
def test_impossible_shapes_are_refused(wrong, words):
    with pytest.raises(UsageError, match=words):
        UNetConfig(**wrong)


def test_negative_attention_level_counts_from_the_coarsest():
    def paths(attention):
        config = UNetConfig(width=8, multipliers=(1, 2), blocks=1, attention=attention)
        network = build_network(config, channels=1, size=(8, 8), context=ContextSpec())
        return set(network.state_dict())

    assert paths((-1,)) == paths((1,)) != paths((0,))
