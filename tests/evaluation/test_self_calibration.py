"""Self-calibration of a pipeline that knows its data: right methods pass, wrong ones fail."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.claims.measures.exact import CODEC, MIXTURE, SCHEDULE, SHAPE, SPREAD, Exact, exact
from tests.pipelines.models import small
from tests.pipelines.test_gan import pipeline as gan

from undrift.conditioning import ConditionEncoder, ConditionSpec
from undrift.diffusion import Denoiser, GaussianMixture, parameterization
from undrift.errors import UsageError
from undrift.evaluation.self_calibration import self_calibrate
from undrift.pipelines import DiffusionPipeline, SampleSpec
from undrift.results import SelfCalibrationResult
from undrift.version import __version__

NOISY = {"operator": "downsample:2", "noise": 20.0, "n": 40, "variants": 9}


def test_a_right_method_passes_and_a_wrong_one_is_rejected() -> None:
    right = self_calibrate(exact(40), method="moments", **NOISY)
    assert right.p_value > 0.01 and "nothing shows" in right.sentence
    assert set(right.parts) == {"mean", "square", "pattern", "residual"}
    assert right.settings["method"] == "moments" and right.nfe > 0
    wrong = self_calibrate(exact(16), method="ddnm", **NOISY)
    assert wrong.p_value < 1e-6 and "vary too little" in wrong.sentence
    assert wrong.parts["mean"].spread > 5


def test_masks_are_tested_too() -> None:
    mask = np.zeros((4, 4), np.bool_)
    mask[:, :2] = True
    found = self_calibrate(exact(16), mask=mask, n=40, variants=9)
    assert found.p_value > 0.01 and "residual" not in found.parts


class ExactOfClasses(Exact):
    """The exact denoiser of a mode where its class is given, and of both where none is."""

    def forward(self, x, c_noise, context=None):
        level = SCHEDULE(SCHEDULE.time_at(-8 * c_noise.double()))
        x_t = x.double() * (level.alpha**2 + level.sigma**2).sqrt().reshape(-1, 1, 1, 1)
        side = context.vector[:, 0].sign().reshape(-1, 1, 1, 1)
        modes = [GaussianMixture(torch.full((1, *SHAPE), side), [SPREAD]) for side in (-1.0, 1.0)]
        dark, bright = (mode.posterior_mean(x_t, level) for mode in modes)
        one = torch.where(side < 0, dark, bright)
        return torch.where(side == 0, MIXTURE.posterior_mean(x_t, level), one).to(x.dtype)


def of_classes(**spec):
    encoder = ConditionEncoder(ConditionSpec(classes=2), 2)
    with torch.no_grad():
        encoder.labels.weight[:] = torch.tensor([[0.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    denoiser = Denoiser(ExactOfClasses(), SCHEDULE, parameterization("x0"))
    given = SampleSpec(SHAPE, ("dark", "bright"), steps=8, **spec)
    return DiffusionPipeline(denoiser, encoder, CODEC, given)


RARE = {"class_frequencies": (0.95, 0.05)}


@pytest.mark.parametrize(
    ("spec", "labels"),
    [(RARE, None), ({**RARE, "guidance": 3.0}, None), ({}, "bright")],
)
def test_images_and_results_have_the_same_condition(spec, labels):
    hidden = np.ones((4, 4), np.bool_)  # nothing is known: results are drawn as the images are
    model = of_classes(**spec)
    same = {"sampler": model.spec.sampler, "labels": labels}
    found = self_calibrate(model, mask=hidden, n=40, variants=9, **same)
    assert found.p_value > 0.01
    assert found.settings.get("labels") == labels


def test_the_result_says_what_was_tested():
    made = self_calibrate(exact(8), operator="downsample:2", n=20, variants=3, seed=5, noise=100)
    assert isinstance(made, SelfCalibrationResult)
    assert (made.version, made.target, made.seed) == (__version__, "DiffusionPipeline", 5)
    assert made.settings["operator"] == "downsample:2" and made.settings["noise"] == 100
    assert 0.1 < made.clipped < 0.35  # of a normal error of 100 levels around 88 and 168
    assert "clipped" in made.warning
    few = self_calibrate(exact(8), operator="downsample:2", n=20, variants=3, noise=5)
    assert few.clipped == 0 and few.warning is None


def test_the_same_seed_gives_the_same_ranks_in_any_batches() -> None:
    few = {"operator": "downsample:2", "n": 20, "variants": 3, "method": "ddnm"}
    one, other = (self_calibrate(exact(8), batch_size=size, **few) for size in (4, 64))
    assert one.parts == other.parts


def test_what_it_refuses() -> None:
    with pytest.raises(UsageError, match="one of operator, as blur:2, and mask"):
        self_calibrate(small())
    with pytest.raises(UsageError, match="n 10"):
        self_calibrate(small(), operator="blur:1", n=10)
    with pytest.raises(UsageError, match="a GAN cannot edit"):
        self_calibrate(gan("r3gan"), operator="blur:1", n=20, variants=3)
