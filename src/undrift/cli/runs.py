"""``undrift runs list``, ``show RUN`` and ``rm RUN``; they load no torch."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import tyro

from undrift import synonyms
from undrift.cli.console import columns, following, make_console
from undrift.cli.flags import parse, repeated
from undrift.errors import ModelFileError, UsageError, shown
from undrift.files.destination import LONGEST_PATH
from undrift.files.reading import mapping, read_mapping
from undrift.names import did_you_mean
from undrift.wording import duration, plural

if TYPE_CHECKING:
    from undrift.runs.directory import RunDirectory
    from undrift.runs.events import Event

SILENT_AFTER = 300.0
"""Seconds without a heartbeat after which a running run is shown with the time since."""

USAGE = """usage: undrift runs [list | show RUN | rm RUN ...]

  list  every run, comparison and study of a folder: its state, its steps and its age
        (--root FOLDER, default runs)
  show  one run: its state, its data, its last losses, its first metrics and its files
  rm    delete runs, comparisons and studies, after a question or with --yes

next: undrift runs list"""


@dataclass(frozen=True)
class List:
    """List the runs of a folder.

    Attributes:
        root: the folder that holds the runs.
    """

    root: str = "runs"

    def __post_init__(self) -> None:
        _check_root(self.root)


@dataclass(frozen=True)
class Show:
    """Show one run.

    Attributes:
        target: the run: runs/NAME or runs/latest.
    """

    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(name="RUN", metavar="RUN")]


@dataclass(frozen=True)
class Remove:
    """Delete runs, comparisons and studies.

    Attributes:
        targets: what to delete: runs/NAME, or NAME in --root.
        root: the folder that holds the runs.
        yes: delete without a question.
    """

    targets: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(name="RUN", metavar="RUN [RUN ...]")
    ]
    root: str = "runs"
    yes: bool = False

    def __post_init__(self) -> None:
        _check_root(self.root)


def _check_root(root: str) -> None:
    if len(root) > LONGEST_PATH:
        raise UsageError(f"--root {shown(root)}: no folder has so long a path")


ACTIONS = ("list", "show", "rm")


def run(arguments: list[str]) -> None:
    """Parse ``arguments`` and print.

    Raises:
        UsageError: for an unknown action, or a deletion without ``--yes`` and without a terminal.
        ModelFileError: if the run to show is none, or damaged; a list shows that and goes on.
    """
    action, *rest = arguments or ["list"]
    if action in ("-h", "--help"):
        print(USAGE)
    elif action == "list":
        _list(parse(List, "runs list", rest))
    elif action == "show":
        _show(parse(Show, "runs show", rest))
    elif action == "rm":
        _remove(parse(Remove, "runs rm", rest))
    elif action.startswith("-"):
        _list(parse(List, "runs list", arguments))
    else:
        hint = did_you_mean(action, ACTIONS, "there are list, show and rm", synonyms.ACTIONS)
        raise UsageError(f"runs {action!r}: unknown; {hint}")


def _list(flags: List) -> None:
    from undrift.runs.directory import list_collections, list_runs
    from undrift.runs.events import read_events

    console = make_console()
    runs = list_runs(flags.root)
    collections = list_collections(flags.root)
    if not runs and not collections:
        console.print(f"no runs in {flags.root}")
        out = [] if flags.root == List.root else ["--out", Path(flags.root) / "digits"]
        console.print(following("undrift", "train", "digits", *out))
        return
    rows: list[tuple[str, ...]] = [("RUN", "STATE", "STEP", "IMAGES", "STARTED")]
    for found in runs:
        try:
            events = read_events(found.events)
            facts = (_state(found), _step(found), _images(events), _age(events))
        except ModelFileError:
            facts = ("damaged", "-", "-", "-")
        if found.is_closed:
            facts = ("unreadable", "-", "-", "-")
        rows.append((str(found.path), *facts))
    rows += [_collection(path) for path in collections]
    for line in columns(rows):
        console.print(line)
    if runs:
        console.print(following("undrift", "runs", "show", runs[-1].path))
    else:
        console.print(following("undrift", "runs", "list", "--root", collections[-1] / "runs"))


def _collection(path: Path) -> tuple[str, ...]:
    """The line of a comparison or a study; the runs of a study lie in its comparisons."""
    from undrift.runs.directory import COLLECTIONS, collection_kind, list_runs

    kind = collection_kind(path) or ""
    folders = [path / "runs"] if kind == "comparison" else sorted(path.glob("*/runs"))
    states = []
    for found in (run for folder in folders for run in list_runs(folder)):
        try:
            states.append(_state(found))
        except ModelFileError:
            states.append("damaged")
    ended = "" if (path / "report.json").exists() else ", unfinished"
    (mark,) = (path / name for name, of in COLLECTIONS.items() if of == kind)
    age = f"{duration(time.time() - mark.stat().st_mtime)} ago"
    done = f"{states.count('done')} of {plural(len(states), 'run')}"
    return str(path), f"{kind}{ended}", done, "-", age


def _remove(flags: Remove) -> None:
    from undrift.runs.removal import find_removable, remove

    console = make_console()
    found = find_removable(flags.targets, flags.root)
    for each in found:
        what = f"{plural(each.files, 'file')}, {each.size / 1e6:,.1f} MB"
        console.print(f"{each.kind} {each.path}: {what}")
    if not flags.yes:
        if not sys.stdin.isatty():
            raise UsageError(
                "runs rm: no terminal to confirm the deletion at; give --yes to delete"
            )
        if input("delete? [y/N] ").strip().lower() not in ("y", "yes"):
            console.print("nothing was deleted")
            return
    remove(found)
    console.print(f"deleted {plural(len(found), 'folder')}")
    console.print(following("undrift", "runs", "list", *repeated(flags, List, keep=("root",))))


def _show(flags: Show) -> None:
    from undrift.runs.directory import open_run
    from undrift.runs.events import read_events

    console = make_console()
    found = open_run(flags.target)
    events = read_events(found.events)
    facts = [
        ("run", str(found.path)),
        ("state", _state(found)),
        ("step", _step(found)),
        ("images", _images(events)),
        ("started", _age(events)),
        *_losses(events),
        *_metrics(found.path / "evaluation" / "first.json"),
        *(("file", str(path)) for path in _files(found)),
    ]
    for line in columns(facts):
        console.print(line)
    console.print(_next(found))


@contextmanager
def _meaning(path: Path) -> Iterator[None]:
    """Whatever goes wrong with what ``path`` says is the fault of a damaged file, not a bug."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> ModelFileError:
    return ModelFileError(f"{path}: damaged, or not written by undrift; restore or delete it")


def _state(found: RunDirectory) -> str:
    from undrift.files.lock import FileLock

    status = found.status()
    state = status.state or "not started"
    if state == "running" and not FileLock(found.path).taken():
        return "crashed"
    silent = 0.0 if status.heartbeat is None else time.time() - status.heartbeat
    if state == "running" and silent > SILENT_AFTER:
        return f"running, silent for {duration(silent)}"
    return state


def _step(found: RunDirectory) -> str:
    status = found.status()
    return "-" if status.step is None else f"{status.step}/{status.steps}"


def _images(events: list[Event]) -> str:
    seen = [event.images for event in events if event.images is not None]
    return f"{seen[-1]:,}" if seen else "-"


def _age(events: list[Event]) -> str:
    return f"{duration(time.time() - events[0].time)} ago" if events else "-"


def _losses(events: list[Event]) -> list[tuple[str, str]]:
    """Newest training and validation losses, distances of samples and condition gaps."""
    last: dict[str, str] = {}
    for event in events:
        figures: dict[str, float | None] = {}
        if event.kind == "train":
            figures["loss"] = event.loss
        elif event.kind == "validation":
            figures[f"validation ({event.weights})"] = event.loss
            distance = event.number("sample_distance")
            figures[f"accuracy ({event.weights})"] = event.number("accuracy")
            figures[f"distance of samples ({event.weights})"] = distance
            for kind in event.part("condition_gaps").entries:
                gap = event.number("condition_gaps", kind, "gap")
                figures[f"condition gap of {kind} ({event.weights})"] = gap
        for name, value in figures.items():
            if value is not None:
                last[name] = f"{value:.4f} at step {event.step}"
    return list(last.items())


def _metrics(path: Path) -> list[tuple[str, str]]:
    if not os.path.lexists(path):
        return []
    with _meaning(path):
        advice = "restore or delete it"
        plain = read_mapping(path, ModelFileError, advice)
        rows = []
        for one in mapping(plain["metrics"], str(path), ModelFileError, advice).values():
            entry = mapping(one, str(path), ModelFileError, advice)
            value, floor = cast(float, entry["value"]), cast(float | None, entry.get("floor"))
            rows.append((str(entry["name"]), _value(value, floor)))
        return rows


def _value(value: float, floor: float | None) -> str:
    return f"{value:.4g}" + ("" if floor is None else f" (floor {floor:.4g})")


def _files(found: RunDirectory) -> list[Path]:
    wanted = [found.config, found.report, found.path / "grid.png", found.pipeline]
    return [path for path in wanted if path.exists()]


def _next(found: RunDirectory) -> str:
    if found.pipeline.exists():
        if (found.path / "grid.png").exists():
            return following("undrift", "sample", found.path)
        from undrift.cli.sample import trained  # of one that draws no images; loads torch

        return following("undrift", "sample", *trained(None, found.path))
    return following("undrift", "train", found.path)
