"""Where the real data sets are; tests that need them say loudly that they are skipped."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("UNDRIFT_DATA") or Path(__file__).parents[2] / ".." / "shared" / "data")


def real(name: str) -> Path:
    """Return a data set's path, or skip loudly."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"no {name} in {ROOT}: set UNDRIFT_DATA to the folder of real data sets")
    return path


def some(folder: Path, to: Path, count: int) -> Path:
    """Copy about ``count`` of a folder's images, and their captions; idx files stay where they are.

    The tests beside this file read all of them.
    """
    files = sorted([*folder.rglob("*.png"), *folder.rglob("*.jpg")])
    if not files:
        return folder
    for path in files[:: max(1, len(files) // count)]:
        copy = to / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    if (captions := folder / "metadata.jsonl").exists():
        lines = captions.read_text().splitlines()
        kept = [line for line in lines if (to / json.loads(line)["file_name"]).exists()]
        (to / captions.name).write_text("\n".join(kept))
    return to
