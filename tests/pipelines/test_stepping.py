"""Adaptive samplers, thresholds and the analytic first step, through a pipeline."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.pipelines.models import own, small
from tests.pipelines.test_learned import learned

from undrift.codec import Codec
from undrift.diffusion import VE, Flow, VPCosine
from undrift.errors import DivergedError, UsageError
from undrift.pipelines import Samples
from undrift.sampling import ADAPTIVE


def apart(one, other):
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("sampler", ADAPTIVE)
@pytest.mark.parametrize("schedule", [VE(), VPCosine(), Flow()], ids=["ve", "vp_cosine", "flow"])
def test_an_adaptive_sampler_comes_where_many_steps_do(sampler, schedule):
    pipeline = small(schedule=schedule)
    exact = pipeline(3, sampler="dpmpp_2m", steps=300, labels="all").images
    assert apart(pipeline(3, sampler=sampler, tolerance=1e-4, labels="all").images, exact) <= 2


@pytest.mark.parametrize("sampler", ADAPTIVE)
def test_each_image_has_its_own_cost_and_nothing_to_do_with_its_batch(sampler):
    pipeline = small()
    together = pipeline(5, sampler=sampler, guidance=2.0, labels="all")
    alone = pipeline(5, sampler=sampler, guidance=2.0, labels="all", batch_size=1)
    assert apart(together.images, alone.images) <= 1
    assert (together.nfe_by_image == alone.nfe_by_image).all()
    assert (together.nfe_by_image % 2 == 0).all()  # guidance asks twice
    assert together.nfe >= together.nfe_by_image.max()  # the batch waits for its slowest
    late = pipeline(2, sampler=sampler, guidance=2.0, labels="all", first=3)
    assert (late.nfe_by_image == together.nfe_by_image[3:]).all()
    joined = Samples.joined([pipeline(3, sampler=sampler), pipeline(2, sampler=sampler, first=3)])
    assert (joined.nfe_by_image == pipeline(5, sampler=sampler).nfe_by_image).all()


def test_an_adaptive_sampler_begins_where_the_models_own_grid_does():
    pipeline, seen = small(schedule=VPCosine()), []

    def asked(x_t, t, context=None):
        seen.append(float(t.max()))
        return type(pipeline.denoiser).forward(pipeline.denoiser, x_t, t, context)

    pipeline.denoiser.forward = asked
    for grid in ("leading", "uniform", "karras"):
        object.__setattr__(pipeline.spec, "grid", grid)
        pipeline(1, sampler="dopri5", tolerance=0.1)
        first = seen[0]
        seen.clear()
        pipeline(1)
        assert first == pytest.approx(seen[0], abs=1e-9), grid
        seen.clear()


def test_a_looser_tolerance_is_cheaper_and_repeated_by_its_settings():
    pipeline = small()
    loose, tight = (pipeline(2, sampler="dopri5", tolerance=x) for x in (1e-2, 1e-5))
    assert loose.nfe < tight.nfe
    settings = json.loads(json.dumps(tight.settings))
    assert settings["tolerance"] == 1e-5
    assert "steps" not in settings and "grid" not in settings
    assert (pipeline(**settings).images == tight.images).all()
    assert pipeline(2, sampler="dpm_adaptive").settings["tolerance"] == 1e-3
    assert pipeline(2).nfe_by_image is None


def test_progress_of_an_adaptive_sampler_rises_to_its_end():
    told = []
    pipeline = small()
    samples = pipeline(
        3,
        sampler="dopri5",
        batch_size=2,
        on_progress=lambda p: told.append((p.done, p.total, p.finished, p.preview.shape)),
    )
    done = [entry[0] for entry in told]
    assert done == sorted(done)
    assert told[-1] == (2000, 2000, 3, (1, 6, 5, 1))
    assert {total for _, total, _, _ in told} == {2000}
    assert len(told) > 10
    assert len(samples) == 3


def test_the_first_evaluation_is_saved_and_changes_next_to_nothing():
    pipeline = small()
    for sampler, steps in (("dpmpp_2m", 30), ("heun", 30), ("ddpm", 30)):
        plain = pipeline(2, sampler=sampler, steps=steps)
        saved = pipeline(2, sampler=sampler, steps=steps, analytic_first_step=True)
        assert saved.nfe == plain.nfe - 1
        assert 0 < np.abs(saved.images.astype(int) - plain.images).mean() < 2
        assert saved.settings["analytic_first_step"] is True
    assert "analytic_first_step" not in plain.settings
    doubled = pipeline(1, steps=3, guidance=3.0, analytic_first_step=True)
    assert doubled.nfe == 4


def test_an_epsilon_network_may_begin_in_pure_noise_where_it_is_not_asked():
    pipeline = small(schedule=VPCosine(), kind="epsilon")
    with pytest.raises(UsageError, match="pure noise"):
        pipeline(2, grid="uniform")
    made = pipeline(2, grid="uniform", analytic_first_step=True)
    assert made.nfe == 3
    assert apart(made.images[0], made.images[1]) > 0
    pipeline(1, sampler="dopri5", tolerance=0.05)  # begins where the model's own grid does


@pytest.mark.parametrize("threshold", ["static", "dynamic", "dynamic:0.9"])
def test_a_threshold_keeps_every_denoised_image_in_the_range_of_bytes(threshold):
    pipeline = small()
    for weight in pipeline.denoiser.network.parameters():
        weight.data *= 1.5  # now its images leave the range
    wild = pipeline(3, guidance=8.0, labels="all", trajectory=3)
    seen = []

    class Watching(type(pipeline.codec)):
        def decode(self, z):
            levels = self.levels(z)
            seen.append(float(torch.maximum(-levels, levels - 255).max()))
            return super().decode(z)

    pipeline.codec.__class__ = Watching
    assert (pipeline(3, guidance=8.0, labels="all", trajectory=3).images == wild.images).all()
    assert max(seen) > 5
    seen.clear()
    for settings in ({}, {"sampler": "dopri5", "tolerance": 0.05}):
        kept = pipeline(3, guidance=8.0, labels="all", threshold=threshold, **settings)
        assert kept.settings["threshold"] == {"dynamic": "dynamic:0.995"}.get(threshold, threshold)
        assert max(seen) < 1e-2
        assert not np.array_equal(kept.images, wild.images)


class Latents(Codec):
    """Squares of 2x2 pixels as channels."""

    sigma_data = 1.0

    def latent_shape(self, image_shape):
        channels, height, width = image_shape
        return 4 * channels, height // 2, width // 2

    def encode(self, pixels):
        return torch.nn.functional.pixel_unshuffle(pixels.float(), 2)

    def levels(self, z):
        return 100 + 50 * torch.nn.functional.pixel_shuffle(z, 2)

    def log_abs_det(self, z):
        return torch.zeros(len(z), dtype=torch.float64)


@pytest.fixture
def of_latents():
    pipeline = small(channels=4, size=(3, 4))
    spec = replace(pipeline.spec, image_shape=(1, 6, 8))
    pipeline.model = replace(pipeline.model, codec=Latents(), spec=spec)
    return pipeline


def test_noise_has_the_shape_of_the_models_space_and_samples_that_of_images(of_latents):
    assert of_latents.model.latent_shape == (4, 3, 4)
    drawn = of_latents(2, trajectory=1)
    assert drawn.images.shape == (2, 6, 8, 1) and drawn.images.std() > 1
    _, noise = of_latents.bound(range(2), seed=0)
    assert noise.shape == (2, 4, 3, 4)


def test_a_threshold_needs_a_space_of_pixels(of_latents):
    with pytest.raises(UsageError, match="only pixels have a range"):
        of_latents(1, threshold="static")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampler": "dopri5", "steps": 4}, "steps 4 with sampler 'dopri5'"),
        ({"sampler": "dopri5", "grid": "karras"}, "grid 'karras' with sampler 'dopri5'"),
        ({"grid": "euler"}, "unknown grid 'euler': that is a sampler, give it as sampler; choose"),
        ({"sampler": "dopri5", "trajectory": 2}, "trajectory with sampler 'dopri5'"),
        ({"sampler": "dopri5", "analytic_first_step": True}, "analytic first step with sampler"),
        ({"sampler": "dopri5", "tolerance": 0.0}, "number above 0"),
        ({"sampler": "dopri5", "tolerance": float("nan")}, "finite number"),
        ({"sampler": "dopri5", "tolerance": True}, "finite number"),
        ({"sampler": "dopri5", "tolerance": 1e-9}, "larger tolerance"),
        ({"tolerance": 0.1}, "sampler 'dpmpp_2m' takes the steps that it is given"),
        ({"sampler": "heun", "tolerance": 0.1}, "name one of dopri5, dpmpp_adaptive"),
        ({"analytic_first_step": True, "steps": 1}, "nothing would be left"),
        ({"threshold": "hard"}, "choose static, or dynamic"),
        ({"threshold": "static:0.9"}, "choose static, or dynamic"),
        ({"threshold": "dynamic:"}, "number after the colon"),
        ({"threshold": "dynamic:x"}, "number after the colon"),
        ({"threshold": "dynamic:1.5"}, "quantile 1.5"),
    ],
)
def test_what_has_no_meaning_is_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        small()(1, **settings)


def test_a_learned_sampler_is_taken_only_as_it_was_learned():
    pipeline, steps = small(), 3
    pipeline.learned = {steps: learned(pipeline, steps)}
    assert pipeline(1, steps=steps).settings["sampler"] == "learned"
    assert pipeline(1, steps=steps, threshold="static").settings["sampler"] == "dpmpp_2m"
    saved = pipeline(1, steps=steps, analytic_first_step=True)
    assert saved.settings["sampler"] == "dpmpp_2m"
    with pytest.raises(UsageError, match="was learned without it"):
        pipeline(1, steps=steps, sampler="learned", analytic_first_step=True)
    named = pipeline(1, steps=steps, sampler="learned", threshold="static")
    assert named.settings["sampler"] == "learned"


def test_a_network_that_fails_is_a_divergence():
    pipeline = own()
    for weight in pipeline.denoiser.network.parameters():
        weight.data.fill_(float("nan"))
    with pytest.raises(DivergedError, match="not finite"):
        pipeline(1, sampler="dopri5")
