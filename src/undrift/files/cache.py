"""Where undrift keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """``$UNDRIFT_CACHE``, or ``~/.cache/undrift`` where that is not set or empty."""
    return Path(os.environ.get("UNDRIFT_CACHE") or "~/.cache/undrift").expanduser()
