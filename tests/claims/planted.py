"""A study without training or measuring: every command writes what it would have found."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from tests.comparison.fake_executor import RUN, FakeExecutor, FakeJob, option

from undrift.comparison.executor import Command, Outcome
from undrift.results.claims import (
    AnyMeasurement,
    Bits,
    InpaintingQuality,
    Inpaintings,
    LikelihoodBits,
    LikelihoodRefusal,
    MetricAtSteps,
    PlaneModes,
    RunFacts,
    SamplingTimes,
    StepsCurve,
    StepsPoint,
    TailShares,
    TimedSteps,
    TradeOff,
    TradeOffPoint,
)
from undrift.results.curve import Interval
from undrift.schema import to_plain

SIZES = {"30k": 1.0, "90k": 0.7, "270k": 0.5}
STEPS = (1, 2, 3, 4, 8, 16)
FALLS = {"unet": 8.0, "transformer": 7.0, "r3gan": 9.0}


class Distances(dict[str, float]):
    """What every method of a study reaches."""

    def __missing__(self, name: str) -> float:
        family, _, size = name.partition("-")
        if size in SIZES:
            return FALLS[family] * SIZES[size] ** (0.4 if family == "r3gan" else 1.0)
        method = name.split(".x")[0]
        return {"diffusion": 2.0, "r3gan": 4.0, "dcgan": 9.0}.get(method, 3.0)


class PlantedExecutor(FakeExecutor):
    """Does each command at once; measurements are written by their kind.

    Args:
        codes: see `FakeExecutor`; of a measurement likewise.
        lost: folders of comparisons all of whose runs fail.
    """

    def __init__(self, codes: Mapping[str, int] | None = None, lost: Sequence[str] = ()) -> None:
        super().__init__(codes)
        self._lost = lost

    def code(self, words: tuple[str, ...]) -> int:
        run = Path(option(words, "--out"))
        return 2 if run.parent.parent.name in self._lost else super().code(words)

    def start(self, command: Command) -> Any:
        if command.words[0] != "claims":
            return super().start(command)
        name = option(command.words, "--part")
        self.commands.append(command.words)
        if name in self._codes:
            command.log.write_text("undrift: it could not be measured\n")
            return FakeJob(self, name, Outcome(self._codes[name], 1.0, 1.0))
        folder = Path(option(command.words, "--out")) / "parts"
        folder.mkdir(exist_ok=True)
        plain = to_plain(measurement(name))
        (folder / f"{name.replace('/', '_')}.json").write_text(json.dumps(plain))
        return FakeJob(self, name, Outcome(0, 1.0, 1.0))


def measurement(name: str) -> AnyMeasurement:
    """What a measurement found."""
    kind, run = name.split("/")
    found = RUN.fullmatch(run)
    assert found is not None
    method, seed = found["method"], int(found["seed"])
    facts: RunFacts = {
        "method": method,
        "budget": "images" if "images" in run else "seconds",
        "seed": seed,
    }
    good = method == "diffusion"
    share = 1.0 if good else {"r3gan": 0.9}.get(method, 0.4)
    share -= 0.001 * (zlib.crc32(run.encode()) % 7) * (not good)
    if kind in ("ring8", "grid25"):
        modes = 8 if kind == "ring8" else 25
        return PlaneModes(
            **facts,
            kind=cast(Any, kind),
            share=share,
            modes=modes,
            found=round(share * modes),
            touched=modes,
            high_quality=ends(0.9),
            perfect_quality=0.989,
            kl=ends(0.1),
            floor_kl=0.01,
            spread=None,
            n=2500,
            points=((0.0, 2.0), (2.0, 0.0)),
        )
    if kind == "tail":
        return TailShares(
            **facts,
            share=share,
            real_share=0.97,
            rare=("8", "9"),
            classes=tuple("0123456789"),
            wanted=(0.1,) * 10,
            made=(0.1,) * 10,
            kl=ends(0.1),
            floor_kl=0.01,
            n=1000,
        )
    if kind == "bits":
        value = 2.0 + 0.01 * seed
        one = Bits(value=value, low=value - 0.01, high=value + 0.01, nfe=32, seconds=1.0, n=64)
        both = {"elbo": one, "ode": one}
        return LikelihoodBits(
            **facts, held_out=both, train=both, split="test", protocol={}, histogram=3.0
        )
    if kind == "answer":
        return LikelihoodRefusal(**facts, answer="a GAN has no likelihood")
    if kind == "dial":
        names = ("fd", "recall", "precision", "coverage", "density", "label_accuracy")
        points = (
            TradeOffPoint(dial=dial, **dict.fromkeys(names, ends(0.5 + 0.1 * dial)))
            for dial in (1.0, 2.0)
        )
        return TradeOff(**facts, points=tuple(points), name="guidance", n=1000)
    if kind == "steps":
        points = (
            StepsPoint(steps=s, nfe=float(s), fd=at_steps(200.0 / s), coverage=at_steps(0.8))
            for s in STEPS
        )
        return StepsCurve(**facts, points=tuple(points), n=1000)
    if kind == "times":
        points = (
            TimedSteps(
                steps=s,
                nfe=float(s or 1),
                flops=10**6,
                single_ms=3.0,
                batch_ms=0.2 * (s or 1),
                batch=64,
                threads=1,
            )
            for s in (STEPS if good else (None,))
        )
        return SamplingTimes(**facts, points=tuple(points), megabytes=50.0, batch=64)
    assert kind == "filling", kind
    images = np.full((3, 8, 8, 1), 90, np.uint8).tolist()
    methods = {
        name: InpaintingQuality(
            n=64,
            variants=4,
            rmse=ends(10.0),
            psnr=ends(value - 2),
            psnr_of_mean=ends(value + 0.01 * seed),
            calibration=ends(0.9),
            diversity=ends(9.0),
            nfe=20.0,
            seconds_per_completion=0.1,
            settings={},
            images=images,
        )
        for name, value in (("diffusion", 15.0), ("r3gan", 12.0))
    }
    return Inpaintings(**facts, methods=methods, originals=images, visible=images, count=64)


def ends(value: float) -> Interval:
    return Interval(value, value - 0.01, value + 0.01)


def at_steps(value: float) -> MetricAtSteps:
    return MetricAtSteps(value, value - 0.01, value + 0.01, None)
