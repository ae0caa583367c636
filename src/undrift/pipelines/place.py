"""Where a pipeline lies that another one names."""

from __future__ import annotations

from pathlib import Path


def moved_with(path: str, holder: Path) -> str:
    """Where the pipeline at ``path`` lies now, if it may have been moved together with ``holder``.

    That is ``path`` while something is there, else the run or pipeline of the same name beside
    ``holder``, if there is one. What is found has to be compared by its fingerprint.

    Args:
        path: absolute, of a pipeline or of the ``pipeline`` of a run.
        holder: the run or pipeline that names it.
    """
    if Path(path).is_dir():
        return path
    here, known = holder.absolute(), Path(path)
    runs, (name, inside) = here.parent, (known.name, "")
    if known.name == "pipeline":
        name, inside = known.parent.name, known.name
    if here.name == "pipeline":
        here, runs = here.parent, runs.parent
    found = runs / name / inside
    return str(found) if name != here.name and found.is_dir() else path
