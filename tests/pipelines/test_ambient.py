"""The caller's torch settings change neither images nor scores, and come back as they were."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from tests.pipelines.models import SMALL_UNET, small
from tests.pipelines.test_gan import pipeline as gan

from undrift.likelihood import BoundMethod, FlowMethod, LikelihoodRequest
from undrift.pipelines import Pipeline

NOISES = ("dpmpp_2m", "ddpm", "dpmpp_sde", "deis", "unipc", "heun_churn", "predictor_corrector")
IMAGES = np.arange(60, dtype=np.uint8).reshape(2, 6, 5, 1)
MASK = np.arange(30).reshape(6, 5) % 3 == 0
GAN_IMAGES = np.arange(2 * 8 * 12 * 3, dtype=np.uint8).reshape(2, 8, 12, 3)


@contextlib.contextmanager
def set_back(setting: Callable[[object], None], value: object, before: object) -> Iterator[None]:
    setting(value)
    try:
        yield
    finally:
        setting(before)


def default_dtype(dtype: torch.dtype) -> contextlib.AbstractContextManager[None]:
    return set_back(torch.set_default_dtype, dtype, torch.float32)


STATES: dict[str, Callable[[], contextlib.AbstractContextManager[object]]] = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "default device": lambda: set_back(torch.set_default_device, "meta", None),
    "device": lambda: torch.device("meta"),
    "inference": torch.inference_mode,
    "no gradients": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic": lambda: set_back(torch.use_deterministic_algorithms, True, False),
}


def sampled(pipeline: Pipeline) -> list[np.ndarray]:
    ways = [{"sampler": name} for name in NOISES]
    ways += [{"sampler": "dopri5", "tolerance": 0.1}, {"guidance": 2.0, "labels": "bee"}]
    ways += [{"precision": "bfloat16"}, {"threshold": "dynamic"}, {"analytic_first_step": True}]
    ways += [{"grid": name} for name in ("beta", "trailing", "shifted:5", "log_snr")]
    made = [pipeline(1, steps=None if "tolerance" in way else 3, **way).images for way in ways]
    return [*made, pipeline(2, trajectory=2).trajectory.noisy]


def inpainted(pipeline: Pipeline) -> list[np.ndarray]:
    return [
        pipeline.inpaint(IMAGES, MASK, steps=2, variants=2, **way).images
        for way in ({}, {"method": "repaint", "jump": 1}, {"labels": "ant", "guidance": 2.0})
    ]


def scored(pipeline: Pipeline) -> list[np.ndarray]:
    bound, flow = BoundMethod(4), FlowMethod(points=3, trace="hutchinson")
    ways = [(bound, "none"), (bound, "marginal"), (BoundMethod(4, 5), "none"), (flow, "none")]
    ways += [(FlowMethod(points=2, trace="exact"), "none")]
    return [
        pipeline.likelihood(255 * (IMAGES % 2), LikelihoodRequest(method, 2, classes)).nats
        for method, classes in ways
    ]


def of_a_gan(pipeline: Pipeline) -> list[np.ndarray]:
    search = {"candidates": 4, "restarts": 2, "iterations": 2}
    mask = GAN_IMAGES[..., 0] > 99
    return [pipeline(2).images, pipeline.inpaint(GAN_IMAGES, mask, **search).images]


TASKS = {"sample": sampled, "inpaint": inpainted, "likelihood": scored, "gan": of_a_gan}


@functools.cache
def made(task: str) -> Pipeline:
    if task == "gan":
        return gan("r3gan")
    return small() if task == "likelihood" else small(config=SMALL_UNET)


@functools.cache
def clean(task: str) -> list[np.ndarray]:
    return TASKS[task](made(task))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("task", TASKS)
def test_the_callers_torch_settings_change_nothing(task, state):
    wanted = clean(task)
    with STATES[state]():
        before = settings()
        found = TASKS[task](made(task))
        assert settings() == before
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("state", STATES)
def test_nor_does_loading(state, tmp_path):
    fresh = small()
    for name, pipeline in (("diffusion", small()), ("gan", gan("stylegan2"))):
        pipeline.save_pretrained(tmp_path / name)
        with STATES[state]():
            loaded = Pipeline.from_pretrained(tmp_path / name)
            assert loaded.fingerprint == pipeline.fingerprint
            again = fresh.with_weights(pipeline.state_dict()) if name == "diffusion" else loaded
            again.save_pretrained(tmp_path / name)
        assert (loaded(2).images == pipeline(2).images).all()
        assert not any(weight.is_inference() for weight in loaded.state_dict().values())
        loaded.inpaint(
            np.zeros((1, *loaded(1).images.shape[1:]), np.uint8),
            np.ones(loaded(1).images.shape[1:3], bool),
            **({"steps": 1} if name == "diffusion" else {"iterations": 1, "candidates": 2}),
        )


@pytest.mark.parametrize("task", TASKS)
def test_the_global_random_state_is_neither_used_nor_moved(task):
    wanted = clean(task)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    numpy_before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state that others may use
    found = TASKS[task](made(task))
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def settings() -> tuple[object, ...]:
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.are_deterministic_algorithms_enabled(),
    )
