"""Two networks of one mean validation loss are told apart by noise level, and to the eye."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.report import fake_run
from tests.training.small import digits, learner, model
from torch import nn

from undrift.pipelines.diffusion.one_step import NOISE
from undrift.report.levels import contrast, contrast_over_seeds, fine_share
from undrift.training.learners.diffusion import DiffusionLearner

IMAGES = digits()


class Wrong(nn.Module):
    """The best scalar denoiser, but for a checkerboard at noise between two levels.

    Its amplitude in the clean image is the same wherever the levels are.
    """

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor, c_noise: torch.Tensor, context: object) -> torch.Tensor:
        sigma = (4 * c_noise.double()).exp()  # of the edm parameterization, which also says c_out
        c_out = sigma / (1 + sigma**2).sqrt()
        wrong = (sigma > self.low) & (sigma < self.high)
        rows, columns = torch.meshgrid(*(torch.arange(n) for n in x.shape[2:]), indexing="ij")
        board = 1.0 - 2.0 * ((rows + columns) % 2)
        return (board * (0.1 * wrong / c_out).float()[:, None, None, None]).expand(x.shape)


def wrong(low: float, high: float, seed: int = 0) -> DiffusionLearner:
    return DiffusionLearner(model(IMAGES, network=None), seed=seed, network=Wrong(low, high))


def validated(made: DiffusionLearner):
    found = made.validate(made.pipeline(), IMAGES.images, IMAGES.condition())
    event = {"event": "validation", "step": 1, "images": 16, "weights": "ema", **found}
    return fake_run.history_of([event]).validations[0]


def test_equal_means_that_differ_at_low_noise_are_told_apart():
    fine, coarse = validated(wrong(0.05, 0.13)), validated(wrong(0.05 * 128, 0.13 * 128))
    assert fine.loss == pytest.approx(coarse.loss, rel=0.005)  # 0.12 in the mean tells nothing
    found = contrast(coarse, fine)
    assert found is not None
    assert found.settled.tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert found.words().endswith(
        "more at noise 0.059 to 0.11, elsewhere no difference beyond the 95% interval"
    )
    assert contrast(fine, fine).words().startswith("no difference beyond")  # type: ignore[union-attr]


def test_standard_errors_are_those_of_the_images():
    """Against a denoiser's errors image by image, at the noisiest level."""
    made = wrong(0, 0)
    few = made.validate(made.pipeline(), IMAGES.images[:64], IMAGES.condition()[:64])
    many = made.validate(made.pipeline(), IMAGES.images[:256], IMAGES.condition()[:256])
    ratios = np.array(few["standard_errors"]) / np.array(many["standard_errors"])
    np.testing.assert_allclose(ratios, 2.0, rtol=0.35)
    # at 12 standard deviations the estimate is nearly 0, so that errors are the images' own squares
    pixels = torch.from_numpy(IMAGES.images[:256].transpose(0, 3, 1, 2).copy())
    own = made.codec.encode(pixels).square().flatten(1).mean(1).double()
    assert many["standard_errors"][-1] == pytest.approx(float(own.std()) / 16, rel=0.1)


def test_over_seeds_the_interval_is_that_of_the_runs():
    low = {seed: validated(wrong(0.05, 0.13, seed)) for seed in range(3)}
    none = {seed: validated(wrong(0, 0, seed)) for seed in range(3)}
    found = contrast_over_seeds(none, low)
    assert found is not None
    assert found.settled.tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert contrast_over_seeds(none, {7: low[0]}) is None


def test_texture_is_a_small_share_of_the_mean():
    """The scalar denoiser's error at noise r is r^2 / (1 + r^2)."""
    look = validated(wrong(0, 0))
    errors = look.noise**2 / (1 + look.noise**2)
    assert fine_share(look) == pytest.approx(errors[:5].sum() / errors.sum(), rel=0.1)
    assert errors[:5].sum() < 0.1 * errors.sum()


def test_held_out_images_denoised_in_one_step():
    right, static = wrong(0, 0), wrong(0.05, 0.15)
    found = right.one_step(right.pipeline(), IMAGES.images, IMAGES.condition())
    again = right.one_step(right.pipeline(), IMAGES.images, IMAGES.condition())
    bad = static.one_step(static.pipeline(), IMAGES.images, IMAGES.condition())
    assert found is not None and bad is not None and again is not None
    assert found.denoised.shape == (len(NOISE), 6, 8, 8, 1)
    np.testing.assert_array_equal(found.images, IMAGES.images[np.linspace(0, 1536, 6).astype(int)])
    np.testing.assert_array_equal(found.denoised, again.denoised)
    std = float(right.codec.std[0]) if hasattr(right.codec, "std") else 0.0  # levels per deviation
    for noise, estimate in zip(NOISE, found.denoised, strict=True):
        error = estimate.astype(float) - found.images
        # the scalar denoiser leaves noise / (1 + noise^2) of it, less where pixels are clipped
        assert 0.4 * noise * std < error.std() < 1.1 * noise * std
    left = bad.denoised.astype(float) - found.denoised
    assert np.abs(left[0]).max() > 5 and np.abs(left[1:]).max() == 0  # static at 0.1 alone


def test_the_picture_is_magnified_without_smoothing():
    made = learner(IMAGES)
    found = made.one_step(made.pipeline(), IMAGES.images, IMAGES.condition())
    assert found is not None
    picture = np.asarray(found.picture())
    assert picture.shape == (6 * 130 + 2, 4 * 130 + 2)
    first = picture[2:130, 2:130].reshape(8, 16, 8, 16)
    assert (first == first[:, :1, :, :1]).all()
    np.testing.assert_array_equal(first[:, 0, :, 0], found.images[0, :, :, 0])
