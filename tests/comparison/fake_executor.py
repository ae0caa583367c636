"""An executor that trains and measures nothing: it writes what the commands would have written."""

from __future__ import annotations

import io
import json
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tests.report import fake_run

from undrift.comparison.executor import Command, Outcome
from undrift.metrics.results import FeatureSpace, MetricResult
from undrift.results.evaluation import (
    EvaluatedReference,
    EvaluatedSamples,
    EvaluationCost,
    EvaluationResult,
)
from undrift.schema import to_plain

FD = {
    "wet": 1.0,
    "diffusion": 2.0,
    "consistency": 2.5,
    "reflow": 2.25,
    "r3gan": 5.0,
    "r3gan-fast": 4.0,
    "dcgan": 5.05,
}
"""What each method reaches; seeds shift all of them by the same."""

TRIALS = {("diffusion", 0): 3.0, ("r3gan", 2): 1.0, ("dcgan", 1): 2.0}
"""Distance to the validation images of the trials that are best; of others it is 9 and more."""

MORE = {
    "kid": (0.344, 1.0),
    "precision": (0.867, 1.0),
    "recall": (0.412, 1.0),
    "label_accuracy": (0.891, 1.0),
    "memorization": (0.0, 0.0),
}
"""Metric -> its value with all methods, where it is requested, and the spread over seeds."""

IMAGES, STUDENT_IMAGES = 640, 160

RUN = re.compile(r"(?P<method>.+?)-[\d.]+(s|m|h|images)(-trial(?P<point>\d+))?(-(?P<seed>\d+))?")


def option(words: tuple[str, ...], flag: str) -> str:
    return words[words.index(flag) + 1]


class FakeExecutor:
    """Does each command at once, and remembers it.

    Args:
        codes: name of a run -> exit code of its training.
        health: name of a run -> its state by the last periodic evaluation.
        cpu: processor time of each command, of a second.
        places: commands at a time.
        before: called with each command; raises to interrupt.
    """

    def __init__(
        self,
        codes: Mapping[str, int] | None = None,
        *,
        health: Mapping[str, str] | None = None,
        cpu: float = 1.0,
        places: int = 1,
        before: Callable[[Command], None] | None = None,
    ) -> None:
        self.places = places
        self.commands: list[tuple[str, ...]] = []
        self.stopped: list[str] = []
        self._codes = dict(codes or {})
        self._cpu = cpu
        self._health = dict(health or {})
        self._before = before

    def close(self):
        """Nothing runs between two calls."""

    def code(self, words: tuple[str, ...]) -> int:
        """Exit code of a training."""
        return self._codes.get(Path(option(words, "--out")).name, 0)

    def start(self, command: Command) -> Any:
        if self._before is not None:
            self._before(command)
        self.commands.append(command.words)
        name = Path(option(command.words, "--out")).name
        code = self.code(command.words) if command.words[0] != "evaluate" else 0
        if command.words[0] == "evaluate":
            evaluate(command.words)
        elif code == 0:
            train(command.words, self._health.get(name, "healthy"))
        else:
            command.log.write_text("step 3\nundrift: no finite loss; lower --lr\n")
        return FakeJob(self, name, Outcome(code, 1.0, self._cpu))

    @property
    def verbs(self) -> list[str]:
        """``train`` and ``evaluate``, in order."""
        return [words[0] for words in self.commands]


class FakeJob:
    def __init__(self, executor: FakeExecutor, name: str, outcome: Outcome) -> None:
        self._executor, self._name, self._outcome = executor, name, outcome

    def poll(self) -> Outcome | None:
        return self._outcome

    def stop(self) -> None:
        self._executor.stopped.append(self._name)

    def kill(self) -> None:
        pass


def train(words: tuple[str, ...], health: str) -> None:
    """A run that is done: its events, its grid, its status."""
    run, method, seed = Path(option(words, "--out")), option(words, "--method"), 1
    run.mkdir(parents=True, exist_ok=True)
    events: list[dict[str, Any]] = [{"event": "start", "time": 100.0, "step": 0}]
    images = STUDENT_IMAGES if words[0] == "distill" else IMAGES
    for step in range(1, 11):
        event: dict[str, Any] = {"event": "train", "time": 100.0 + step, "step": step}
        event |= {"images": step * images // 10, "loss": 1.0 / step}
        if method != "diffusion":
            event["phases"] = {
                "discriminator": {"loss": 0.5 + 0.1 * seed / step},
                "generator": {"loss": 1.0 / step},
            }
        events.append(event)
    if method == "diffusion":  # dropout spoils the two lowest levels by a tenth, here
        spoilt = 1.1 if "--dropout" in words else 1.0
        losses = [1e-3 * spoilt, 0.01 * spoilt, 0.2, 0.9 + 0.01 * int(option(words, "--seed"))]
        levels = {"log_snr": [7.0, 4.0, 1.0, -5.0], "losses": losses, "loss": sum(losses) / 4}
        events.append(
            {"event": "validation", "time": 110.0, "step": 10, "images": IMAGES, "weights": "ema"}
            | levels
            | {"standard_errors": [0.02 * loss for loss in losses]}
        )
    look = {"kid": 1.0, "low": 0.5, "high": 1.5, "floor": 0.0, "state": health}
    events.append({"event": "evaluation", "time": 110.0, "step": 10, "images": IMAGES, **look})
    events.append({"event": "done", "time": 150.0, "step": 10, "images": images})
    (run / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    (run / "status.json").write_text(json.dumps({"state": "done", "step": 10, "steps": 10}))
    picture = io.BytesIO()
    Image.fromarray(np.full((18, 18), 90, np.uint8)).save(picture, "PNG")
    (run / "grid.png").write_bytes(picture.getvalue())


def evaluate(words: tuple[str, ...]) -> None:
    """A result with planted numbers, the same shift for all methods of a seed."""
    run = RUN.fullmatch(Path(words[1]).name)
    assert run is not None
    method, jitter = run["method"], zlib.crc32(words[1].encode()) % 100 / 1000
    if run["seed"] is None:
        fd = TRIALS.get((method, int(run["point"])), 9.0 + jitter)
    else:
        fd = FD[method] + 10.0 * int(run["seed"]) + jitter * 0.1
    metrics = {
        "fd": metric("fd", fd, 0.5),
        "coverage": metric("coverage", 0.9 if method == "diffusion" else 0.6, 0.95),
    }
    asked = words[words.index("--metrics") + 1 : words.index("--n")]
    metrics |= {
        name: metric(name, value + jitter * spread, 0.99)
        for name, (value, spread) in MORE.items()
        if name in asked
    }
    found = EvaluationResult(
        version="0",
        target=words[1],
        metrics=metrics,
        missing={} if "kid" in asked else {"kid": "not requested"},
        features=FeatureSpace("domain@0", "planted"),
        classifier=None,
        reference=EvaluatedReference(
            split="test", count=100, source="digits", available=100, fingerprint="0", findings=None
        ),
        samples=EvaluatedSamples(count=100, available=None, findings=None),
        seed=0,
        protocol="100 samples against 100 test images",
        sampling={"steps": 20},
        cost=EvaluationCost(20.0 if method == "diffusion" else 1.0, 1.0, 1.0, 1),
    )
    Path(option(words, "--out")).write_text(json.dumps(to_plain(found)))


def metric(key: str, value: float, floor: float) -> MetricResult:
    name = f"{'FD' if key == 'fd' else key}[domain@0]"
    ends = (value - 1, value + 1)
    return fake_run.metric(key, value, ends, floor, name, n=100, n_reference=100)
