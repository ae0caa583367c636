"""A study of the six claims: its options, its size, and what its folder says of it.

::

    OUT/  study.json        preset, seed and data; a command with others is refused
          chosen-N.json     best settings of the trials at N images, which the sweep goes around
          data/             data that the study makes
          NAME/             a comparison each
          parts/            a measurement each
          report.json  report.html  figures/
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from undrift.claims.preset import PRESETS, Preset
from undrift.comparison.journal import check_same, whole_json, write_json
from undrift.options import ClaimsOptions
from undrift.results.comparison import Setting
from undrift.runs.device import choose_device
from undrift.schema import to_plain

STUDY = "study.json"

MOST = 4
"""Runs at a time, unless more are requested: each takes its memory."""

Chosen = Mapping[str, Mapping[str, Setting]]
"""Method -> settings."""


@dataclass(frozen=True)
class Study(ClaimsOptions):
    """A study of the six claims."""

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
    def run_threads(self) -> int:
        """CPU threads of each run."""
        return self.threads or max(1, (os.cpu_count() or 1) // self.places)

    @property
    def folder(self) -> Path:
        """The folder."""
        return Path(self.out)

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments of ``undrift`` for the same study."""
        words = ["claims", "--preset", self.preset, "--data", self.data, "--out", self.out]
        words += [] if self.mnist is None else ["--mnist", self.mnist]
        words += ["--text"] if self.text else []
        words += [] if self.caption_column is None else ["--caption-column", self.caption_column]
        words += ["--numbers", *self.numbers] if self.numbers else []
        words += ["--map", *self.maps] if self.maps else []
        words += ["--scale", f"{self.scale:g}", "--seed", str(self.seed)]
        words += ["--workers", str(self.places)]
        words += [] if self.threads is None else ["--threads", str(self.threads)]
        return (*words, "--device", self.device)

    def store(self) -> None:
        """Store what the study is, or compare it with what is stored.

        Measurements are named after their runs, and runs after their lengths: those of another
        seed, of other digits or of a preset with other numbers would be taken for this study's.

        Raises:
            UsageError: the folder is another study's, is damaged, or cannot be written.
        """
        sizes = json.dumps(to_plain(PRESETS[self.preset]), sort_keys=True)
        now: dict[str, object] = {
            "preset": self.preset,
            "numbers of the preset": hashlib.sha256(sizes.encode()).hexdigest()[:12],
            "seed": self.seed,
        }
        if self.mnist is not None:
            now["mnist"] = self.mnist
        path = self.folder / STUDY
        there = whole_json(path) if path.exists() else {}
        check_same(self.folder, {**now, **there}, now)
        write_json(path, now)

    def store_chosen(self, chosen: Chosen) -> Chosen:
        """The settings chosen first: a trial that succeeds later must not change the sweep.

        Raises:
            UsageError: they are damaged or cannot be written.
        """
        path = self.folder / f"chosen-{self.size.main.images}.json"
        if path.exists():
            return cast(Chosen, whole_json(path))
        write_json(path, chosen)
        return chosen
