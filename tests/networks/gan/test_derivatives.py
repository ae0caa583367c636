"""What a gradient penalty differentiates twice: convolution, leaky ReLU, resampling."""

import pytest
import torch
import torch.nn.functional as F
from tests.oracle.mutation import mutated

from undrift.networks.gan import convolution, rectified
from undrift.networks.gan.convolution import Convolution, convolved
from undrift.networks.gan.pyramid import grown, shrunk
from undrift.networks.gan.rectified import rectified as leaky

SHAPES = [(4, 6, 3, 1, 1), (4, 6, 1, 0, 1), (4, 8, 3, 1, 2), (6, 6, 3, 1, 6), (2, 4, 3, 0, 2)]
"""Channels in and out, kernel, padding, groups."""


def seeded(*shape, seed=0):
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.requires_grad_()


def case(inward, outward, kernel, groups):
    x = seeded(2, inward, 4, 3)
    return x, seeded(outward, inward // groups, kernel, kernel, seed=1), seeded(outward, seed=2)


def penalty(convolve, x, weight):
    """A gradient penalty of a small network, with respect to its weights."""
    features = convolve(x, weight)
    (slope,) = torch.autograd.grad(features.tanh().sum(), x, create_graph=True)
    return torch.autograd.grad(slope.square().sum(), weight)[0]


@pytest.mark.parametrize(("inward", "outward", "kernel", "padding", "groups"), SHAPES)
def test_a_convolution_and_its_derivatives(inward, outward, kernel, padding, groups):
    x, weight, bias = case(inward, outward, kernel, groups)

    def value(x, weight, bias):
        return convolved(x, weight, bias, padding=padding, groups=groups)

    wanted = F.conv2d(x, weight, bias, padding=padding, groups=groups)
    torch.testing.assert_close(value(x, weight, bias), wanted)
    assert torch.autograd.gradcheck(value, (x, weight, bias), fast_mode=True)
    assert torch.autograd.gradgradcheck(value, (x, weight, bias), fast_mode=True)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_penalty_has_the_gradient_that_torch_gives_it(memory_format):
    x, weight, _ = case(4, 8, 3, 2)
    x, weight = (
        t.detach().float().contiguous(memory_format=memory_format).requires_grad_()
        for t in (x, weight)
    )
    found = penalty(lambda x, w: convolved(x, w, padding=1, groups=2), x, weight)
    wanted = penalty(lambda x, w: F.conv2d(x, w, padding=1, groups=2), x, weight)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("_Forward, z, w, None", "_Forward, z, -w, None"),
        (
            "_ForWeight, g, z, w, ctx.shape) if for_w",
            "_ForWeight, g, z, w, ctx.shape) if not for_w",
        ),
        ("_Forward, x, v, None", "_Forward, x, 2 * v, None"),
        ("_ForInput, g, x, v", "_ForInput, g, 2 * x, -v"),
    ],
)
def test_a_wrong_second_derivative_is_seen(old, new):
    x, weight, bias = case(4, 6, 3, 1)
    broken = mutated(convolution, old, new).convolved
    with pytest.raises(RuntimeError):
        torch.autograd.gradgradcheck(
            lambda *given: broken(*given, padding=1), (x, weight, bias), fast_mode=True
        )


def test_under_autocast_a_convolution_is_narrow_and_its_penalty_close():
    x, weight, _ = ((t / 4).detach().float().requires_grad_() for t in case(4, 8, 3, 2))
    exact = penalty(lambda x, w: convolved(x, w, padding=1, groups=2), x, weight)
    with torch.autocast("cpu", torch.bfloat16):
        assert convolved(x, weight, padding=1, groups=2).dtype == torch.bfloat16
        narrow = penalty(lambda x, w: convolved(x, w, padding=1, groups=2).float(), x, weight)
    assert narrow.dtype == torch.float32
    assert 1e-5 < (narrow - exact).norm() / exact.norm() < 0.02


def test_the_layer_is_torchs_but_for_its_derivatives():
    torch.manual_seed(0)
    ours = Convolution(4, 6, 3, padding=1, groups=2)
    theirs = torch.nn.Conv2d(4, 6, 3, padding=1, groups=2)
    theirs.load_state_dict(ours.state_dict())
    x = seeded(2, 4, 5, 5).detach().float()
    torch.testing.assert_close(ours(x), theirs(x))
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))


def test_a_leaky_relu_and_its_derivatives():
    x = seeded(5, 7)

    def value(x):
        return leaky(x.clone(), 0.2)

    torch.testing.assert_close(value(x), F.leaky_relu(x, 0.2))
    assert torch.autograd.gradcheck(value, (x,))
    assert torch.autograd.gradgradcheck(value, (x,))
    broken = mutated(rectified, "y, slope, True)", "y, -slope, True)").rectified
    with pytest.raises(RuntimeError):
        torch.autograd.gradcheck(lambda x: broken(x.clone(), 0.2), (x,))


def test_a_leaky_relu_is_taken_in_place():
    x = torch.tensor([-1.0, 2.0])
    assert leaky(x, 0.2) is not None and x.tolist() == pytest.approx([-0.2, 2.0])


@pytest.mark.parametrize("size", [(6, 10), (14, 14), (2, 4)])
def test_resampling_is_bilinear(size):
    """Growing is torch's; shrinking the convolution with k, the border repeated."""
    x = seeded(2, 3, *size)
    wanted = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(grown(x), wanted)
    k = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8
    kernel = torch.outer(k, k).expand(3, 1, 4, 4)
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    torch.testing.assert_close(shrunk(x), F.conv2d(padded, kernel, stride=2, groups=3))
    assert torch.autograd.gradgradcheck(shrunk, (x,), fast_mode=True)
