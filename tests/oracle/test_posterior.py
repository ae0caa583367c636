"""Posterior denoisers of linear measurements against Gaussians, whose posteriors are known."""

from __future__ import annotations

import pytest
import torch
from tests.oracle.gaussian import Gaussian
from tests.oracle.mutation import mutated

from undrift.diffusion import VE, Flow, Prediction, VPCosine
from undrift.errors import UsageError
from undrift.randomness import generator
from undrift.sampling import Heun, integrate, karras
from undrift.sampling.inverse import (
    Blur,
    Downsample,
    Grey,
    Mask,
    PosteriorDenoiser,
    Projections,
    Quantise,
    measured,
    posterior,
)
from undrift.sampling.inverse.operators import InModelSpace, parse_operator

SHAPE = (3, 4, 4)
SIZE = 48
KNOWN = torch.rand(1, 1, 4, 4, generator=generator("known", 0)) < 0.6
LINEAR = [Blur(0.8), Downsample(2), Grey()]
OPERATORS = [*LINEAR, Mask(KNOWN), Projections(7), Quantise(8)]
PRIOR = Gaussian.correlated(SIZE)
WIDE = Gaussian(torch.zeros(SIZE, dtype=torch.float64), 1.7**2 * torch.eye(SIZE).double())


def images(gaussian, schedule):
    """The exact denoiser on images instead of vectors."""
    inside = gaussian.denoiser(schedule)

    def denoise(x, t):
        made = inside(x.flatten(1), t)
        return Prediction(x, made.level, made.x0.reshape(x.shape))

    return denoise


def matrix(operator):
    """A as a matrix (M, SIZE)."""
    eye = torch.eye(SIZE, dtype=torch.float64).reshape(SIZE, *SHAPE)
    return operator.apply(eye).flatten(1).T


def given(gaussian, a, y, noise):
    """Mean and covariance of the law given y = A x + n."""
    inner = a @ gaussian.covariance @ a.T + noise**2 * torch.eye(len(a), dtype=torch.float64)
    gain = (torch.linalg.pinv(inner, hermitian=True) @ a @ gaussian.covariance).T
    mean = gaussian.mean + (gain @ (y - a @ gaussian.mean).T).T
    return mean, gaussian.covariance - gain @ a @ gaussian.covariance


def expected(operator, schedule, t, noise, gaussian=PRIOR, made=PosteriorDenoiser, **settings):
    """What a rule makes of three states, and the posterior's own denoiser."""
    draws = generator("posterior", 3)
    x_t = torch.randn(3, *SHAPE, generator=draws, dtype=torch.float64)
    y = operator.apply(torch.randn(3, *SHAPE, generator=draws, dtype=torch.float64))
    denoise = made(images(gaussian, schedule), operator, y, noise, **settings)
    a = matrix(operator)
    wanted = []
    for one, state in zip(y.flatten(1), x_t, strict=True):
        mean, covariance = given(gaussian, a, one[None], noise)
        exact = images(Gaussian(mean[0], covariance), schedule)
        wanted.append(exact(state[None], t).x0[0])
    return denoise(x_t, t).x0, torch.stack(wanted)


def spelled(operator):
    return type(operator).__name__


@pytest.mark.parametrize("operator", [*OPERATORS, Blur(3.0)], ids=spelled)
def test_adjoints_are_adjoint_and_rows_keep_the_range(operator):
    draws = generator("adjoint", 1)
    x = torch.randn(2, *SHAPE, generator=draws, dtype=torch.float64)
    shape = operator.measurement_shape(SHAPE)
    y = torch.randn(2, *shape, generator=draws, dtype=torch.float64)
    assert operator.apply(x).shape[1:] == shape
    torch.testing.assert_close(
        (operator.apply(x) * y).sum(), (x * operator.adjoint(y, SHAPE)).sum()
    )
    if isinstance(operator, Projections):
        a = matrix(operator)
        torch.testing.assert_close(a @ a.T, torch.eye(len(a), dtype=torch.float64))
        return
    constant = operator.apply(torch.full((1, *SHAPE), 7.0, dtype=torch.float64))
    seen = operator.known.expand_as(constant) if isinstance(operator, Mask) else constant > 0
    torch.testing.assert_close(constant[seen], torch.full_like(constant[seen], 7.0))
    assert (constant[~seen] == 0).all()


def test_an_operator_on_pixels_is_one_on_the_model_s_space():
    scale = torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64)[None, :, None, None]
    shift = torch.tensor([1.0, -1.0, 4.0], dtype=torch.float64)[None, :, None, None]
    inside = InModelSpace(Grey(), shift, scale)
    z = torch.randn(2, *SHAPE, generator=generator(1), dtype=torch.float64)
    pixels = Grey().apply(shift + scale * z)
    torch.testing.assert_close(inside.measured(pixels, SHAPE), inside.apply(z))
    y = torch.randn(2, 1, 4, 4, generator=generator(2), dtype=torch.float64)
    torch.testing.assert_close((inside.apply(z) * y).sum(), (z * inside.adjoint(y, SHAPE)).sum())


@pytest.mark.parametrize("operator", OPERATORS, ids=spelled)
@pytest.mark.parametrize("schedule", [VE(), VPCosine(), Flow()], ids=lambda one: one.kind)
@pytest.mark.parametrize("noise", [0.1, 0.7])
def test_moments_are_exact_for_a_gaussian_once_converged(operator, schedule, noise):
    t = torch.tensor(0.6, dtype=torch.float64)
    found, wanted = expected(operator, schedule, t, noise, iterations=SIZE)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    few, _ = expected(operator, schedule, t, noise, iterations=1)
    assert (few - wanted).norm() > 100 * (found - wanted).norm()


def test_pigdm_is_exact_if_and_only_if_the_covariance_is_isotropic():
    t = torch.tensor(0.6, dtype=torch.float64)
    settings = {"rule": "pigdm", "deviation": 1.7}
    found, wanted = expected(Blur(0.8), VPCosine(), t, 0.3, WIDE, **settings)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    found, wanted = expected(Blur(0.8), VPCosine(), t, 0.3, PRIOR, **settings)
    assert (found - wanted).abs().max() > 0.05


def test_dps_is_too_sure_of_the_measurement_by_what_the_algebra_says():
    """With C = c I and s known to be large, D' - D is c A^T r / s^2, not c A^T r / (c + s^2)."""
    t, noise = torch.tensor(0.6, dtype=torch.float64), 5.0
    level = VE()(t)
    c = float(level.sigma**2 * 1.7**2 / (level.sigma**2 + 1.7**2))
    found, wanted = expected(Grey(), VE(), t, noise, WIDE, rule="dps")
    prior, _ = expected(Grey(), VE(), t, 1e6, WIDE, rule="dps")
    squared = sum(weight**2 for weight in (0.299, 0.587, 0.114))
    ratio = (c * squared + noise**2) / noise**2
    torch.testing.assert_close(found - prior, (wanted - prior) * ratio, rtol=1e-4, atol=1e-6)


def test_ddnm_meets_the_measurement_and_leaves_what_it_cannot_see():
    t = torch.tensor(0.6, dtype=torch.float64)
    for operator in (Blur(0.8), Downsample(2), Grey(), Projections(7)):
        a = matrix(operator)
        found, _ = expected(operator, VPCosine(), t, 0.5, rule="ddnm")
        free, _ = expected(operator, VPCosine(), t, 1e9, rule="diffpir")  # D itself
        seen = torch.linalg.pinv(a) @ a
        shift = (found - free).flatten(1).T
        torch.testing.assert_close(seen @ shift, shift, rtol=1e-4, atol=1e-4)
        y = operator.apply(
            torch.randn(6, *SHAPE, generator=generator("posterior", 3), dtype=torch.float64)[3:]
        )
        if not isinstance(operator, Blur):  # whose smallest singular values take more steps
            torch.testing.assert_close(operator.apply(found), y, rtol=1e-6, atol=1e-6)


def test_ddnm_is_exact_without_noise_if_the_covariance_is_isotropic():
    t = torch.tensor(0.6, dtype=torch.float64)
    for operator in (Downsample(2), Projections(9), Mask(KNOWN)):
        found, wanted = expected(operator, VPCosine(), t, 0.0, WIDE, rule="ddnm")
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)
        found, wanted = expected(operator, VPCosine(), t, 0.0, PRIOR, rule="ddnm")
        assert (found - wanted).abs().max() > 0.05
        noisy, right = expected(operator, VPCosine(), t, 1.5, WIDE, rule="ddnm")
        assert (noisy - right).abs().max() > 0.1


@pytest.mark.parametrize("schedule", [VE(), VPCosine(), Flow()], ids=lambda one: one.kind)
def test_diffpir_is_exact_for_data_without_structure_alone(schedule):
    t = torch.tensor(0.6, dtype=torch.float64)
    flat = Gaussian(torch.zeros(SIZE, dtype=torch.float64), 1e8 * torch.eye(SIZE).double())
    for operator in (Blur(0.8), Downsample(2), Mask(KNOWN)):
        found, wanted = expected(operator, schedule, t, 0.7, flat, rule="diffpir")
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
        found, wanted = expected(operator, schedule, t, 0.7, WIDE, rule="diffpir")
        assert (found - wanted).abs().max() > 0.02


def test_diffpir_is_too_sure_of_the_measurement_by_what_the_algebra_says():
    """Of C = c I it takes (sigma / alpha)^2 for c, so that D' - D is larger by both shares."""
    t, noise = torch.tensor(0.6, dtype=torch.float64), 0.7
    level, squared = VE()(t), sum(weight**2 for weight in (0.299, 0.587, 0.114))
    c, flat = float(level.sigma**2 * 1.7**2 / (level.sigma**2 + 1.7**2)), float(level.sigma**2)
    found, wanted = expected(Grey(), VE(), t, noise, WIDE, rule="diffpir")
    prior, _ = expected(Grey(), VE(), t, 1e9, WIDE, rule="diffpir")
    share = {one: one / (one * squared + noise**2) for one in (c, flat)}
    torch.testing.assert_close(
        found - prior, (wanted - prior) * share[flat] / share[c], rtol=1e-4, atol=1e-6
    )


def test_rounding_has_the_error_that_is_declared():
    few = Quantise(8)
    pixels = torch.rand(4, *SHAPE, generator=generator("even", 0), dtype=torch.float64) * 255
    rounded = measured(few, pixels)
    assert len(rounded.unique()) == 8 and rounded.min() == 0 and rounded.max() == 255
    assert float((rounded - pixels).std()) == pytest.approx(few.error, rel=0.15)
    assert torch.equal(few.apply(pixels), pixels)
    assert torch.equal(measured(Grey(), pixels), Grey().apply(pixels))


def test_samples_of_moments_have_the_posterior_s_mean_and_variance():
    operator, noise, count = Downsample(2), 0.2, 400
    a = matrix(operator)
    y = operator.apply(torch.ones(1, *SHAPE, dtype=torch.float64))
    mean, covariance = given(PRIOR, a, y.flatten(1), noise)
    schedule = VE(sigma_max=40.0)
    times = karras(schedule, 40)
    denoise = PosteriorDenoiser(
        images(PRIOR, schedule), operator, y.expand(count, -1, -1, -1), noise, iterations=16
    )
    begin = torch.randn(count, *SHAPE, generator=generator("begin", 1), dtype=torch.float64)
    x = integrate(denoise, begin * schedule(times[0]).sigma, times, Heun(), schedule=schedule)
    found = x.flatten(1)
    std = covariance.diagonal().sqrt()
    assert ((found.mean(0) - mean[0]).abs() / std * count**0.5).max() < 4.5
    torch.testing.assert_close(found.std(0) / std, torch.ones_like(std), rtol=0.2, atol=0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("level.sigma**2 / level.alpha, 0.0", "level.sigma / level.alpha, 0.0"),
        ("- self.operator.apply(x0)", "+ self.operator.apply(x0)"),
        ("x0 + shift)", "x0 - shift)"),
        ("(moved, apply, noise, residual", "(moved, apply, 0.0, residual"),
        ("vector = self.operator.adjoint", "vector = -self.operator.adjoint"),
    ],
)
def test_mutants_are_caught(old, new):
    t = torch.tensor(0.6, dtype=torch.float64)
    changed = mutated(posterior, old, new).PosteriorDenoiser
    found, wanted = expected(Blur(0.8), VPCosine(), t, 0.3, made=changed, iterations=SIZE)
    assert not (found - wanted).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("return variance * self", "return 2 * variance * self", "ddnm"),
        ("torch.ones_like(gain), 0.0, residual", "torch.ones_like(gain), noise, residual", "ddnm"),
        ("(level.sigma / level.alpha) ** 2", "(level.sigma * level.alpha) ** 2", "diffpir"),
        ("(structureless, noise, residual", "(structureless, 0.0, residual", "diffpir"),
    ],
)
def test_mutants_without_slope_are_caught(old, new, rule):
    t, noise = torch.tensor(0.6, dtype=torch.float64), {"ddnm": 1.0, "diffpir": 0.7}[rule]
    changed = mutated(posterior, old, new).PosteriorDenoiser
    real, _ = expected(Downsample(2), VPCosine(), t, noise, WIDE, rule=rule)
    found, _ = expected(Downsample(2), VPCosine(), t, noise, WIDE, changed, rule=rule)
    if (old, rule) == ("return variance * self", "ddnm"):
        torch.testing.assert_close(found, real)  # a projection has no scale
        found, _ = expected(Downsample(2), VPCosine(), t, noise, WIDE, changed, rule="diffpir")
        real, _ = expected(Downsample(2), VPCosine(), t, noise, WIDE, rule="diffpir")
    assert not (found - real).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sharpen", "wanted blur:WIDTH, downsample:FACTOR, quantise:LEVELS, grey"),
        ("blur", "give a number, as blur:2"),
        ("blur:-1", "above 0"),
        ("downsample:1", "at least 2"),
        ("downsample:x", "give a number, as downsample:4"),
        ("quantise:1", "from 2 to 256"),
    ],
)
def test_operators_that_there_are_not(text, message):
    with pytest.raises(UsageError, match=message):
        parse_operator(text)


def test_images_that_an_operator_cannot_take():
    with pytest.raises(UsageError, match="not made of such blocks"):
        parse_operator("downsample:4").measurement_shape((1, 6, 8))
    with pytest.raises(UsageError, match="red, green and blue"):
        parse_operator("grey").measurement_shape((1, 8, 8))
