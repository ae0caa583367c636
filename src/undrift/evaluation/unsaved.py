"""Results that took minutes and cannot be written where they should be: they are not lost."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from undrift.errors import UndriftError, UnsavedResultError, UsageError
from undrift.files.cache import cache_directory


@contextlib.contextmanager
def kept(result: dict[str, Any], save: Callable[[Path], None]) -> Iterator[None]:
    """Write a result inside; where that fails, have it saved elsewhere and say where.

    The other places are a new folder in the cache, in the system's folder for temporary files, and
    in the working folder: the first one that takes it.

    Args:
        result: what the error carries.
        save: writes everything into an empty folder.

    Raises:
        UnsavedResultError: if the result cannot be written where it should be.
    """
    try:
        yield
    except (OSError, UsageError) as error:
        place = _elsewhere(save)
        where = "and there is no other place for the result"
        if place is not None:
            where = f"the result is in {place}"
        raise UnsavedResultError(f"{error}; {where}", result) from error


def _elsewhere(save: Callable[[Path], None]) -> Path | None:
    """The folder that ``save`` could write into."""
    for root in (cache_directory, lambda: Path(tempfile.gettempdir()), Path.cwd):
        with contextlib.suppress(OSError, UndriftError):
            root().mkdir(parents=True, exist_ok=True)
            place = Path(tempfile.mkdtemp(prefix="undrift-result-", dir=root()))
            save(place)
            return place
    return None
