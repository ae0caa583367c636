"""Fills are measured rightly: on arrays by hand, and on a model that knows its data."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from tests.claims.measures.exact import SPREAD, data, exact, generator_of_modes
from tests.oracle.mutation import mutated

from undrift.claims.measures import inpainting
from undrift.claims.measures.inpainting import inpainted_in_equal_time, quality
from undrift.errors import UsageError
from undrift.pipelines import GANPipeline, Samples
from undrift.results.claims import InpaintingQuality
from undrift.schema import from_plain, to_plain

HALF = np.zeros((4, 4), bool)
HALF[2:] = True


def inpainted(images):
    return Samples(images, None, (), nfe=7.0, seconds=3.0, settings={"seed": 0})


def by_hand(module=inpainting):
    """Two images of 2 x 2 with one hidden pixel each, three completions."""
    truth = np.full((2, 2, 2, 1), 100, np.uint8)
    mask = np.zeros((2, 2, 2), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    completions = np.repeat(truth, 3, axis=0)
    completions[:3, 0, 0, 0] = 90, 110, 130
    completions[3:, 1, 1, 0] = 100, 100, 160
    completions[:3, 1, 0, 0] = 0  # not hidden: must not be looked at
    return module.quality(inpainted(completions), truth, mask, 3)


def test_by_hand():
    made = by_hand()
    errors = np.array([(100 + 100 + 900) / 3, 3600 / 3])
    differences = np.array([(400 + 400 + 1600) / 3, (0 + 3600 + 3600) / 3])
    assert made.rmse.value == pytest.approx(errors.mean() ** 0.5)
    assert made.psnr.value == pytest.approx(10 * math.log10(255**2 / errors.mean()))
    assert made.diversity.value == pytest.approx(differences.mean() ** 0.5)
    assert made.calibration.value == pytest.approx(differences.mean() / errors.mean())
    assert made.psnr_of_mean.value == pytest.approx(10 * math.log10(255**2 / (500 / 2)))
    assert (
        made.seconds_per_completion == 0.5 and made.nfe == 7 and made.n == 2 and made.variants == 3
    )
    for estimate in (made.rmse, made.psnr, made.diversity, made.calibration):
        assert estimate.low < estimate.value < estimate.high


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("np.broadcast_to(mask", "np.broadcast_to(~mask"),
        ("/ (variants - 1)", "/ variants"),
        ("2 * squared(each - middle", "squared(each - middle"),
        ("squared(middle - images)", "error"),
        (".mean(axis=1)  # (1)", ".min(axis=1)  # (1)"),
        ("_ratio(spread, error)", "_ratio(error, spread)"),
    ],
)
def test_mutants_measure_something_else(old, new):
    made, wanted = by_hand(mutated(inpainting, old, new)), by_hand()
    names = ("rmse", "psnr_of_mean", "diversity", "calibration")
    found = [getattr(made, name).value / getattr(wanted, name).value for name in names]
    assert max(abs(ratio - 1) for ratio in found) > 0.02


def test_a_model_that_knows_its_data_is_calibrated():
    images, _ = data(150, 5)
    completions = exact().inpaint(images, HALF, variants=3, sampler="heun", steps=100)
    made = quality(completions, images, HALF, 3)
    # original and completion are both SPREAD of 40 pixel values from the mean of their mode
    apart = math.sqrt(2) * SPREAD * 40
    assert made.rmse.value == pytest.approx(apart, rel=0.06)
    assert made.diversity.value == pytest.approx(apart, rel=0.06)
    assert made.calibration.value == pytest.approx(1, abs=0.15)
    assert made.calibration.high - made.calibration.low < 0.2
    # of three completions the mean is off by (1 + 1/3) in place of 2 variances
    gain = 10 * math.log10(2 / (4 / 3))
    assert made.psnr_of_mean.value - made.psnr.value == pytest.approx(gain, abs=0.2)
    assert made.nfe == 199  # the last step needs no second evaluation


def test_inpainting_that_ignores_the_known_pixels_is_seen():
    images, _ = data(100, 5)
    blind = exact()(300, seed=0).images
    completions = np.where(HALF[None, :, :, None], blind, np.repeat(images, 3, axis=0))
    made = quality(inpainted(completions), images, HALF, 3)
    seen = quality(exact().inpaint(images, HALF, variants=3), images, HALF, 3)
    assert made.rmse.value > 3 * seen.rmse.value


def test_intervals_hold_the_truth_as_often_as_they_say():
    """e and d of made-up completions whose expectations are known."""
    draws = np.random.default_rng(0)
    truth = np.full((40, 4, 4, 1), 128, np.uint8)
    held = {"rmse": 0, "calibration": 0}
    for _ in range(200):
        common = draws.normal(0, 15, (40, 1, 4, 4, 1))
        own = draws.normal(0, 10, (40, 3, 4, 4, 1))
        completions = np.clip(np.round(128 + common + own), 0, 255).astype(np.uint8)
        made = quality(inpainted(completions.reshape(120, 4, 4, 1)), truth, HALF, 3)
        rounding = 1 / 12
        error, difference = 225 + 100 + rounding, 2 * (100 + rounding)
        for name, wanted in (("rmse", error**0.5), ("calibration", difference / error)):
            found = getattr(made, name)
            held[name] += found.low <= wanted <= found.high
    assert all(200 * 0.95 - 4 * 3.1 <= count for count in held.values()), held


def test_one_completion_has_no_diversity_and_no_error_no_decibels():
    images, _ = data(4, 3)
    made = quality(inpainted(images), images, HALF, 1)
    assert made.diversity is None and made.calibration is None and made.psnr_of_mean is None
    assert made.psnr is None and made.rmse.value == 0
    several = quality(inpainted(np.repeat(images, 2, axis=0)), images, HALF, 2)
    assert several.calibration is None and several.diversity.value == 0


def test_it_is_plain_data():
    plain = json.loads(json.dumps(to_plain(by_hand()), allow_nan=False))
    assert to_plain(from_plain(InpaintingQuality, plain, "")) == plain


class Timed(GANPipeline):
    """A GAN that remembers how much time it was given."""

    seconds = None

    def inpaint(self, *arguments, seconds=None, **settings):
        self.seconds = seconds
        return super().inpaint(*arguments, seconds=seconds, **settings)


def test_a_gan_gets_the_time_of_the_diffusion_model():
    plain = generator_of_modes()
    parts = (plain.generator, plain.encoder, plain.codec, plain.spec)
    timed = Timed(*parts, network_config=plain.network_config)
    images, _ = data(6, 3)
    pipelines = {"diffusion": exact(4), "modes": timed}
    made = inpainted_in_equal_time(pipelines, images, HALF, variants=2)
    assert list(made) == ["diffusion", "modes"]
    first = made["diffusion"]
    assert timed.seconds == first.seconds > 0 and first.nfe == 8
    assert all(len(samples.images) == 12 for samples in made.values())
    assert made["modes"].settings["iterations"] >= 0
    with pytest.raises(UsageError, match="a diffusion model has no such setting"):
        inpainted_in_equal_time({"one": exact(4), "other": exact(4)}, images, HALF, variants=1)


def test_what_cannot_be_measured():
    images, _ = data(4, 3)
    hidden = np.stack([HALF, HALF, HALF, ~HALF & HALF])
    with pytest.raises(UsageError, match="mask is empty for some images"):
        quality(inpainted(images), images, hidden, 1)
    with pytest.raises(UsageError, match="2 or more"):
        quality(inpainted(images[:1]), images[:1], HALF, 1)
