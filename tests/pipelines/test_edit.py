"""``edit``: images sampled anew from a noise level, and measurements restored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.claims.measures.exact import SPREAD, data, exact
from tests.pipelines.models import small
from tests.pipelines.test_gan import pipeline as gan
from tests.pipelines.test_numbers import ANGLE
from tests.pipelines.test_prompts import TEXT

from undrift.errors import UsageError
from undrift.sampling.inverse import Downsample, parse_operator

DRAWS = np.random.default_rng(0)


def photos(n=5, channels=1):
    """The same whatever ran before."""
    return np.random.default_rng(0).integers(0, 256, (n, 6, 5, channels)).astype(np.uint8)


def close(a, b):
    return np.abs(a.astype(int) - b.astype(int)).max() <= 1


def test_an_operator_of_ones_own_is_restored_as_the_built_in_one(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lens.py").write_text(
        "import torch.nn.functional as F\n"
        "half = lambda x: F.avg_pool2d(x, 2)\n"
        "square = lambda x: x * x\n"
        "mixed = lambda x: x.flip(0)\n"
        "clipped = lambda x: x.clamp(max=128)\n"
        "folded = lambda x: x.relu()\n"
        "added = lambda x: x.cumsum(0)\n"
        "detached = lambda x: x.detach()\n"
        "half_detached = lambda x: x / 2 + x.detach() / 2\n"
        "whole = lambda x: x.long()\n"
        "nothing = lambda x: x[..., :0]\n"
        "flat = lambda x: x.flatten(1)\n"
        "def broken(x):\n    raise ValueError('no film')\n"
    )
    own, built = parse_operator("lens:half"), parse_operator("downsample:2")
    assert own.measurement_shape((1, 6, 4)) == (1, 3, 2)
    y = torch.from_numpy(DRAWS.normal(size=(2, 1, 3, 2)))
    torch.testing.assert_close(own.adjoint(y, (1, 6, 4)), built.adjoint(y, (1, 6, 4)))
    pipeline = small(size=(6, 4))
    seen = DRAWS.integers(0, 256, (2, 3, 2, 1)).astype(np.uint8)
    for method in ("moments", "pigdm", "dps", "ddnm"):
        one, other = (
            pipeline.edit(seen, operator=name, method=method, variants=1, steps=3).images
            for name in ("lens:half", "downsample:2")
        )
        assert close(one, other), method
    for name, words in (
        ("square", "it is not linear"),
        ("clipped", "it is not linear"),
        ("folded", "it is not linear"),
        ("mixed", "an image's result depends on other images"),
        ("added", "an image's result depends on other images"),
        ("detached", r"torch cannot differentiate it \(element 0 of tensors does not"),
        ("half_detached", "<Ax, y> is not <x, A'y>"),
        ("whole", "it returned torch.int64, wanted a tensor of floating type"),
        ("nothing", "wanted four dimensions, .* at least one value"),
        ("flat", "wanted four dimensions"),
        ("broken", r"it failed \(no film\)"),
        ("missing", "lens has no function 'missing'"),
    ):
        with pytest.raises(UsageError, match=words):
            pipeline.edit(seen, operator=f"lens:{name}")
    with pytest.raises(UsageError, match="cannot import 'nolens'"):
        pipeline.edit(seen, operator="nolens:half")


@pytest.mark.parametrize("settings", [{"strength": 0.5}, {"operator": "blur:1", "noise": 4.0}])
def test_a_fill_depends_on_its_image_seed_and_number_alone(settings):
    pipeline, images = small(), photos()
    made = pipeline.edit(images, variants=2, seed=3, **settings)
    assert made.images.shape == (10, 6, 5, 1) and made.nfe > 0
    part = pipeline.edit(images[2:4], variants=2, seed=3, first=2, batch_size=1, **settings)
    assert close(part.images, made.images[4:8])
    assert not close(made.images[0], made.images[1])
    assert not close(pipeline.edit(images, seed=4, **settings).images, made.images[::2])
    assert made.settings.items() >= {"variants": 2, "seed": 3, **settings}.items()


def test_strength_is_how_much_is_sampled_anew():
    pipeline, images = exact(), data(40, 5)[0]
    apart = []
    for strength in (0.0, 0.2, 0.5, 1.0):
        made = pipeline.edit(images, strength=strength)
        apart.append(np.abs(made.images.astype(float) - images).mean())
    assert apart[0] == 0 and apart[1] < apart[2] < apart[3]
    assert pipeline.edit(images, strength=0.0).nfe == 0
    for steps, strength in ((50, 0.14), (100, 0.07)):  # 7, though the product is a little more
        assert pipeline.edit(images[:1], strength=strength, steps=steps).nfe == 7
    same = (made.images.mean((1, 2, 3)) > 128) == (images.mean((1, 2, 3)) > 128)
    assert 0.2 < same.mean() < 0.8  # from pure noise the mode is drawn anew


def test_the_noise_of_an_image_leads_back_to_it():
    pipeline, images = exact(), data(12, 5)[0]
    back = pipeline.edit(images, like=1e-9, variants=2, batch_size=5)
    assert close(back.images, np.repeat(images, 2, axis=0))
    assert back.settings["inversion_error"] < 0.1 and back.settings["sampler"] == "euler"
    same = pipeline.edit(images, like=0.0, variants=2)
    np.testing.assert_array_equal(same.images, np.repeat(images, 2, axis=0))
    assert same.nfe == 0 and "inversion_error" not in same.settings
    apart = [
        np.abs(pipeline.edit(images, like=share).images.astype(float) - images).mean()
        for share in (0.1, 0.4, 1.0)
    ]
    assert 0.5 < apart[0] < apart[1] < apart[2]
    part = pipeline.edit(images[4:6], like=0.3, first=4, variants=2)
    whole = pipeline.edit(images, like=0.3, variants=2)
    assert close(part.images, whole.images[8:12])


def test_the_error_of_an_inversion_is_that_of_the_whole_way_back():
    pipeline, images = small(), photos(4)  # whose steps do not all converge
    back = pipeline.edit(images, like=1e-9, steps=10, labels="bee", guidance=60.0)
    missed = np.square(back.images.astype(float) - images).mean((1, 2, 3)) ** 0.5
    assert missed.max() > 5
    assert back.settings["inversion_error"] == pytest.approx(missed.max(), rel=0.02)


def test_what_was_measured_is_kept_and_the_rest_is_sampled():
    images, bright = data(8, 6)
    pixels = np.repeat(images, 20, axis=0).astype(float)
    low = images.astype(float).reshape(8, 16).mean(1)
    y = np.round(low).astype(np.uint8).reshape(8, 1, 1, 1)
    made = exact(48).edit(y, operator="downsample:4", variants=20, iterations=1).images
    means = made.reshape(8, 20, 16).mean(2)
    assert np.abs(means - y.reshape(8, 1)).max() < 1.5
    spread = made.reshape(8, 20, 16).std(1, ddof=1).mean() / 40
    assert spread == pytest.approx(SPREAD * (1 - 1 / 16) ** 0.5, rel=0.12)
    assert ((means > 128) == bright[:, None].astype(bool)).all()
    assert pixels.shape == made.shape


@pytest.mark.parametrize("method", ["moments", "pigdm", "dps"])
def test_every_method_comes_near_the_measurement(method):
    images, _ = data(6, 7)
    operator = Downsample(2)
    y = images.reshape(6, 2, 2, 2, 2).mean((2, 4)).round().astype(np.uint8)[..., None]
    assert operator.measurement_shape((1, 4, 4)) == (1, 2, 2)
    made = exact(48).edit(y, operator="downsample:2", method=method).images
    again = made.reshape(6, 2, 2, 2, 2).mean((2, 4))
    assert np.abs(again - y[..., 0]).mean() < (3 if method == "dps" else 1)


def test_a_measurement_may_have_values_between_and_beyond_those_of_pixels():
    images, _ = data(6, 7)
    y = images.reshape(6, 2, 2, 2, 2).mean((2, 4))[..., None]
    assert (y % 1).any()
    made = exact(48).edit(y, operator="downsample:2").images
    again = made.reshape(6, 2, 2, 2, 2).mean((2, 4))
    assert np.abs(again - y[..., 0]).mean() < 1
    low = small().edit(np.full((1, 6, 5, 1), -40.0), operator="blur:1", steps=3).images
    none = small().edit(np.full((1, 6, 5, 1), 0, np.uint8), operator="blur:1", steps=3).images
    assert (low != none).any()
    for settings in ({"strength": 0.5}, {"strength": 0.0}, {"like": 0.2}):
        with pytest.raises(UsageError, match=r"images float64 .*, wanted uint8 \(n, 6, 5, 1\)"):
            small().edit(np.zeros((1, 6, 5, 1)), **settings)
    with pytest.raises(UsageError, match="not finite"):
        small().edit(np.full((1, 6, 5, 1), np.nan), operator="blur:1")
    with pytest.raises(UsageError, match="int64 .*, wanted uint8 or, of an operator, floating"):
        small().edit(np.zeros((1, 6, 5, 1), int), operator="blur:1")


def test_colours_are_restored_from_grey():
    made = small(channels=3).edit(photos(2), operator="grey")
    assert made.images.shape == (2, 6, 5, 3)
    grey = made.images.astype(float) @ np.array([0.299, 0.587, 0.114])
    assert grey.shape == (2, 6, 5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give one of operator, as blur:2, strength, as 0.6, and like"),
        ({"like": 1.5}, "like 1.5: give a share"),
        ({"like": 0.5, "strength": 0.5}, "give one of"),
        ({"like": 0.5, "sampler": "heun"}, "its steps are Euler's"),
        ({"operator": "blur:2", "strength": 0.5}, "give one of"),
        ({"strength": 1.5}, "strength 1.5: give a share from 0 to 1"),
        ({"operator": "sharpen"}, "wanted blur:WIDTH"),
        ({"operator": "downsample:4"}, "not made of such blocks"),
        ({"operator": "grey"}, "red, green and blue"),
        ({"operator": "blur:1", "noise": -1.0}, "noise -1.0"),
        ({"operator": "blur:1", "iterations": 0}, "iterations 0"),
        ({"operator": "blur:1", "method": "best"}, "method 'best': wanted one of moments"),
        ({"strength": 0.5, "sampler": "dopri5"}, "chooses its own steps"),
        ({"strength": 0.5, "guidance": 3.0}, "nothing to guide towards; give labels$"),
        ({"strength": 0.5, "truncation": 0.5}, "a diffusion model has no such setting"),
        ({"strength": 0.5, "variants": 0}, "variants 0"),
    ],
)
def test_what_it_refuses(settings, message):
    with pytest.raises(UsageError, match=message):
        small().edit(photos(), **settings)


@pytest.mark.parametrize(
    ("model", "kinds"),
    [
        ({"classes": (), "text": TEXT}, "a prompt"),
        ({"classes": (), "numbers": (ANGLE,)}, "numbers"),
        ({"text": TEXT, "numbers": (ANGLE,)}, "labels, a prompt or numbers"),
    ],
)
def test_guidance_needs_what_the_model_takes(model, kinds):
    with pytest.raises(UsageError, match=f"guidance 3.0: .* give {kinds}$"):
        small(**model).edit(photos(), strength=0.5, guidance=3.0)
    with pytest.raises(UsageError, match="nothing to guide towards; leave it out"):
        small(classes=()).edit(photos(), strength=0.5, guidance=3.0)


def test_images_of_another_shape_and_families_that_cannot():
    with pytest.raises(UsageError, match=r"wanted uint8 \(n, 6, 5, 1\)"):
        small().edit(np.zeros((2, 5, 6, 1), np.uint8), strength=0.5)
    with pytest.raises(UsageError, match="makes images of 5x6 pixels and 1 channels.* got 6x5"):
        small().edit(np.zeros((2, 5, 6, 1), np.uint8), operator="blur:1")
    with pytest.raises(UsageError, match="a GAN cannot edit images"):
        gan("r3gan").edit(np.zeros((2, 8, 12, 3), np.uint8), strength=0.5)
    assert parse_operator("gray") == parse_operator("grey")
