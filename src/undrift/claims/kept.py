"""What a study keeps of itself, so that one that was cut short goes on as it began.

::

    OUT/  study.json        what it is made of; a command with other settings is refused
          chosen-N.json     what won of the trials of N images, which the sweep goes around
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from undrift.claims.preset import PRESETS
from undrift.claims.study import Study
from undrift.comparison import Setting, check_same, whole_json, write_json

STUDY = "study.json"

Chosen = dict[str, dict[str, Setting]]
"""Method -> settings."""


def keep_asked(study: Study) -> None:
    """Keep what ``study`` is made of, or compare it with what is there.

    Measurements are named after their runs, and runs after their lengths: those of another seed, of
    other digits or of a preset with other numbers would be taken for this study's.

    Raises:
        UsageError: what is there is of another study, is damaged, or cannot be written.
    """
    sizes = json.dumps(asdict(PRESETS[study.preset]), sort_keys=True)
    now: dict[str, Any] = {
        "preset": study.preset,
        "numbers of the preset": hashlib.sha256(sizes.encode()).hexdigest()[:12],
        "seed": study.seed,
    }
    if study.mnist is not None:
        now["mnist"] = study.mnist
    path = study.folder / STUDY
    there = whole_json(path) if path.exists() else {}
    check_same(study.folder, {**now, **there}, now)
    write_json(path, now)


def keep_chosen(study: Study, chosen: Chosen) -> Chosen:
    """What won the first time: a trial that is made up for later must not change the sweep.

    Raises:
        UsageError: it is damaged or cannot be written.
    """
    path = study.folder / f"chosen-{study.size.main.images}.json"
    if path.exists():
        return whole_json(path)
    write_json(path, chosen)
    return chosen
