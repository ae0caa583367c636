"""A study without training or measuring: every command writes what it would have found."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tests.comparison.fake_executor import CELL, FakeExecutor, FakeJob, option

from undrift.comparison.executor import Command, Outcome

SIZES = {"30k": 1.0, "90k": 0.7, "270k": 0.5}
STEPS = (1, 2, 3, 4, 8, 16)
FALLS = {"unet": 8.0, "transformer": 7.0, "r3gan": 9.0}


class Distances(dict[str, float]):
    """What every arm of a study reaches."""

    def __missing__(self, arm: str) -> float:
        family, _, size = arm.partition("-")
        if size in SIZES:
            return FALLS[family] * SIZES[size] ** (0.4 if family == "r3gan" else 1.0)
        method = arm.split(".x")[0]
        return {"diffusion": 2.0, "r3gan": 4.0, "dcgan": 9.0}.get(method, 3.0)


class PlantedExecutor(FakeExecutor):
    """Does each command at once; parts are written by their kind.

    Args:
        codes: see `FakeExecutor`; of a part likewise.
        lost: folders of tables all of whose runs fail.
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
        (folder / f"{name.replace('/', '_')}.json").write_text(json.dumps(record(name)))
        return FakeJob(self, name, Outcome(0, 1.0, 1.0))


def record(name: str) -> dict[str, Any]:
    """What a piece found."""
    kind, cell = name.split("/")
    found = CELL.fullmatch(cell)
    assert found is not None
    method, seed = found["arm"], found["seed"]
    if kind == "filling":
        return filling(int(seed))
    ledger = "images" if "images" in cell else "seconds"
    facts = {"kind": kind, "method": method, "ledger": ledger, "seed": int(seed)}
    good = method == "diffusion"
    share = 1.0 if good else {"r3gan": 0.9}.get(method, 0.4)
    share -= 0.001 * (zlib.crc32(cell.encode()) % 7) * (not good)
    if kind in ("ring8", "grid25"):
        modes = 8 if kind == "ring8" else 25
        facts |= {"modes": modes, "found": share * modes, "touched": modes, "share": share}
        facts |= {"high_quality": ends(0.9), "kl": ends(0.1), "floor_kl": 0.01, "n": 2500}
        facts |= {"points": [[0.0, 2.0], [2.0, 0.0]]}
    if kind == "tail":
        facts |= {"share": share, "real_share": 0.97, "rare": ["8", "9"], "n": 1000}
        facts |= {"classes": list("0123456789"), "wanted": [0.1] * 10, "made": [0.1] * 10}
    if kind == "bits":
        facts |= {"histogram": 3.0, "split": "test", "protocol": {}}
        part = {method: ends(2.0 + 0.01 * int(seed)) for method in ("elbo", "ode")}
        facts |= {"held_out": part, "train": part}
    if kind == "answer":
        facts |= {"answer": "a GAN has no likelihood"}
    if kind == "dial":
        names = ("fd", "recall", "precision", "coverage", "density", "label_accuracy")
        points = [{"dial": dial, **{n: ends(0.5 + 0.1 * dial) for n in names}} for dial in (1, 2)]
        facts |= {"points": points}
    if kind == "steps":
        points = [
            {"steps": s, "nfe": float(s), "fd": ends(200.0 / s), "coverage": ends(0.8)}
            for s in STEPS
        ]
        facts |= {"points": points, "n": 1000}
    if kind == "times":
        steps = STEPS if good else (None,)
        speed = {"flops": 10**6, "single_ms": 3.0}
        points = [
            {"steps": s, "nfe": float(s or 1), "batch_ms": 0.2 * (s or 1), **speed} for s in steps
        ]
        facts |= {"points": points, "megabytes": 50.0, "batch": 64}
    return facts


def filling(seed: int) -> dict[str, Any]:
    images = np.full((3, 8, 8, 1), 90, np.uint8).tolist()
    methods = {
        name: {
            "psnr_of_mean": ends(value + 0.01 * seed),
            "psnr": ends(value - 2),
            "calibration": ends(0.9),
            "diversity": ends(9.0),
            "seconds_per_fill": 0.1,
            "images": images,
        }
        for name, value in (("diffusion", 15.0), ("r3gan", 12.0))
    }
    facts = {"kind": "filling", "seed": seed, "count": 64, "methods": methods}
    return facts | {"originals": images, "visible": images}


def ends(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}
