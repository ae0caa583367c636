"""``inpaint`` of both families: what it keeps, depends on, costs and refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tests.claims.measures.exact import data, exact
from tests.pipelines.models import CLASSES, small
from tests.pipelines.test_gan import pipeline as gan

from undrift.codec import Standardise
from undrift.diffusion import Denoiser, Flow, GaussianMixture, VPCosine, parameterization
from undrift.errors import UsageError
from undrift.pipelines import DiffusionPipeline, Pipeline, SampleSpec
from undrift.pipelines.masked import MaskedImages

DRAWS = np.random.default_rng(0)


def photos(pipeline, n=5):
    channels, height, width = pipeline.spec.image_shape
    return DRAWS.integers(0, 256, (n, height, width, channels)).astype(np.uint8)


def region(pipeline, n=None):
    _, height, width = pipeline.spec.image_shape
    mask = DRAWS.random((n or 1, height, width)) < 0.4
    mask[:, 0, :2] = True, False
    return mask if n else mask[0]


def close(a, b):
    return np.abs(a.astype(int) - b.astype(int)).max() <= 1


MAKERS = {
    "moments": (small, {"steps": 5}),
    "repaint": (small, {"method": "repaint", "steps": 5, "resample": 2, "jump": 2}),
    "dps": (small, {"method": "dps", "steps": 5}),
    "diffpir": (small, {"method": "diffpir", "steps": 5}),
    "r3gan": (lambda: gan("r3gan"), {"iterations": 3, "candidates": 12}),
    "stylegan2": (gan, {"iterations": 3, "candidates": 12}),
}


@pytest.fixture(scope="module", params=MAKERS)
def case(request):
    make, settings = MAKERS[request.param]
    return make(), settings


def test_known_pixels_come_back_and_hidden_ones_are_painted(case):
    pipeline, settings = case
    images, mask = photos(pipeline), region(pipeline, 5)
    made = pipeline.inpaint(images, mask, variants=2, labels="all", **settings)
    assert made.images.shape == (10, *images.shape[1:]) and made.images.dtype == np.uint8
    each = made.images.reshape(5, 2, *images.shape[1:])
    for v in range(2):
        np.testing.assert_array_equal(each[:, v][~mask], images[~mask])
        assert not close(each[:, v][mask], images[mask])
    assert not close(each[:, 0], each[:, 1])
    assert made.labels.tolist() == [0, 0, 1, 1, 2, 2, 0, 0, 1, 1]
    assert made.seconds > 0 and made.nfe > 0 and made.settings["variants"] == 2


def test_what_is_hidden_does_not_matter(case):
    pipeline, settings = case
    images, mask = photos(pipeline), region(pipeline)
    other = np.where(mask[None, :, :, None], np.uint8(255) - images, images)
    made = [pipeline.inpaint(x, mask, labels="all", **settings).images for x in (images, other)]
    np.testing.assert_array_equal(*made)


def test_what_is_known_matters(case):
    pipeline, settings = case
    images, mask = photos(pipeline), region(pipeline)
    other = np.where(mask[None, :, :, None], images, np.uint8(255) - images)
    one, two = (
        pipeline.inpaint(x, mask, labels="all", **settings).images[:, mask] for x in (images, other)
    )
    assert not close(one, two)


def test_a_fill_depends_on_its_image_its_number_and_the_seed(case):
    pipeline, settings = case
    images, mask = photos(pipeline), region(pipeline, 5)
    asked = {"labels": "all", "seed": 3, **settings}
    whole = pipeline.inpaint(images, mask, variants=3, **asked).images.reshape(5, 3, -1)
    fewer = pipeline.inpaint(images, mask, variants=2, **asked).images.reshape(5, 2, -1)
    assert close(fewer, whole[:, :2])
    part = pipeline.inpaint(images[3:], mask[3:], first=3, batch_size=2, **asked)
    assert close(part.images.reshape(2, -1), whole[3:, 0])
    other = pipeline.inpaint(images, mask, **asked | {"seed": 4}).images.reshape(5, -1)
    assert not close(other, whole[:, 0])


def test_progress_is_told_with_whole_images(case):
    pipeline, settings = case
    told = []
    images, mask = photos(pipeline, 3), region(pipeline)
    asked = {"labels": "all", "batch_size": 4, **settings}
    made = pipeline.inpaint(images, mask, variants=2, on_progress=told.append, **asked)
    assert told[-1].done == told[-1].total == len(told) and told[-1].finished == told[-1].n == 6
    assert [progress.done for progress in told] == list(range(1, len(told) + 1))
    for progress in told:
        where = [i // 2 for i in progress.rows]
        np.testing.assert_array_equal(progress.preview[:, ~mask], images[where][:, ~mask])
    assert close(told[-1].preview, made.images[told[-1].rows.start :])


def test_settings_repeat_the_images(case):
    pipeline, settings = case
    images, mask = photos(pipeline, 2), region(pipeline)
    made = pipeline.inpaint(images, mask, variants=2, labels=[0, 1], **settings)
    left_out = ("n", "precision")
    again = {k: v for k, v in made.settings.items() if k not in left_out}
    if again["method"] == "inversion":
        del again["method"]
    np.testing.assert_array_equal(pipeline.inpaint(images, mask, **again).images, made.images)


def test_nothing_of_the_pipeline_is_left_in_another_mode():
    pipeline = small()
    pipeline.denoiser.network.train()
    pipeline.inpaint(photos(pipeline, 1), region(pipeline), steps=2)
    assert pipeline.denoiser.network.training
    assert all(weight.grad is None for weight in pipeline.denoiser.parameters())


# ------------------------------------------------------------------------------ diffusion


def test_cost_is_counted_in_forwards_per_fill():
    pipeline = small()
    images, mask = photos(pipeline), region(pipeline)
    assert pipeline.inpaint(images, mask, variants=2).nfe == 2 * pipeline.spec.steps
    assert pipeline.inpaint(images, mask, steps=6).nfe == 6
    guided = pipeline.inpaint(images, mask, steps=6, labels="ant", guidance=2.0)
    assert guided.nfe == 12 and guided.settings["guidance"] == 2
    # 6 steps, the last 4 of which are walked three times
    walked = pipeline.inpaint(images, mask, steps=6, method="repaint", jump=2, resample=3)
    assert walked.nfe == 2 + 4 * 3


@pytest.mark.parametrize("method", ["moments", "repaint"])
def test_without_labels_the_class_is_left_open(method):
    pipeline = small()
    images, mask = photos(pipeline), region(pipeline)
    asked = {"method": method, "steps": 4}
    made = pipeline.inpaint(images, mask, **asked)
    assert made.labels is None and made.class_names == CLASSES
    assert not close(made.images, pipeline.inpaint(images, mask, labels="ant", **asked).images)


def test_guidance_of_the_spec_is_for_labels():
    pipeline = small()
    spec = dataclasses.replace(pipeline.spec, guidance=2.0)
    pipeline.model = dataclasses.replace(pipeline.model, spec=spec)
    images, mask = photos(pipeline), region(pipeline)
    assert pipeline.inpaint(images, mask, steps=3).nfe == 3
    assert pipeline.inpaint(images, mask, steps=3, labels="ant").nfe == 6


class Wild(torch.nn.Module):
    """A network whose slope has nothing to do with any covariance."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(()))
        self.largest = 0.0

    def forward(self, x, c_noise, context=None):
        self.largest = max(self.largest, float(x.detach().abs().max()))
        return 50 * x.flip(-1)


def test_a_wild_slope_leads_nowhere_that_images_are_not():
    network = Wild()
    denoiser = Denoiser(network, VPCosine(), parameterization("x0"))
    pipeline = DiffusionPipeline(
        denoiser, None, Standardise((128.0,), (50.0,)), SampleSpec((1, 4, 4), steps=4)
    )
    pipeline.inpaint(photos(pipeline), region(pipeline))
    assert network.largest < 6  # images lie within 2.6, and noise adds 4


class Exact(torch.nn.Module):
    """A network that predicts x0 as the exact denoiser of images at one of two levels of grey."""

    def __init__(self, schedule):
        super().__init__()
        shape = (1, 4, 4)
        self.schedule = schedule
        means = torch.stack([torch.full(shape, -1.0), torch.full(shape, 1.0)])
        self.exact = GaussianMixture(means, [0.2, 0.2], [0.5, 0.5])
        self.unused = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x, c_noise, context=None):
        level = self.schedule(self.schedule.time_at(-8 * c_noise.double()))
        spread = (level.alpha**2 + level.sigma**2).sqrt().reshape(-1, 1, 1, 1)
        return self.exact.posterior_mean(x.double() * spread, level).to(x.dtype)


@pytest.mark.parametrize("schedule", [VPCosine(), Flow()], ids=lambda s: s.kind)
@pytest.mark.parametrize(
    "way",
    [{}, {"method": "repaint"}, {"sampler": "heun"}, {"method": "repaint", "grid": "uniform"}],
    ids=str,
)
def test_the_hidden_half_goes_with_the_known_one(schedule, way):
    """Data are all dark or all bright: whatever is hidden has the brightness of what is not."""
    denoiser = Denoiser(Exact(schedule), schedule, parameterization("x0"))
    pipeline = DiffusionPipeline(
        denoiser, None, Standardise((128.0,), (50.0,)), SampleSpec((1, 4, 4), steps=12)
    )
    images = np.repeat(np.array([78, 178], np.uint8), 20).reshape(40, 1, 1, 1)
    images = np.broadcast_to(images, (40, 4, 4, 1))
    mask = np.zeros((4, 4), bool)
    mask[2:] = True
    made = pipeline.inpaint(images, mask, **way).images[:, mask].astype(float)
    error = made - images[:, mask]
    assert np.abs(error.mean(axis=(1, 2))).max() < 20
    assert 6 < error.std() < 14  # 0.2 of 50 levels
    blind = pipeline(40, seed=0, sampler="ddpm").images[:, mask].astype(float)
    assert np.abs(blind - images[:, mask]).mean() > 35


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "magic"}, "wanted one of moments, repaint"),
        ({"resample": 2}, "only repaint has it"),
        ({"jump": 2}, "only repaint has it"),
        ({"method": "repaint", "jump": 40}, "nothing would be repeated"),
        ({"method": "repaint", "resample": 0}, "resample 0"),
        ({"guidance": 2.0}, "nothing to guide towards; give labels"),
        ({"sampler": "dopri5"}, "name one that takes steps"),
        ({"sampler": "learned"}, "learned for whole images"),
        ({"sampler": "ddmp"}, "ddpm"),
        ({"steps": 0}, "steps 0"),
        ({"variants": 0}, "variants 0"),
        ({"first": -1}, "first -1"),
        ({"seed": -1}, "seed -1"),
        ({"labels": "dog"}, "unknown label"),
    ],
)
def test_what_a_diffusion_model_cannot_be_asked(settings, message):
    pipeline = small()
    with pytest.raises(UsageError, match=message):
        pipeline.inpaint(photos(pipeline), region(pipeline), **settings)


# ------------------------------------------------------------------------------------ both


@pytest.mark.parametrize("make", [small, gan], ids=["diffusion", "gan"])
def test_images_and_masks_that_do_not_fit(make):
    pipeline = make()
    images, mask = photos(pipeline), region(pipeline)
    refused = [
        (images.astype(np.float32), mask, "wanted uint8"),
        (images[:, :-1], mask, "wanted uint8"),
        (images[:0], mask, "at least one"),
        (images, mask.astype(np.uint8) * 255, "mask > 127"),
        (images, mask[:-1], "wanted"),
        (images, np.stack([mask] * 4), "for each"),
        (images, np.zeros_like(mask), "the mask is empty"),
    ]
    for given, hidden, message in refused:
        with pytest.raises(UsageError, match=message):
            pipeline.inpaint(given, hidden)


def test_noise_is_named_alike_whatever_else_is_asked():
    spec = SampleSpec((1, 2, 2))
    images, mask = np.zeros((3, 2, 2, 1), np.uint8), np.ones((2, 2), bool)

    def numbers(count, variants, first=0):
        made = MaskedImages.checked(images[:count], mask, variants, first, 0, spec)
        return np.array(made.numbers(range(len(made)))).reshape(count, variants)

    whole = numbers(3, 4)
    assert len(np.unique(whole)) == 12
    assert whole[:, 0].tolist() == [0, 1, 2]  # as sampling has it
    np.testing.assert_array_equal(numbers(3, 2), whole[:, :2])
    np.testing.assert_array_equal(numbers(1, 4, first=2), whole[2:])


def test_a_family_that_cannot_inpaint_says_so():
    class Sampler(Pipeline):
        spec = weights = None
        fingerprint = ""

        def _draw(self, *request): ...
        def to(self, device): ...
        def save_pretrained(self, directory): ...

    with pytest.raises(UsageError, match="Sampler cannot inpaint"):
        Sampler().inpaint(np.zeros((1, 2, 2, 1), np.uint8), np.ones((2, 2), bool))


@pytest.mark.parametrize("method", ["moments", "repaint", "pigdm", "dps", "ddnm", "diffpir"])
def test_hidden_halves_follow_what_is_seen(method):
    images, bright = data(20, 6)
    mask = np.zeros((4, 4), np.bool_)
    mask[:, :2] = True
    filled = exact().inpaint(images, mask, method=method).images
    assert ((filled[:, :, :2].mean((1, 2, 3)) > 128) == bright.astype(bool)).mean() > 0.9
    assert not close(filled, images)
