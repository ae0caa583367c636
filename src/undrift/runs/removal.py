"""Deleting runs, comparisons and studies: ``undrift runs rm``."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from undrift.errors import ModelFileError, UsageError, shown
from undrift.files.durable import beside
from undrift.files.lock import FileLock
from undrift.runs.directory import (
    LATEST,
    ROOT,
    RunDirectory,
    collection_kind,
    list_runs,
    point_latest,
)


@dataclass(frozen=True)
class Removable:
    """A folder that may be deleted.

    Attributes:
        path: the folder.
        kind: run, comparison or study.
        files: how many files are in it.
        size: of all of them, in bytes.
    """

    path: Path
    kind: str
    files: int
    size: int


def find_removable(names: Sequence[str], root: str | os.PathLike[str] = ROOT) -> list[Removable]:
    """The folders that ``names`` name, as paths or inside ``root``; each once.

    Raises:
        ModelFileError: nothing there, or neither a run nor a comparison nor a study.
        UsageError: a link.
    """
    found: dict[Path, Removable] = {}
    for name in names:
        path = Path(os.path.normpath(name))
        if not os.path.lexists(path) and os.path.lexists(Path(root) / path):
            path = Path(root) / path
        if os.path.islink(path):
            raise UsageError(f"{path}: a link to {path.readlink()}; name the run itself")
        kind = "run" if RunDirectory(path).was_started else collection_kind(path)
        if kind is None:
            missing = "" if os.path.exists(path) else ", nothing is there"
            raise ModelFileError(
                f"{shown(name)}: neither a run nor a comparison nor a study{missing}; "
                "`undrift runs list` shows what there is"
            )
        sizes = [
            os.lstat(os.path.join(folder, file)).st_size
            for folder, _, files in os.walk(path)
            for file in files
        ]
        found[path.resolve()] = Removable(path, kind, len(sizes), sum(sizes))
    return list(found.values())


def remove(folders: Sequence[Removable]) -> None:
    """Delete ``folders``, links in them but nothing that these lead to, and mend ``runs/latest``.

    Raises:
        UsageError: one is in use, and then none is deleted; or one cannot be deleted.
    """
    with contextlib.ExitStack() as locks:
        for folder in folders:
            inside = [path.parent for path in folder.path.rglob("config.yaml")]
            for path in {folder.path, *inside}:
                locks.enter_context(FileLock(path))
        for folder in folders:
            hidden = beside(folder.path)
            try:
                folder.path.rename(hidden)  # so that no half of it is taken for a run
                shutil.rmtree(hidden)
            except OSError as error:
                raise UsageError(
                    f"{folder.path}: cannot be deleted ({error.strerror}); see to its permissions"
                ) from error
    _mend_latest()


def _mend_latest() -> None:
    """Let ``runs/latest`` point at the newest run that is left, or at none."""
    link = ROOT / LATEST
    if not link.is_symlink() or link.exists():
        return
    left = sorted(list_runs(), key=lambda run: run.config.stat().st_mtime)
    if left:
        point_latest(left[-1])
    else:
        link.unlink()
