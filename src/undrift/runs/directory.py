"""A run's directory: what lies where, and who may write it.

::

    runs/NAME/  config.yaml  environment.json  data.json  status.json  metrics.jsonl  log.txt
                samples/  checkpoints/step-000120/  ema/  pipeline/  best/  evaluation/  report.html

``config.yaml`` makes a directory a run; it is written last of what start-up writes, so that a run
killed before its first step starts afresh. Nothing is ever overwritten but by rename.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from undrift.errors import ModelFileError, UsageError
from undrift.files.durable import write_file
from undrift.files.reading import read_mapping

ROOT = Path("runs")
LATEST = "latest"
_STARTING = {"LOCK", "environment.json", "data.json", "status.json", "log.txt", "metrics.jsonl"}
"""What a run that has not reached its first step may hold beside its configuration."""


class RunDirectory:
    """Paths and small files of one run.

    Attributes:
        path: the directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def events(self) -> Path:
        """The event log."""
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        """Folder of the sample grids."""
        return self.path / "samples"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def snapshots(self) -> Path:
        """Folder of the EMA snapshots."""
        return self.path / "ema"

    @property
    def pipeline(self) -> Path:
        """Folder of the finished pipeline."""
        return self.path / "pipeline"

    @property
    def best(self) -> Path:
        """Folder of the pipeline that validated best, where samples were evaluated on the way."""
        return self.path / "best"

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.html"

    @property
    def is_run(self) -> bool:
        """Whether a run lives here."""
        return self.config.is_file()

    @property
    def was_started(self) -> bool:
        """Whether training has begun here; a config.yaml alone may be anyone's."""
        marks = ("environment.json", "status.json", "checkpoints")
        return self.is_run and any((self.path / name).exists() for name in marks)

    def status(self) -> dict[str, Any]:
        """Contents of ``status.json``: ``state``, ``step``, ``steps``, ``heartbeat``; or nothing.

        Raises:
            ModelFileError: if the file cannot be read, or is no JSON object.
        """
        path = self.path / "status.json"
        if not os.path.lexists(path):
            return {}
        return read_mapping(path, ModelFileError, "delete it, the next start writes it anew")

    def write_status(self, state: str, step: int, steps: int) -> None:
        """Replace ``status.json``."""
        self.write_json(
            "status.json",
            {"state": state, "step": step, "steps": steps, "heartbeat": time.time()},
        )

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        """Write a JSON file by rename, so that readers see the old one or the new one."""
        self.write_text(name, json.dumps(data, indent=2, allow_nan=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a text file by rename."""
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file by rename."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_file(target, data)

    def check(self) -> None:
        """Make sure that the directory is a run, or may become one; nothing is made.

        Raises:
            UsageError: if something else is there.
        """
        if self.path.name == LATEST and self.path.parent.resolve() == ROOT.resolve():
            raise UsageError(f"--out {self.path}: that name is kept for a link; choose another")
        try:
            present = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
        except OSError as error:
            raise UsageError(
                f"--out {self.path}: not a folder ({error.strerror}); name another one"
            ) from error
        strangers = sorted(n for n in present - _STARTING if not n.startswith("."))
        if not self.is_run and strangers:
            raise UsageError(
                f"--out {self.path}: it holds {strangers[0]!r} and is not a run; "
                "name a new or empty folder"
            )

    def make(self) -> None:
        """Make the directory.

        Raises:
            UsageError: if it cannot be made.
        """
        make_folder(self.path)


def make_folder(path: Path) -> None:
    """Make the folder ``path`` of ``--out``, unless it is there.

    Raises:
        UsageError: if it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--out {path}: cannot be made ({error.strerror}); name another folder"
        ) from error


def new_directory(data: str, root: Path = ROOT) -> RunDirectory:
    """A free ``root/<data>-<date>-<n>``; not made yet."""
    from undrift.data import short_name  # listing runs need not load the image libraries

    stem = short_name(data)
    n = 1
    while (path := root / f"{stem}-{date.today():%Y%m%d}-{n}").exists():
        n += 1
    return RunDirectory(path)


def point_latest(run: RunDirectory) -> None:
    """Let ``runs/latest`` point at ``run``, if it lives in ``runs/``."""
    if run.path.parent.resolve() != ROOT.resolve():
        return
    link = ROOT / LATEST
    staged = ROOT / f".{LATEST}.{os.getpid()}"
    staged.unlink(missing_ok=True)
    staged.symlink_to(run.path.name)
    staged.replace(link)


def open_run(path: str | os.PathLike[str]) -> RunDirectory:
    """The run at ``path``.

    Raises:
        ModelFileError: if there is nothing, or no run.
    """
    run = RunDirectory(path)
    if not run.path.is_dir():
        prompt = any(map(str.isspace, str(path)))
        hint = "; images are drawn by --labels NAME, not from a prompt" if prompt else ""
        raise ModelFileError(f"{path}: no such run{hint}; `undrift runs list` shows what there is")
    if not run.is_run:
        raise ModelFileError(f"{path}: not a run, config.yaml is missing; name a folder in runs/")
    return run


def runs_in(folder: Path) -> list[Path]:
    """Folders in ``folder`` in which training has begun, by name; none where that is no folder."""
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except OSError:
        return []
    return [entry for entry in entries if RunDirectory(entry).was_started]


def list_runs(root: str | os.PathLike[str] = ROOT) -> list[RunDirectory]:
    """Every run in ``root``, by name; ``latest`` is a link to one of them and left out."""
    root = Path(root)
    if not root.is_dir():
        return []
    entries = sorted(entry for entry in root.iterdir() if not entry.is_symlink())
    return [run for run in map(RunDirectory, entries) if run.is_run]
