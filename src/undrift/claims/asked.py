"""What a study of the six claims is asked for, checked."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from undrift.claims.preset import PRESETS, Preset
from undrift.errors import UsageError
from undrift.runs.recipes import choose_device

MOST = 4
"""Runs at a time, unless more are asked for: each takes its memory."""


@dataclass(frozen=True)
class Study:
    """A study: its size, its data and where it is made.

    Attributes:
        preset: ``smoke``, ``quick`` or ``full``.
        out: folder of the study.
        data: what ``undrift train`` takes; has to have classes.
        mnist: the same of handwritten digits of 28 x 28 pixels, for stacked ones; None leaves them
            out.
        scale: times the images and the time that the preset gives every run.
        seed: of the first run of each arm.
        workers: runs at a time; None takes one per core up to four, and one on a GPU.
        threads: CPU threads of each run; None divides the cores among the workers.
        device: where to compute.
    """

    preset: Literal["smoke", "quick", "full"]
    out: str
    data: str = "digits"
    mnist: str | None = None
    scale: float = 1.0
    seed: int = 0
    workers: int | None = None
    threads: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise UsageError(f"--preset {self.preset}: wanted one of {', '.join(PRESETS)}")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers {self.workers}: wanted a whole number of at least 1")
        if not 0 < self.scale < math.inf:
            raise UsageError(f"--scale {self.scale}: wanted a number above 0")
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed}: wanted a whole number from 0 up")

    @property
    def size(self) -> Preset:
        """How large it is."""
        return PRESETS[self.preset].times(self.scale)

    @property
    def places(self) -> int:
        """How many runs go on at a time."""
        if self.workers is not None:
            return self.workers
        return 1 if choose_device(self.device) == "cuda" else min(os.cpu_count() or 1, MOST)

    @property
    def folder(self) -> Path:
        """Where it is made."""
        return Path(self.out)

    @property
    def words(self) -> tuple[str, ...]:
        """What follows ``undrift`` on the command line for the same study."""
        words = ["claims", "--preset", self.preset, "--data", self.data, "--out", self.out]
        words += [] if self.mnist is None else ["--mnist", self.mnist]
        words += [
            "--scale",
            f"{self.scale:g}",
            "--seed",
            str(self.seed),
            "--workers",
            str(self.places),
        ]
        words += [] if self.threads is None else ["--threads", str(self.threads)]
        return (*words, "--device", self.device)
