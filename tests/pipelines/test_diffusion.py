"""Sampling through a pipeline: what is drawn, what it costs, what is refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from tests.pipelines.models import SMALL_UNET, Own, own, small

from undrift.diffusion import VE, Flow, SubVP, VPCosine, VPLinear
from undrift.errors import DivergedError, ModelFileError, UsageError
from undrift.pipelines import DiffusionPipeline, Samples, SampleSpec
from undrift.sampling import SAMPLERS


def levels_apart(one, other):
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_and_labels_come_back(channels):
    samples = small(channels=channels)(5, labels="all")
    assert samples.images.shape == (5, 6, 5, channels)
    assert samples.images.dtype == np.uint8
    assert samples.labels.tolist() == [0, 1, 2, 0, 1]
    assert samples.labels.dtype == np.int64
    assert samples.class_names == ("ant", "bee", "cat")
    assert len(samples) == 5
    assert samples.seconds > 0
    assert samples.trajectory is None


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("labels", [None, "all", "bee"])
def test_the_first_4_of_8_are_those_of_4(sampler, labels):
    pipeline = small(config=SMALL_UNET)
    eight = pipeline(8, labels=labels, sampler=sampler, guidance=1.5)
    four = pipeline(4, labels=labels, sampler=sampler, guidance=1.5)
    assert (eight.labels[:4] == four.labels).all()
    assert levels_apart(eight.images[:4], four.images) <= 1


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "ddpm"])
def test_batches_change_nothing(sampler):
    pipeline = small(config=SMALL_UNET)
    whole = pipeline(7, sampler=sampler)
    for batch_size in (1, 3, 7, 100):
        part = pipeline(7, sampler=sampler, batch_size=batch_size)
        assert levels_apart(whole.images, part.images) <= 1
        assert part.nfe == whole.nfe


@pytest.mark.parametrize("labels", [None, "all"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_set_drawn_in_parts_is_the_set(sampler, labels):
    pipeline = small(config=SMALL_UNET)
    whole = pipeline(7, sampler=sampler, labels=labels)
    parts = [pipeline(n, first=i, sampler=sampler, labels=labels) for i, n in ((0, 3), (3, 4))]
    assert np.array_equal(np.concatenate([part.labels for part in parts]), whole.labels)
    assert levels_apart(np.concatenate([part.images for part in parts]), whole.images) <= 1
    assert parts[1].settings["first"] == 3


def test_the_same_call_gives_the_same_bytes_and_another_seed_does_not():
    pipeline = small()
    first = pipeline(4, seed=3)
    torch.manual_seed(12345)
    assert (pipeline(4, seed=3).images == first.images).all()
    assert levels_apart(pipeline(4, seed=4, labels=first.labels).images, first.images) > 20


def test_images_of_one_request_differ():
    images = small()(3, labels="ant").images
    assert levels_apart(images[0], images[1]) > 20
    assert levels_apart(images[1], images[2]) > 20


def test_labels_and_guidance_change_the_images():
    pipeline = small()
    ant, bee = (pipeline(2, labels=name).images for name in ("ant", "bee"))
    assert levels_apart(ant, bee) > 5
    assert levels_apart(pipeline(2, labels="ant", guidance=4).images, ant) > 5


@pytest.mark.parametrize(
    ("sampler", "guidance", "nfe"),
    [
        ("euler", 1, 4),
        ("dpmpp_2m", 1, 4),
        ("ddpm", 1, 4),
        ("heun", 1, 7),  # the last step takes one
        ("euler", 2, 8),
        ("heun", 2, 14),
        ("euler", 0, 4),
    ],
)
def test_nfe_is_the_networks_forwards_per_image(sampler, guidance, nfe):
    """Counted here by a hook on the network itself."""
    pipeline = small()
    rows = []
    pipeline.denoiser.network.register_forward_pre_hook(
        lambda module, args: rows.append(len(args[0]))
    )
    samples = pipeline(5, sampler=sampler, guidance=guidance, batch_size=2)
    assert samples.nfe == nfe
    assert sum(rows) / 5 == nfe


def test_settings_repeat_the_request():
    pipeline = small()
    settings = {"labels": ["cat", 0], "seed": 5, "steps": 3, "sampler": "heun", "guidance": 2.0}
    samples = pipeline(3, **settings, grid="log_snr")
    told = json.loads(json.dumps(samples.settings))
    assert {name: told[name] for name in settings} == settings
    assert (pipeline(**told).images == samples.images).all()
    by_array = pipeline(3, labels=np.array([2, 0])).settings
    assert json.loads(json.dumps(by_array))["labels"] == [2, 0]


def test_defaults_are_the_specs():
    pipeline = small()
    spec = SampleSpec(
        (1, 6, 5), pipeline.spec.class_names, steps=3, sampler="euler", grid="uniform", guidance=2.0
    )
    pipeline.model = dataclasses.replace(pipeline.model, spec=spec)
    samples = pipeline(1)
    assert samples.nfe == 6
    assert samples.settings["grid"] == "uniform"
    assert samples.settings["sampler"] == "euler"


def test_progress_counts_the_steps_of_all_batches_and_may_cancel():
    pipeline, told = small(), []
    samples = pipeline(5, batch_size=2, steps=2, on_progress=told.append)
    assert [(p.done, p.total, p.finished, p.n) for p in told] == [
        (i, 6, finished, 5) for i, finished in zip(range(1, 7), (0, 2, 2, 4, 4, 5), strict=True)
    ]
    for p in told:
        look = p.preview
        assert look.dtype == np.uint8 and p.preview is look
        images = samples.images[p.rows.start : p.rows.stop]
        assert look.shape == images.shape
        assert (look == images).all() == (p.done % 2 == 0)  # the last look is the image

    class Cancelled(Exception):
        pass

    def cancel(progress):
        raise Cancelled

    pipeline.denoiser.train()
    with pytest.raises(Cancelled):
        pipeline(5, on_progress=cancel)
    assert pipeline.denoiser.training  # and is left as it was


def test_a_preview_costs_nothing_until_it_is_looked_at(monkeypatch):
    pipeline, told = small(), []
    decoded = []
    real = pipeline.codec.decode
    monkeypatch.setattr(pipeline.codec, "decode", lambda z: decoded.append(1) or real(z))
    pipeline(2, steps=3, on_progress=told.append)
    assert len(decoded) == 1  # the images themselves
    told[0].preview  # noqa: B018
    assert len(decoded) == 2


def test_parts_joined_are_the_whole():
    pipeline = small()
    whole = pipeline(7, labels="all", seed=3, batch_size=3)
    parts = [
        pipeline(n, first=first, labels="all", seed=3, batch_size=3)
        for first, n in ((0, 3), (3, 3), (6, 1))
    ]
    joined = Samples.joined(parts)
    assert (joined.images == whole.images).all() and (joined.labels == whole.labels).all()
    assert joined.settings == whole.settings and joined.nfe == whole.nfe
    assert Samples.joined([pipeline(5, steps=2), pipeline(5, steps=4, first=5)]).nfe == 3


def test_the_fingerprint_names_weights_and_defaults():
    assert small().fingerprint == small().fingerprint
    assert small(seed=1).fingerprint != small().fingerprint
    other = small()
    spec = dataclasses.replace(other.spec, rho=5.0)
    other.model = dataclasses.replace(other.model, spec=spec)
    assert other.fingerprint != small().fingerprint


def test_dropout_is_off_while_sampling_and_modes_are_restored():
    pipeline = small()
    network = pipeline.denoiser.network
    network.register_forward_pre_hook(lambda module, args: modes.append(module.training))
    network.train()
    frozen = next(network.children()).eval()
    modes: list[bool] = []
    pipeline(2)
    assert modes and not any(modes)
    assert network.training and not frozen.training


def test_gradients_are_off_but_weights_stay_trainable():
    pipeline = small()
    seen = []
    pipeline.denoiser.network.register_forward_hook(
        lambda m, a, out: seen.append(out.requires_grad)
    )
    pipeline(1)
    assert not any(seen)
    assert torch.is_grad_enabled()
    x = torch.ones(1, 1, 6, 5)
    context = pipeline.encoder(None, 1)
    prediction = pipeline.denoiser(x, torch.tensor(0.5, dtype=torch.float64), context)
    prediction.x0.sum().backward()


def test_trajectory_runs_from_noise_to_the_images():
    pipeline = small()
    samples = pipeline(5, batch_size=2, steps=4, trajectory=5)
    way = samples.trajectory
    assert way.noisy.shape == way.denoised.shape == (4, 5, 6, 5, 1)
    assert way.t.shape == way.log_snr.shape == (4,)
    assert (np.diff(way.t) < 0).all() and (np.diff(way.log_snr) > 0).all()
    assert (way.denoised[-1] == samples.images).all()  # the last step returns D
    plain = pipeline(5, batch_size=2, steps=4)
    assert (plain.images == samples.images).all()
    three = pipeline(5, batch_size=2, steps=4, trajectory=3).trajectory
    assert (three.denoised == way.denoised[:, :3]).all() and (three.noisy == way.noisy[:, :3]).all()
    with pytest.raises(UsageError, match="trajectory True: wanted a whole number"):
        pipeline(5, trajectory=True)
    spread = way.noisy[0].astype(float).std()
    assert 35 < spread < 75  # pure noise at the data's spread, 55


@pytest.mark.parametrize(
    "schedule", [VE(), VPLinear(), VPCosine(), Flow(), SubVP()], ids=lambda s: s.kind
)
@pytest.mark.parametrize("kind", ["epsilon", "x0", "v", "flow", "edm"])
def test_every_schedule_and_parameterization_samples(schedule, kind):
    pipeline = small(schedule=schedule, kind=kind)
    for grid in ("karras", "log_snr"):
        assert np.ptp(pipeline(2, grid=grid, steps=3).images) > 0


@pytest.mark.parametrize("schedule", [VPCosine(), Flow()], ids=lambda s: s.kind)
def test_an_epsilon_network_is_not_asked_about_pure_noise(schedule):
    pipeline = small(schedule=schedule, kind="epsilon")
    with pytest.raises(UsageError, match="begins in pure noise.*use grid 'karras'"):
        pipeline(1, grid="uniform")
    small(schedule=schedule, kind="v")(1, grid="uniform")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_sampler_asks_an_epsilon_network_about_pure_noise(sampler):
    asked = []
    pipeline = small(schedule=Flow(), kind="epsilon")
    pipeline.denoiser.network.register_forward_hook(lambda m, a, out: asked.append(out))
    for grid in ("uniform", "quadratic", "trailing", "shifted:3", [1.0, 0.4, 0.0]):
        with pytest.raises(UsageError, match="begins in pure noise"):
            pipeline(1, grid=grid, sampler=sampler)
    assert not asked
    assert np.ptp(pipeline(1, grid="karras", steps=4, sampler=sampler).images) > 0


def test_a_network_of_ones_own_in_a_pipeline():
    samples = own()(3)
    assert samples.images.shape == (3, 6, 5, 1)
    assert samples.labels is None
    assert samples.class_names == ()


def test_bfloat16_is_for_the_network_only():
    pipeline = small(config=SMALL_UNET)
    outputs = []
    pipeline.denoiser.register_forward_hook(lambda m, a, out: outputs.append(out.x0.dtype))
    low = pipeline(2, labels="ant", precision="bfloat16")
    assert set(outputs) == {torch.float32}
    full = pipeline(2, labels="ant")
    assert 0 < np.abs(low.images.astype(int) - full.images).mean() < 10


def test_with_weights_makes_another_pipeline():
    pipeline, other = small(seed=0), small(seed=1)
    made = pipeline.with_weights(other.state_dict())
    assert (made(2).images == other(2).images).all()
    assert levels_apart(pipeline(2).images, made(2).images) > 5  # the first is as it was
    state = other.state_dict()
    name = next(iter(state))
    with pytest.raises(ModelFileError, match=f"{name} is missing"):
        pipeline.with_weights({n: t for n, t in state.items() if n != name})
    with pytest.raises(ModelFileError, match="network.extra is not in this model"):
        pipeline.with_weights({**state, "network.extra": state[name]})
    with pytest.raises(ModelFileError, match=r"has shape \(2,\), the model wants"):
        pipeline.with_weights({**state, name: torch.zeros(2)})


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"n": 0}, "n 0: .* at least 1"),
        ({"n": -3}, "n -3"),
        ({"n": 2.5}, "n 2.5"),
        ({"n": True}, "n True"),
        ({"steps": 0}, "steps 0: .* at least 1"),
        ({"steps": 1.5}, "steps 1.5"),
        ({"seed": -1}, "seed -1: .* at least 0"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"first": -1}, "first -1"),
        ({"guidance": float("nan")}, "guidance nan: wanted a finite"),
        ({"guidance": float("inf")}, "guidance inf"),
        ({"guidance": "2"}, "guidance '2': wanted a finite number"),
        ({"sampler": "dpm"}, "unknown sampler 'dpm'"),
        ({"grid": "cosine"}, "unknown grid 'cosine'"),
        ({"precision": "float8"}, "wanted one of float32, bfloat16"),
        ({"labels": "dog"}, "unknown label 'dog'.*ant, bee, cat"),
    ],
)
def test_wrong_values_are_refused_in_one_line(keywords, message):
    with pytest.raises(UsageError, match=message) as error:
        small()(**{"n": 2, **keywords})
    assert "\n" not in str(error.value)


def test_a_model_without_classes_refuses_labels_and_guidance():
    pipeline = small(classes=())
    assert pipeline(2).labels is None
    with pytest.raises(UsageError, match="no classes; leave labels out"):
        pipeline(2, labels="ant")
    with pytest.raises(UsageError, match="no classes and takes no prompts, numbers or maps"):
        pipeline(2, guidance=2.0)
    assert pipeline(2, guidance=1.0).nfe == 4


def test_numbers_that_are_not_finite_are_an_error_not_an_image():
    pipeline = own()
    with torch.no_grad():
        pipeline.denoiser.network.outer.weight[0, 0] = float("nan")
    with pytest.raises(DivergedError, match="not finite"):
        pipeline(1)


def test_encoder_and_spec_must_agree():
    pipeline = small()
    with pytest.raises(UsageError, match="encoder of 3 classes, spec of 2"):
        DiffusionPipeline(
            pipeline.denoiser, pipeline.encoder, pipeline.codec, SampleSpec((1, 6, 5), ("a", "b"))
        )
    with pytest.raises(UsageError, match="encoder of 0 classes, spec of 3"):
        DiffusionPipeline(own().denoiser, None, pipeline.codec, pipeline.spec)


def test_the_own_network_really_needs_plain_strides():
    """Guards the test above: channels-last input would break it."""
    x = torch.zeros(2, 3, 6, 5).contiguous(memory_format=torch.channels_last)
    with pytest.raises(RuntimeError, match="view"):
        Own()(x, torch.zeros(2))
