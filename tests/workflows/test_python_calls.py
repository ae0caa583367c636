"""The functions of ``undrift`` as Python calls them: arguments, objects, progress, settings."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.pipelines.models import small
from tests.pipelines.test_ambient import STATES
from tests.pipelines.test_arguments import ABSURD
from tests.report.fake_run import digits
from torch import nn

import undrift
from undrift import TrainingProgress
from undrift.errors import UndriftError, UsageError
from undrift.schema import to_plain

REQUIRED = {
    "train": {"source": "nowhere"},
    "evaluate": {"target": "nowhere"},
    "compare": {"data": "nowhere", "out": "made", "images": 100},
    "curve": {"target": "nowhere"},
    "tune_sampler": {"target": "nowhere", "steps": [2]},
    "bits_per_dim": {"target": "nowhere"},
}


@pytest.mark.parametrize("name", REQUIRED)
def test_every_argument_is_checked_before_anything_else(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function = getattr(undrift, name)
    arguments = list(inspect.signature(function).parameters)
    for argument in arguments:
        for value in ABSURD:
            with pytest.raises(UndriftError) as error:
                function(**{**REQUIRED[name], argument: value})
            assert "\n" not in str(error.value) and len(str(error.value)) < 500
        with pytest.raises(UsageError, match=f"^{argument} <object.*>: wanted "):
            function(**{**REQUIRED[name], argument: object()})
    assert list(tmp_path.iterdir()) == []


def noise(count: int, seed: int, channels: tuple[int, ...] = (1,)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 6, 5, *channels), dtype=np.uint8)


@pytest.mark.parametrize(
    ("target", "reference", "name"),
    [
        (small(), noise(30, 0), "DiffusionPipeline"),
        (small(classes=())(20, steps=1), noise(30, 0), "Samples"),
        (noise(20, 1), noise(30, 0), "array"),
        (noise(20, 1, ()), noise(30, 0, ()), "array"),
        (torch.from_numpy(noise(20, 1)), small()(20, steps=1), "array"),
    ],
    ids=["pipeline", "samples", "arrays", "grey arrays", "tensor and samples"],
)
def test_pipelines_samples_and_arrays_are_evaluated(target, reference, name):
    quick = {"n": 12, "metrics": ["fd", "kid"], "features": "pixels"}
    found = undrift.evaluate(target, reference=reference, **quick)
    assert found.target == name and found.samples.count == 12
    assert found.metrics["fd"].value > 0
    assert json.dumps(to_plain(found))
    both = undrift.evaluate(target, reference=reference, against=noise(20, 2), **quick | {"n": 20})
    assert both.against.target == "array" and "fd" in both.differences


def test_an_array_is_measured_as_the_file_of_it(tmp_path):
    np.savez(tmp_path / "samples.npz", images=noise(20, 1))
    np.savez(tmp_path / "real.npz", images=noise(30, 0))
    quick = {"n": 20, "metrics": "fd", "features": "pixels"}
    files = undrift.evaluate(tmp_path / "samples.npz", reference=tmp_path / "real.npz", **quick)
    arrays = undrift.evaluate(noise(20, 1), reference=noise(30, 0), **quick)
    for key in ("value", "low", "high", "floor"):
        assert getattr(arrays.metrics["fd"], key) == getattr(files.metrics["fd"], key)


@pytest.mark.parametrize(
    ("target", "keywords", "message"),
    [
        (noise(20, 1).astype(float), {}, r"target of type float64 .*: wanted uint8 images"),
        (noise(20, 1, (7,)), {}, r"target of type uint8 and shape \(20, 6, 5, 7\): wanted uint8"),
        (noise(20, 1), {"reference": small()}, "reference <DiffusionPipeline"),
        (noise(20, 1), {"reference": noise(20, 1)}, "themselves"),
        (noise(20, 1), {"split": "test"}, "which have no splits"),
        (noise(20, 1), {"label_column": "breed"}, "it goes with reference DATA"),
        (noise(20, 1), {"steps": 3}, "samples that are there already"),
        (noise(5, 1), {}, "5 samples, wanted at least 10"),
        (small(), {"ema": 0.1}, "no run; ema and weights need one"),
    ],
)
def test_arrays_that_cannot_be_evaluated(target, keywords, message):
    with pytest.raises(UsageError, match=message):
        undrift.evaluate(target, **{"reference": noise(30, 0), "n": 12, **keywords})


QUICK = {"steps": 3, "batch_size": 8, "network": "mlp", "bare": True}


def test_a_callback_is_told_of_every_update(tmp_path):
    told: list[TrainingProgress] = []
    undrift.train("digits", out=tmp_path / "run", callback=told.append, **QUICK)
    assert [(one.step, one.steps, one.images) for one in told] == [
        (1, 3, 8),
        (2, 3, 16),
        (3, 3, 24),
    ]
    assert told[0].loss is None and told[-1].loss > 0
    assert 0 <= told[0].seconds <= told[1].seconds <= told[2].seconds


def test_a_callback_that_raises_stops_a_run_that_is_then_resumed(tmp_path):
    def stop(progress: TrainingProgress) -> None:
        if progress.step == 2:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        undrift.train("digits", out=tmp_path / "run", callback=stop, checkpoint_every=1, **QUICK)
    told: list[TrainingProgress] = []
    run = undrift.train("digits", out=tmp_path / "run", callback=told.append, **QUICK)
    assert [one.step for one in told] == [2, 3] and run.trained


@pytest.mark.parametrize(
    ("keywords", "terminal", "shown"),
    [({}, False, False), ({}, True, True), ({"progress": True}, False, True),
     ({"progress": False}, True, False)],
)  # fmt: skip
def test_progress_is_shown_on_a_terminal_or_when_asked(
    keywords, terminal, shown, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("FORCE_COLOR" if terminal else "NO_COLOR", "1")
    undrift.train("digits", out=tmp_path / "run", **keywords, **QUICK)
    assert ("saved the pipeline" in capsys.readouterr().out) is shown


def test_a_network_with_another_signature_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"Linear is not called as network\(x, c_noise, context\)"):
        undrift.train("digits", network=torch.nn.Linear(2, 2), out=tmp_path / "run")


def test_a_network_made_in_inference_mode_is_refused(tmp_path):
    with torch.inference_mode():
        network = nn.Linear(2, 2)
    with pytest.raises(UsageError, match="made in torch's inference mode"):
        undrift.train("digits", network=network, out=tmp_path / "run", steps=1)


def trained(folder: Path) -> str:
    run = undrift.train("digits", out=folder, **QUICK | {"steps": 2})
    return undrift.Pipeline.from_pretrained(run.pipeline).fingerprint


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    return trained(folder / "run"), measured()


def measured() -> dict[str, object]:
    images, _ = digits()
    names = ["fd", "kid", "coverage", "memorization"]
    found = undrift.evaluate(
        images[:20], reference=images[20:60], n=20, metrics=names, features="random"
    )
    return {name: replace(metric, seconds=0) for name, metric in found.metrics.items()}


@pytest.mark.parametrize("state", STATES)
def test_the_callers_torch_settings_change_neither_weights_nor_metrics(state, clean, tmp_path):
    weights, metrics = clean
    with STATES[state]():
        assert trained(tmp_path / "run") == weights
        assert measured() == metrics


def test_the_global_random_state_is_neither_used_nor_moved(clean, tmp_path):
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert (trained(tmp_path / "run"), measured()) == clean
    assert torch.equal(torch.get_rng_state(), before)


def test_reprs_are_one_short_line(tmp_path):
    run = undrift.train("digits", out=tmp_path / "run", **QUICK)
    assert repr(run) == f"<Run {tmp_path / 'run'}: trained>"
    pipeline = undrift.Pipeline.from_pretrained(run.pipeline)
    assert repr(pipeline) == "<DiffusionPipeline: images of 8x8, 1 channel, 10 classes>"
