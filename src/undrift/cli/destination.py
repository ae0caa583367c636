"""Where a command writes that is told no place."""

from __future__ import annotations

from pathlib import Path

from undrift.errors import ModelFileError
from undrift.runs.directory import RunDirectory, open_run


def home_of(model: str) -> Path:
    """The run that a model belongs to, or the working folder for a pipeline that is in none.

    Beside a run's pipeline and never in it, since the next save replaces that.

    Raises:
        ModelFileError: if it is neither a run nor a pipeline.
    """
    target = Path(model)
    if target.is_file():
        raise ModelFileError(f"{target}: a file, not a run; name the folder of a run")
    if not RunDirectory(target).is_run and (target / "config.json").exists():
        parent = target.parent if target.name not in ("", "..") else target.resolve().parent
        return parent if RunDirectory(parent).is_run else Path()
    return open_run(target).path
