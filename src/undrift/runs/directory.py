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
import re
import stat
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

from undrift.advice import named
from undrift.errors import ModelFileError, UsageError
from undrift.files.destination import check_room
from undrift.files.durable import beside, standing, sweep, write_file, writing
from undrift.files.ownership import reason
from undrift.files.reading import read_mapping
from undrift.json_types import JsonValue
from undrift.schema import from_plain, to_plain

ROOT = Path("runs")
LATEST = "latest"
COLLECTIONS = {"protocol.json": "comparison", "study.json": "study"}
"""The file that makes a folder a collection of runs, and what that is called."""

_STARTING = frozenset(
    {"LOCK", "environment.json", "data.json", "status.json", "log.txt", "metrics.jsonl"}
)
"""What a run that has not reached its first step may hold beside its configuration."""

_GRID = re.compile(r"step_\d+_\w+\.png")
_FILES = (*_STARTING, "config.yaml", "best.json", "grid.png", "report.html")
_FOLDERS = ("samples", "inpainted", "checkpoints", "ema", "pipeline", "best", "evaluation")


@dataclass(frozen=True)
class Status:
    """``status.json``; nothing is known of a run that has none.

    Attributes:
        state: "running", "done", "failed" or "interrupted".
        step: optimiser updates made.
        steps: of the whole run.
        heartbeat: when it was last written, in seconds since the epoch.
    """

    state: str | None = None
    step: int | None = None
    steps: int | None = None
    heartbeat: float | None = None

    def __post_init__(self) -> None:
        if self.step is not None and self.steps is None:
            raise UsageError(f"step {self.step} without steps")


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
        """Folder of the pipeline that validated best, where samples were evaluated periodically."""
        return self.path / "best"

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.html"

    @property
    def is_run(self) -> bool:
        """Whether a run lives here."""
        return os.path.isfile(self.config)  # a name that cannot be one is none

    @property
    def is_closed(self) -> bool:
        """Whether this is a folder that this process may not enter."""
        return os.path.isdir(self.path) and not os.access(self.path, os.X_OK)

    @property
    def was_started(self) -> bool:
        """Whether training has begun here; a config.yaml alone may be anyone's."""
        marks = ("environment.json", "status.json", "checkpoints")
        return self.is_run and any((self.path / name).exists() for name in marks)

    def status(self) -> Status:
        """Contents of ``status.json``.

        Raises:
            ModelFileError: if the file cannot be read, or is not as `write_status` writes it.
        """
        path, advice = self.path / "status.json", "delete it, the next start writes it anew"
        if not os.path.lexists(path):
            return Status()
        plain = read_mapping(path, ModelFileError, advice)
        known = {one.name: plain[one.name] for one in fields(Status) if one.name in plain}
        try:
            return from_plain(Status, known, str(path))
        except UsageError as error:
            raise ModelFileError(f"{error}; {advice}") from error

    def write_status(self, state: str, step: int, steps: int) -> None:
        """Replace ``status.json``."""
        self.write_json("status.json", to_plain(Status(state, step, steps, time.time())))

    def write_json(self, name: str, data: Mapping[str, JsonValue]) -> None:
        """Write a JSON file by rename, so that readers see the old one or the new one."""
        self.write_text(name, json.dumps(data, indent=2, allow_nan=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a text file by rename."""
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file by rename.

        Raises:
            UsageError: if it cannot be written.
        """
        target = self.path / name
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_file(target, data)

    def check_writable(self, advice: str = "make room or repair that") -> None:
        """Make sure that a result can be written here, before work is spent on it.

        Args:
            advice: what to do if not, for the error.

        Raises:
            UsageError: if it cannot.
        """
        try:
            check_room(self.path)
        except OSError as error:
            raise UsageError(
                f"{self.path}: no result can be written there ({error.strerror}); {advice}"
            ) from error

    def check(self) -> None:
        """Make sure that the directory is a run, or may become one; nothing is made.

        Raises:
            UsageError: if something else is there.
            ModelFileError: as ``check_entries`` does.
        """
        if self.path.name == LATEST and self.path.parent.resolve() == ROOT.resolve():
            raise UsageError(
                f"{named('out')} {self.path}: that name is kept for a link; choose another"
            )
        check_folder(self.path, self.config.name, _STARTING, "a run")
        if self.is_run:
            self.check_entries()

    def check_entries(self) -> None:
        """Make sure that what a run writes into its directory would land there.

        Raises:
            ModelFileError: if the name of a file or folder of a run leads elsewhere, as a symbolic
                link does; the directory itself may be one.
        """
        for names, wanted, kind in (
            (_FILES, stat.S_ISREG, "file"),
            (_FOLDERS, stat.S_ISDIR, "folder"),
        ):
            for name in names:
                try:
                    mode = os.lstat(self.path / name).st_mode
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise ModelFileError(
                        f"{self.path / name}: cannot be read ({error.strerror}); repair the run"
                    ) from error
                if not wanted(mode):
                    what = "a symbolic link" if stat.S_ISLNK(mode) else f"not a {kind}"
                    raise ModelFileError(
                        f"{self.path / name}: {what}, and a run writes there; put a {kind} in its "
                        "place or delete it"
                    )

    def sweep(self) -> None:
        """Delete what a killed training process left half-written; for the holder of the lock.

        ``report.html`` and ``evaluation/`` are also written by commands that hold no lock.
        """
        own = {*_FILES, *_FOLDERS} - {self.report.name}
        sweep(self.path, own.__contains__)
        sweep(self.samples, _GRID.fullmatch)

    def make(self) -> None:
        """Make the directory.

        Raises:
            UsageError: if it cannot be made.
        """
        make_folder(self.path)


def check_folder(path: Path, mark: str, own: Collection[str], what: str) -> None:
    """Make sure that the folder ``path`` of ``--out`` is new, empty or a command's own.

    Args:
        path: the folder; nothing is made.
        mark: name of the file that makes it the command's own.
        own: what else the command may have left in it before that file.
        what: what the file makes it, for the message.

    Raises:
        UsageError: if something else is there.
        ModelFileError: if one of these names is a symbolic link, which would be written through.
    """
    try:
        present = set(os.listdir(path))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UsageError(
            f"{named('out')} {path}: not a folder ({reason(error)}); name another one"
        ) from error
    strangers = sorted(name for name in present - {*own} if not name.startswith("."))
    if strangers and mark not in present:
        raise UsageError(
            f"{named('out')} {path}: it holds {strangers[0]!r} and is not {what}; name a new or "
            "empty folder"
        )
    for name in sorted(present & {mark, *own}):
        if (path / name).is_symlink():
            raise ModelFileError(
                f"{path / name}: a symbolic link, and {what} is written there; "
                "put what it leads to in its place or delete it"
            )


def make_folder(path: Path) -> None:
    """Make the folder ``path`` of ``--out``, unless it is there.

    Raises:
        UsageError: if it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{named('out')} {path}: cannot be made ({reason(error)}); name another folder"
        ) from error


def new_directory(data: str, root: Path = ROOT) -> RunDirectory:
    """Make the first free ``root/<data>-<date>-<n>``; no other process is given the same one.

    Raises:
        UsageError: if it cannot be made.
    """
    from undrift.data import short_name  # listing runs need not load the image libraries

    make_folder(root)
    stem = f"{short_name(data)}-{date.today():%Y%m%d}"
    n = 1
    while True:
        path = root / f"{stem}-{n}"
        try:
            path.mkdir()
        except FileExistsError:
            n += 1
        except OSError as error:
            raise UsageError(
                f"{path}: cannot be made ({error.strerror}); name a folder with {named('out')}"
            ) from error
        else:
            return RunDirectory(path)


def is_pipeline(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` looks like a folder that ``save_pretrained`` wrote, and like no run."""
    config = os.path.join(path, "config.json")
    return not RunDirectory(path).is_run and os.path.isfile(config)


def point_latest(run: RunDirectory) -> bool:
    """Let ``runs/latest`` point at ``run``, if it lives in ``runs/``.

    Returns:
        False if ``runs/latest`` is something else than a link and was left alone.
    """
    if run.path.parent.resolve() != ROOT.resolve():
        return True
    link = ROOT / LATEST
    if os.path.lexists(link) and not link.is_symlink():
        return False
    staged = beside(link)
    staged.symlink_to(run.path.name)
    staged.replace(link)
    return True


def open_run(path: str | os.PathLike[str]) -> RunDirectory:
    """The run at ``path``.

    Raises:
        ModelFileError: if there is nothing, no run, or one that `check_entries` refuses.
    """
    run = RunDirectory(path)
    if (found := standing(run.path)) != run.path:
        raise ModelFileError(
            f"{path}: missing, a process was killed while it was replaced; rename {found} to it"
        )
    if not os.path.isdir(run.path):
        prompt = any(map(str.isspace, str(path)))
        hint = (
            "; images are drawn by undrift sample RUN --labels NAME, not from a prompt"
            if prompt
            else ""
        )
        raise ModelFileError(f"{path}: no such run{hint}; `undrift runs list` shows what there is")
    if run.is_closed:
        raise ModelFileError(f"{path}: cannot be entered (Permission denied); change its mode")
    if not run.is_run:
        raise ModelFileError(f"{path}: not a run, config.yaml is missing; name a folder in runs/")
    run.check_entries()
    return run


def runs_in(folder: Path) -> list[Path]:
    """Folders in ``folder`` in which training has begun, by name; none where that is no folder."""
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except (OSError, ValueError):  # no folder, or a name that none can have
        return []
    return [entry for entry in entries if RunDirectory(entry).was_started]


def collection_kind(path: Path) -> str | None:
    """``comparison`` or ``study``, or None where ``path`` is neither."""
    kinds = (kind for mark, kind in COLLECTIONS.items() if os.path.isfile(path / mark))
    return next(kinds, None)


def list_collections(root: str | os.PathLike[str] = ROOT) -> list[Path]:
    """Every comparison and study in ``root``, by name."""
    return [entry for entry in _entries(root) if collection_kind(entry)]


def list_runs(root: str | os.PathLike[str] = ROOT) -> list[RunDirectory]:
    """Every run in ``root``, by name; ``latest`` is a link to one of them and left out.

    A folder that cannot be entered may be a run, and is listed as one.

    Raises:
        ModelFileError: ``root`` cannot be read.
    """
    return [run for run in map(RunDirectory, _entries(root)) if run.is_run or run.is_closed]


def _entries(root: str | os.PathLike[str]) -> list[Path]:
    """What is in ``root``, by name, without links; nothing where that is no folder.

    Raises:
        ModelFileError: it cannot be read.
    """
    if not os.path.isdir(root):
        return []
    try:
        return sorted(entry for entry in Path(root).iterdir() if not entry.is_symlink())
    except OSError as error:
        raise ModelFileError(
            f"{root}: cannot be read ({error.strerror}); name another {named('root')}"
        ) from error
