"""Inversion: images come back from their noise, which is Gaussian where the model is exact."""

from __future__ import annotations

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.diffusion import VE, Flow, GaussianMixture, VPCosine
from undrift.errors import UsageError
from undrift.randomness import generator
from undrift.sampling import CountedDenoiser, Euler, grid, integrate, karras
from undrift.sampling.inverse import inversion, invert, near

MIXTURE = GaussianMixture(
    torch.tensor([[[[-1.0, 0.2], [0.5, -0.4]]], [[[1.0, 0.9], [-0.7, 0.3]]]], dtype=torch.float64),
    [0.4, 0.6],
    [0.6, 0.4],
)
IMAGES = MIXTURE.sample(64, generator("inverted", 0))


def forth(schedule, x, times):
    return integrate(MIXTURE.denoiser(schedule), x, times, Euler(), schedule=schedule)


@pytest.mark.parametrize("schedule", [VE(20.0), VPCosine(), Flow()], ids=lambda one: one.kind)
@pytest.mark.parametrize("steps", [10, 40])
def test_inversion_then_sampling_returns_the_images(schedule, steps):
    times = karras(schedule, steps)
    made = invert(MIXTURE.denoiser(schedule), IMAGES, times, schedule)
    again = forth(schedule, made.x, times)
    assert (again - IMAGES).abs().max() < 1e-3
    assert made.error.max() < 1e-3 and made.error.shape == (64,)
    # neither the image itself nor anything near it
    assert (made.x / schedule(times[0]).sigma - IMAGES).abs().max() > 1


def test_sampling_then_inversion_returns_the_noise():
    schedule, times = Flow(), grid("uniform", Flow(), 20)  # from pure noise, alpha = 0
    x = torch.randn(64, 1, 2, 2, generator=generator("z", 0), dtype=torch.float64)
    made = invert(MIXTURE.denoiser(schedule), forth(schedule, x, times), times, schedule)
    torch.testing.assert_close(made.x, x, rtol=0, atol=1e-3)


def test_noise_of_real_images_is_gaussian_with_many_steps():
    images = MIXTURE.sample(2000, generator("many", 0))
    schedule, times = VPCosine(), karras(VPCosine(), 100)
    made = invert(MIXTURE.denoiser(schedule), images, times, schedule).x.flatten(1)
    assert made.mean(0).abs().max() < 4 / 2000**0.5
    assert (made.std(0) - 1).abs().max() < 0.1


def test_converged_steps_stop_early():
    counted = CountedDenoiser(MIXTURE.denoiser(VPCosine()))
    invert(counted, IMAGES, karras(VPCosine(), 40), VPCosine())
    assert counted.images < 14 * 40 * len(IMAGES)


def test_variations_lie_between_an_image_and_new_ones():
    schedule, times = VPCosine(), karras(VPCosine(), 30)
    x = invert(MIXTURE.denoiser(schedule), IMAGES, times, schedule).x
    noise = torch.randn(IMAGES.shape, generator=generator("near", 0), dtype=torch.float64)
    sigma = float(schedule(times[0]).sigma)
    apart = [
        float((forth(schedule, near(x, noise, sigma, share), times) - IMAGES).square().mean())
        for share in (0.0, 0.1, 0.4, 1.0)
    ]
    assert apart[0] < 1e-6 and apart[0] < apart[1] < apart[2] < apart[3]
    kept = near(noise, noise.flip(0), 1.0, 0.6)
    assert kept.var() == pytest.approx(1, abs=0.25)  # on the sphere, not on the line between


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(x_s - s.alpha * x0)", "(x_s - t.alpha * x0)"),
        ("(t.sigma - scale * s.sigma)", "t.sigma"),
        ("reversed([*pairwise(levels)])", "[*pairwise(levels)]"),
        ("range(MOST_ITERATIONS)", "range(1)"),  # plain DDIM inversion
    ],
)
def test_mutants_do_not_come_back(old, new):
    schedule, times = VPCosine(), karras(VPCosine(), 10)
    made = mutated(inversion, old, new).invert(MIXTURE.denoiser(schedule), IMAGES, times, schedule)
    assert not (forth(schedule, made.x, times) - IMAGES).abs().max() < 1e-2


def test_a_grid_that_does_not_end_in_data():
    with pytest.raises(UsageError, match="wanted 0"):
        invert(MIXTURE.denoiser(Flow()), IMAGES, karras(Flow(), 5)[:-1], Flow())
