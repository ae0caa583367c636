"""Thresholding keeps each denoised image in the data's range, by itself alone."""

from __future__ import annotations

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.codec import Identity, Standardise
from undrift.diffusion import Flow, GaussianMixture, Prediction
from undrift.errors import UsageError
from undrift.sampling import Euler, integrate, karras, thresholding
from undrift.sampling.thresholding import DataRange, DynamicThreshold, StaticThreshold

SHAPE = (2, 3, 4, 4)
UNIT = DataRange.of(-1.0, 1.0)


def images(scale=1.0):
    made = torch.Generator().manual_seed(0)
    return scale * torch.randn(SHAPE, generator=made, dtype=torch.float64)


def always(x0):
    return lambda x_t, t, context=None: Prediction(x_t, Flow()(t), x0)


def thresholded(wrapper, x0):
    return wrapper(x0 * 0, torch.tensor(0.5, dtype=torch.float64)).x0


def test_static_clips_to_the_range_and_leaves_the_rest():
    x0 = images(2.0)
    made = thresholded(StaticThreshold(always(x0), UNIT), x0)
    assert torch.equal(made, x0.clamp(-1, 1))
    assert not torch.equal(made, x0)


def test_the_other_views_follow_the_clipped_image():
    x_t, t = images(), torch.tensor(0.5, dtype=torch.float64)
    seen = StaticThreshold(always(images(3.0)), UNIT)(x_t, t)
    torch.testing.assert_close(0.5 * seen.x0 + 0.5 * seen.epsilon, x_t)


def dynamic_is_saharias(module):
    """Each image by its own quantile: clip to [-s, s], divide by s, s at least 1."""
    x0 = images(2.0)
    x0[1] *= 0.01  # one that is inside already
    made = thresholded(module.DynamicThreshold(always(x0), UNIT, 0.9), x0)
    wanted = []
    for image in x0:
        s = max(1.0, float(torch.quantile(image.abs().flatten(), 0.9)))
        wanted.append(image.clamp(-s, s) / s)
    return torch.allclose(made, torch.stack(wanted))


def test_dynamic_is_the_papers():
    assert dynamic_is_saharias(thresholding)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (".clamp(min=1.0)", ""),
        ("clamp(-reach, reach) / reach", "clamp(-reach, reach)"),
        ("clamp(-reach, reach) / reach", "clamp(-1, 1)"),
        ("at = q *", "at = (1 - q) *"),
        (".flatten(1), self.quantile)", ".flatten()[None], self.quantile)"),  # over the batch
    ],
)
def test_mutants_of_the_dynamic_threshold_are_caught(old, new):
    assert not dynamic_is_saharias(mutated(thresholding, old, new))


def test_an_image_does_not_depend_on_its_batch_mates():
    x0 = images(2.0)
    alone = thresholded(DynamicThreshold(always(x0[:1]), UNIT), x0[:1])
    assert torch.equal(thresholded(DynamicThreshold(always(x0), UNIT), x0)[:1], alone)


def test_the_range_of_a_standardised_space_is_the_bytes_range():
    """Lopsided, and another one for each channel."""
    data = DataRange.of_codec(Standardise((20.0, 128.0, 200.0), (30.0, 60.0, 40.0)), 3)
    torch.testing.assert_close(data.low, torch.tensor([-20 / 30, -128 / 60, -200 / 40]))
    torch.testing.assert_close(data.high, torch.tensor([235 / 30, 127 / 60, 55 / 40]))
    identity = DataRange.of_codec(Identity(), 1)
    assert (float(identity.low), float(identity.high)) == (-1.0, 1.0)
    x0 = images(20.0)
    for wrapper in (StaticThreshold(always(x0), data), DynamicThreshold(always(x0), data)):
        made = thresholded(wrapper, x0)
        low, high = data.like(made)
        assert ((made >= low - 1e-6) & (made <= high + 1e-6)).all()
        assert (made.amax((0, 2, 3)) > data.high / 2).all()


def test_a_sampler_ends_in_the_range():
    mixture = GaussianMixture(torch.zeros(1, 3, 4, 4), [2.0])
    x, times = images(), karras(Flow(), 6)
    for wrapper in (StaticThreshold, DynamicThreshold):
        denoise = wrapper(mixture.denoiser(Flow()), UNIT)
        end = integrate(denoise, x, times, Euler(), schedule=Flow())
        assert end.abs().max() <= 1 + 1e-9
    free = integrate(mixture.denoiser(Flow()), x, times, Euler(), schedule=Flow())
    assert free.abs().max() > 1.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataRange.of(1.0, 1.0), "low must be below high"),
        (lambda: DataRange(torch.zeros(2), torch.ones(3)), "one number per channel"),
        (lambda: DynamicThreshold(always(images()), UNIT, 0.0), "quantile 0.0"),
        (lambda: DynamicThreshold(always(images()), UNIT, 1.5), "quantile 1.5"),
        (lambda: DataRange(torch.zeros(2), torch.ones(2)).like(images()), "2 channels"),
        (lambda: DataRange.of_codec(object(), 3), "only pixels have a range"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()
