"""What becomes of an ``--out`` that holds something already, and of runs that are stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from tests.training.small import ALONE
from torch import Tensor, nn

import undrift
from undrift.errors import DataError, ModelFileError, UsageError
from undrift.files.lock import FileLock
from undrift.options.train import TrainOptions
from undrift.runs.directory import RunDirectory
from undrift.runs.events import read_events
from undrift.runs.loading import load_pipeline, load_spelled
from undrift.runs.log import RunLog
from undrift.runs.recipes import resolve
from undrift.training.checkpoint import CheckpointStore
from undrift.training.signals import StopSignals
from undrift.workflows import closing, planning


@pytest.fixture(autouse=True)
def short_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight samples for the first metrics instead of a thousand."""
    monkeypatch.setattr(closing, "FEWEST", 8)
    monkeypatch.setattr(closing, "PIXELS", 0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of four steps of the MLP recipe."""
    directory = tmp_path_factory.mktemp("runs") / "finished"
    before = closing.FEWEST, closing.PIXELS
    closing.FEWEST, closing.PIXELS = 8, 0
    undrift.train("digits", out=directory, steps=4, network="mlp")
    closing.FEWEST, closing.PIXELS = before
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != "LOCK"
    }


def weights(directory: Path, step: int) -> dict[str, Tensor]:
    return CheckpointStore(directory / "checkpoints").load(step).tensors["network"]


def test_a_finished_run_holds_what_it_promises(finished: Path) -> None:
    for name in (
        "config.yaml",
        "environment.json",
        "data.json",
        "status.json",
        "metrics.jsonl",
        "log.txt",
        "samples/step_000004_ema.png",
        "samples/step_000004_raw.png",
        "samples/step_000004_one_step.png",
        "checkpoints/step-000004/MANIFEST.json",
        "ema/step-000004/MANIFEST.json",
        "pipeline/config.json",
        "evaluation/first.json",
        "grid.png",
        "report.html",
    ):
        assert (finished / name).is_file(), name
    assert json.loads((finished / "status.json").read_text())["state"] == "done"
    events = [event.kind for event in read_events(finished / "metrics.jsonl")]
    assert events[:2] == ["expectation", "start"]
    assert {"train", "validation", "grid", "checkpoint", "done"} <= set(events)
    assert not list(finished.rglob("*.pkl")) and not list(finished.rglob("*.pt"))
    log = (finished / "log.txt").read_text()
    said = [line.split("  ", 1)[1] for line in log.splitlines()]
    stages = ("expect noise", "saved the pipeline", "saving a sample grid", "drawing 8 samples")
    stages += ("fitting features", "evaluating 8 samples", "testing what these", "writing the")
    places = [next(k for k, line in enumerate(said) if line.startswith(word)) for word in stages]
    assert places == sorted(places)


def test_a_bare_run_ends_with_its_pipeline(finished: Path, tmp_path: Path) -> None:
    run = undrift.train("digits", out=tmp_path / "run", steps=4, network="mlp", bare=True)
    assert not run.report.exists() and not (run.directory / "evaluation").exists()
    assert (run.directory / "grid.png").exists()
    ours, theirs = (load_pipeline(place).state_dict() for place in (run.directory, finished))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert RunDirectory(run.directory).status().state == "done"


def test_a_finished_run_is_left_alone(finished: Path) -> None:
    before = contents(finished)
    run = undrift.train("digits", out=finished, steps=4, network="mlp")
    assert not run.trained
    assert contents(finished) == before


def test_other_settings_are_refused_by_name(finished: Path) -> None:
    before = contents(finished)
    with pytest.raises(UsageError, match=r"model.flip was False and is now True"):
        undrift.train("digits", out=finished, steps=4, network="mlp", flip=True)
    with pytest.raises(UsageError, match=r"training.steps was 4 and is now 5"):
        undrift.train("digits", out=finished, steps=5, network="mlp")
    assert contents(finished) == before


def test_the_configuration_repeats_the_run(finished: Path, tmp_path: Path) -> None:
    undrift.train(config=finished / "config.yaml", out=tmp_path / "again")
    for name, tensor in weights(finished, 4).items():
        assert torch.equal(weights(tmp_path / "again", 4)[name], tensor)


def test_the_configuration_wants_its_images(finished: Path, tmp_path: Path) -> None:
    text = (finished / "config.yaml").read_text()
    fingerprint = next(line for line in text.splitlines() if "fingerprint" in line)
    changed = tmp_path / "config.yaml"
    changed.write_text(text.replace(fingerprint, "  fingerprint: '0'"))
    with pytest.raises(UsageError, match="not the images that .* was made for"):
        undrift.train(config=changed, out=tmp_path / "run")


def test_extend_lengthens_a_finished_run(finished: Path, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    undrift.train("digits", out=directory, steps=2, network="mlp", bare=True)
    with pytest.raises(UsageError, match="no more than the 2 made"):
        undrift.train("digits", out=directory, steps=2, network="mlp", extend=True)
    with pytest.raises(UsageError, match="only the length may change.*seed"):
        undrift.train("digits", out=directory, steps=5, seed=3, network="mlp", extend=True)
    undrift.train("digits", out=directory, steps=5, network="mlp", extend=True)
    assert max(CheckpointStore(directory / "checkpoints").steps()) == 5
    starts = [e.step for e in read_events(directory / "metrics.jsonl") if e.kind == "start"]
    assert starts == [0, 2]


def test_init_starts_from_another_run(finished: Path, tmp_path: Path) -> None:
    npz = tmp_path / "digits.npz"
    digits = undrift.data.load("digits")
    names = [*digits.class_names[:9], "nine"]
    np.savez(npz, images=digits.images, labels=digits.labels, class_names=np.array(names))
    settings = {"init": str(finished), "learning_rate": 1e-12, "bare": True}
    undrift.train(npz, out=tmp_path / "run", steps=1, network="mlp", **settings)
    source = load_pipeline(finished).state_dict()
    target = weights(tmp_path / "run", 1)
    for name, tensor in source.items():
        if name != "encoder.labels.weight":
            torch.testing.assert_close(target[name], tensor, atol=1e-6, rtol=0, msg=name)
    same = (target["encoder.labels.weight"] - source["encoder.labels.weight"]).abs().amax(1) < 1e-6
    assert same.tolist() == [True] * 10 + [False]


def test_init_wants_the_same_network(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="init: the networks differ"):
        undrift.train("digits", out=tmp_path / "run", steps=1, init=str(finished))


@pytest.mark.parametrize("weights", ["ema", "raw"])
def test_sampling_other_weights(finished: Path, weights: str) -> None:
    samples = load_pipeline(finished, weights=weights)(4, steps=2)
    assert samples.images.shape == (4, 8, 8, 1)


def test_sampling_another_average(finished: Path) -> None:
    with pytest.raises(UsageError, match="EMA length"):
        load_pipeline(finished, ema=0.9)
    tracked = load_pipeline(finished, ema=0.05).state_dict()
    for name, tensor in load_pipeline(finished).state_dict().items():
        torch.testing.assert_close(tracked[name], tensor, msg=name)


def test_missing_things(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="photos"):
        undrift.train(tmp_path / "photos", out=tmp_path / "run", steps=1)
    with pytest.raises(ModelFileError, match="no such run"):
        load_pipeline(tmp_path / "absent")
    with pytest.raises(UsageError, match="unknown setting 'bugdet'; did you mean 'budget'"):
        undrift.train("digits", bugdet="3s")


def test_a_damaged_pipeline_is_refused(tmp_path: Path) -> None:
    undrift.train("digits", out=tmp_path / "run", steps=1, network="mlp", bare=True)
    weights_file = tmp_path / "run" / "pipeline" / "model.safetensors"
    data = bytearray(weights_file.read_bytes())
    data[len(data) // 2] ^= 1
    weights_file.write_bytes(data)
    with pytest.raises(ModelFileError, match="model.safetensors"):
        load_pipeline(tmp_path / "run")


def test_a_second_writer_is_kept_out(finished: Path) -> None:
    with FileLock(finished), pytest.raises(UsageError, match="another process"):
        undrift.train("digits", out=finished, steps=4, network="mlp")


def test_damaged_checkpoints_are_no_fresh_start(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    undrift.train("digits", out=run.path, steps=2, network="mlp", bare=True)
    run.write_status("interrupted", 2, 2)
    for file in run.checkpoints.rglob("network.safetensors"):
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelFileError, match="none of .* checkpoints can be used"):
        undrift.train("digits", out=run.path, steps=2, network="mlp")


def test_unlabelled_training(tmp_path: Path) -> None:
    run = undrift.train("digits", out=tmp_path / "run", steps=1, network="mlp", conditional=False)
    pipeline = undrift.Pipeline.from_pretrained(run.pipeline)
    assert pipeline.spec.class_names == ()
    with pytest.raises(UsageError):
        pipeline(2, labels="3")


def test_without_held_out_images(tmp_path: Path) -> None:
    """Nothing is held out: no validation, and the metrics say what they compare with."""
    images = undrift.data.load("digits").images[:60]
    np.save(tmp_path / "images.npy", images)
    run = undrift.train(
        tmp_path / "images.npy", out=tmp_path / "run", steps=1, network="mlp", holdout=0.0
    )
    events = [event.kind for event in read_events(run.directory / "metrics.jsonl")]
    assert "validation" not in events
    first = json.loads((run.directory / "evaluation" / "first.json").read_text())
    assert first["reference"]["split"] == "training"


class Tiny(nn.Module):
    """A user's own network: five lines."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64 + 1, 64), nn.SiLU(), nn.Linear(64, 64))

    def forward(self, x: Tensor, c_noise: Tensor, context: object) -> Tensor:
        return self.layers(torch.cat([x.view(len(x), 64), c_noise[:, None]], 1)).view(x.shape)


def test_your_own_network(tmp_path: Path) -> None:
    network = Tiny()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    run = undrift.train("digits", out=tmp_path / "run", steps=20, network=network)
    assert any(not torch.equal(t, before[n]) for n, t in network.state_dict().items())
    pipeline = undrift.Pipeline.from_pretrained(run.pipeline, network=Tiny())
    assert pipeline(2).images.shape == (2, 8, 8, 1)
    with pytest.raises(UsageError, match="network of its own, Tiny"):
        undrift.Pipeline.from_pretrained(run.pipeline)


def test_the_global_random_stream_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    undrift.train("digits", out=tmp_path / "run", steps=1, network="mlp")
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.slow
def test_an_interrupt_saves(tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "undrift", "train", "digits", "--out", str(out)]
    command += ["--steps", "100000", "--network", "mlp", "--checkpoint-every", "100000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 600
    while not any(e.kind == "train" for e in read_events(out / "metrics.jsonl")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=600)
    assert process.returncode == 130, error
    assert error.startswith("undrift: stopped after step") and error.count("\n") == 1
    (step,) = CheckpointStore(out / "checkpoints").steps()
    assert f"step {step} " in error
    status = RunDirectory(out).status()
    assert (status.state, status.step) == ("interrupted", step)


def test_a_budget_is_stored_and_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 s at 0.5 s a step, less what looking takes: a number of steps that a repeat reuses."""
    paces = iter([0.5])
    monkeypatch.setattr(planning, "measure", lambda *_: next(paces))
    monkeypatch.setattr(planning, "validation_seconds", lambda _: 6.0)
    stop = StopSignals()
    images = undrift.data.load("digits")
    asked = resolve("digits", TrainOptions(budget="60s", network="mlp"), images, device="cpu")
    log = RunLog(Console(quiet=True), None)
    fitted = planning.fit_to_machine(asked, images, lambda: None, ALONE, stop, log)
    assert fitted.seconds_per_step == 0.5
    # 60 s less 6 % and 6 s for looking are 50.4 s
    assert 95 <= fitted.training.steps <= 100


@pytest.mark.parametrize(
    ("pace", "steps", "early"),
    [
        (0.001, 100, True),  # half a tenth of a second: quick
        (0.1, 2000, True),  # a few seconds of 200
        (0.1, 100, False),  # the same few of 10
    ],
)
def test_a_look_comes_early_unless_it_takes_a_large_share_of_the_run(pace, steps, early) -> None:
    images = undrift.data.load("digits")
    asked = resolve("digits", TrainOptions(steps=steps), images, device="cpu")
    timed = replace(asked, seconds_per_step=pace)
    late = planning.late_validation_seconds(timed)
    assert late == (0.0 if early else planning.validation_seconds(timed))
    assert planning.validation_seconds(timed) > 0


def test_a_budget_that_is_too_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "measure", lambda *_: 30.0)
    images = undrift.data.load("digits")
    asked = resolve("digits", TrainOptions(budget="20s", network="mlp"), images, device="cpu")
    log = RunLog(Console(quiet=True), None)
    with pytest.raises(
        UsageError,
        match=r"too short for 1 step of 30 s, a grid and a validation of \d+\.\d s together; give",
    ):
        planning.fit_to_machine(asked, images, lambda: None, ALONE, StopSignals(), log)


def test_a_budget_run_is_repeated_by_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "measure", lambda *_: 0.05)  # however busy the machine is
    monkeypatch.setattr(planning, "validation_seconds", lambda _: 0.5)
    first = undrift.train("digits", out=tmp_path / "a", budget="4s", network="mlp", bare=True)
    again = undrift.train(config=first.directory / "config.yaml", out=tmp_path / "b")
    texts = [(run.directory / "config.yaml").read_text() for run in (first, again)]
    assert texts[0] == texts[1] and "budget: 4s" in texts[0]


def test_extend_by_budget_keeps_the_recipe(tmp_path: Path) -> None:
    """A budget of 20 minutes has a wider recipe; the run that grows keeps its own."""
    images = undrift.data.load("digits")
    stored = resolve("digits", TrainOptions(steps=2), images, device="cpu")
    longer = TrainOptions(budget="20m", extend=True)
    asked = resolve("digits", longer, images, device="cpu")
    assert asked.model.network != stored.model.network
    planned = planning.plan_run(tmp_path, stored, asked, longer, True, images)
    assert planned.model == stored.model and planned.budget == "20m"


def test_extend_wants_a_finished_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run to lengthen"):
        undrift.train("digits", out=tmp_path / "run", steps=2, network="mlp", extend=True)
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_a_wrong_init_leaves_no_run(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such run"):
        undrift.train("digits", out=tmp_path / "run", steps=1, network="mlp", init="absent")
    undrift.train("digits", out=tmp_path / "run", steps=1, network="mlp", bare=True)


def test_evaluations_on_the_way_keep_the_best_weights_and_change_none(tmp_path: Path) -> None:
    plain, watched = tmp_path / "plain", tmp_path / "watched"
    undrift.train("digits", out=plain, steps=6, network="mlp", bare=True)
    undrift.train("digits", out=watched, steps=6, network="mlp", evaluate_every=2)
    for name, tensor in weights(plain, 6).items():
        assert torch.equal(weights(watched, 6)[name], tensor)
    evaluations = [
        e.entries for e in read_events(watched / "metrics.jsonl") if e.kind == "evaluation"
    ]
    assert [one["step"] for one in evaluations] == [2, 4, 6]
    assert all(one["low"] <= one["kid"] <= one["high"] and one["n"] == 1000 for one in evaluations)
    best = json.loads((watched / "best.json").read_text())
    assert best["kid"] == min(one["kid"] for one in evaluations)
    first = json.loads((watched / "evaluation" / "first.json").read_text())
    assert first["best"]["step"] == best["step"]
    assert first["best"]["reference"]["split"] == "test"  # chosen on validation, reported on test
    chosen = undrift.Pipeline.from_pretrained(watched / "best")
    assert chosen(2, seed=0).images.shape == (2, 8, 8, 1)
    page = (watched / "report.html").read_text()
    assert f"validated best, after step {best['step']}" in page


def test_evaluations_need_validation_images(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are 0 validation images .* wanted 4 or more"):
        undrift.train("digits", out=tmp_path / "run", steps=2, holdout=0, evaluate_every=1)


def test_sampling_earlier_weights(finished: Path) -> None:
    early = load_pipeline(finished, at=0.3).state_dict()
    ends = (load_pipeline(finished, at=1.0).state_dict(), load_pipeline(finished).state_dict())
    apart = [max((early[k] - v).abs().max().item() for k, v in end.items()) for end in ends]
    assert min(apart) > 1e-4
    for name, tensor in ends[0].items():
        torch.testing.assert_close(tensor, ends[1][name], msg=name)
    spelled = load_spelled(f"{finished}@0.3")
    assert all(torch.equal(early[name], one) for name, one in spelled.state_dict().items())
    with pytest.raises(ModelFileError, match="no such run"):
        load_spelled(f"{finished}@half")
    with pytest.raises(UsageError, match="share of training"):
        load_pipeline(finished, at=1.5)
