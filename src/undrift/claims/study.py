"""A study of the six claims: its options, its size and where it is computed."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from undrift.claims.preset import PRESETS, Preset
from undrift.options import ClaimsOptions
from undrift.runs.recipes import choose_device

MOST = 4
"""Runs at a time, unless more are asked for: each takes its memory."""


@dataclass(frozen=True)
class Study(ClaimsOptions):
    """A study of the six claims."""

    @classmethod
    def of(cls, options: ClaimsOptions) -> Study:
        """The study with ``options``."""
        values: dict[str, Any] = {
            one.name: getattr(options, one.name) for one in fields(ClaimsOptions)
        }
        return cls(**values)

    @property
    def size(self) -> Preset:
        """Its preset, scaled."""
        return PRESETS[self.preset].times(self.scale)

    @property
    def places(self) -> int:
        """Runs at a time."""
        if self.workers is not None:
            return self.workers
        return 1 if choose_device(self.device) == "cuda" else min(os.cpu_count() or 1, MOST)

    @property
    def folder(self) -> Path:
        """The folder."""
        return Path(self.out)

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments of ``undrift`` for the same study."""
        words = [
            "claims",
            "--preset",
            self.preset,
            "--data",
            str(self.data),
            "--out",
            str(self.out),
        ]
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
