"""Where the real data sets are; tests that need them say loudly that they are skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("UNDRIFT_DATA") or Path(__file__).parents[2] / ".." / "shared" / "data")


def real(name: str) -> Path:
    """Return a data set's path, or skip loudly."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"no {name} in {ROOT}: set UNDRIFT_DATA to the folder of real data sets")
    return path
