"""Where undrift keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path

from undrift.errors import UsageError


def cache_directory() -> Path:
    """``$UNDRIFT_CACHE``, or ``~/.cache/undrift`` where that is not set or empty.

    Raises:
        UsageError: there is no home folder.
    """
    name = os.environ.get("UNDRIFT_CACHE") or "~/.cache/undrift"
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"cache folder {name}: this user has no home folder; set UNDRIFT_CACHE to a folder"
        ) from error
