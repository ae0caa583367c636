"""``undrift runs list`` and ``undrift runs show RUN``: they load no torch and write nothing."""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from undrift.cli.console import columns, duration, following, make_console
from undrift.cli.flags import parse
from undrift.errors import ModelFileError, UsageError
from undrift.files.reading import read_json

if TYPE_CHECKING:
    from undrift.runs.directory import RunDirectory

SILENT_AFTER = 300.0
"""Seconds without a heartbeat after which a running run is shown with the time since."""

USAGE = """usage: undrift runs [list | show RUN]

  list  every run of a folder: its state, its steps and its age (--root FOLDER, default runs)
  show  one run: its state, its data, its last losses, its first metrics and its files

next: undrift runs list"""


@dataclass(frozen=True)
class List:
    """List the runs of a folder.

    Attributes:
        root: the folder that holds the runs.
    """

    root: str = "runs"


@dataclass(frozen=True)
class Show:
    """Show one run.

    Attributes:
        target: the run: runs/NAME or runs/latest.
    """

    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(name="RUN", metavar="RUN")]


def run(arguments: list[str]) -> None:
    """Parse ``arguments`` and print.

    Raises:
        UsageError: for another action than list and show.
        ModelFileError: if the run to show is none, or damaged; a list shows that and goes on.
    """
    action, *rest = arguments or ["list"]
    if action in ("-h", "--help"):
        print(USAGE)
    elif action == "list":
        _list(parse(List, "runs list", rest))
    elif action == "show":
        _show(parse(Show, "runs show", rest))
    elif action.startswith("-"):
        _list(parse(List, "runs list", arguments))
    else:
        near = difflib.get_close_matches(action, ("list", "show"), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "there are list and show"
        raise UsageError(f"runs {action!r}: unknown; {hint}")


def _list(asked: List) -> None:
    from undrift.runs.directory import list_runs

    console = make_console()
    runs = list_runs(asked.root)
    if not runs:
        console.print(f"no runs in {asked.root}")
        console.print(following("undrift", "train", "digits"))
        return
    rows: list[tuple[str, ...]] = [("RUN", "STATE", "STEP", "IMAGES", "STARTED")]
    for found in runs:
        try:
            events = _events(found)
            facts = (_state(found), _step(found), _images(events), _age(events))
        except ModelFileError:
            facts = ("damaged", "-", "-", "-")
        rows.append((str(found.path), *facts))
    for line in columns(rows):
        console.print(line)
    console.print(following("undrift", "runs", "show", runs[-1].path))


def _show(asked: Show) -> None:
    from undrift.runs.directory import open_run

    console = make_console()
    found = open_run(asked.target)
    events = _events(found)
    facts = [
        ("run", str(found.path)),
        ("state", _state(found)),
        ("step", _step(found)),
        ("images", _images(events)),
        ("started", _age(events)),
        *_losses(found, events),
        *_metrics(found.path / "evaluation" / "first.json"),
        *(("file", str(path)) for path in _files(found)),
    ]
    for line in columns(facts):
        console.print(line)
    console.print(_next(found))


def _events(found: RunDirectory) -> list[dict[str, Any]]:
    from undrift.runs.events import read_events

    with _meaning(found.events):
        events = read_events(found.events)
        sound = all(
            isinstance(event["event"], str)
            and isinstance(event["time"], int | float)
            and isinstance(event.get("images", 0), int)
            for event in events
        )
    if not sound:
        raise _damaged(found.events)
    return events


def _status(found: RunDirectory) -> dict[str, Any]:
    path = found.path / "status.json"
    with _meaning(path):
        status = found.status()
        sound = (
            isinstance(status.get("state", ""), str)
            and isinstance(status.get("heartbeat", 0), int | float)
            and status.keys() >= ({"step", "steps"} if "step" in status else set())
        )
    if not sound:
        raise _damaged(path)
    return status


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
    status = _status(found)
    state = status.get("state", "not started")
    silent = time.time() - status.get("heartbeat", time.time())
    if state == "running" and silent > SILENT_AFTER:
        return f"running, silent for {duration(silent)}"
    return state


def _step(found: RunDirectory) -> str:
    status = _status(found)
    return f"{status['step']}/{status['steps']}" if "step" in status else "-"


def _images(events: list[dict[str, Any]]) -> str:
    seen = [event["images"] for event in events if "images" in event]
    return f"{seen[-1]:,}" if seen else "-"


def _age(events: list[dict[str, Any]]) -> str:
    return f"{duration(time.time() - events[0]['time'])} ago" if events else "-"


def _losses(found: RunDirectory, events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    last: dict[str, str] = {}
    with _meaning(found.events):
        for event in events:
            if event["event"] == "train":
                last["loss"] = f"{event['loss']:.4f} at step {event['step']}"
            elif event["event"] == "validation":
                name = f"validation ({event['weights']})"
                last[name] = f"{event['loss']:.4f} at step {event['step']}"
    return list(last.items())


def _metrics(path: Path) -> list[tuple[str, str]]:
    if not os.path.lexists(path):
        return []
    with _meaning(path):
        metrics = read_json(path, ModelFileError, "restore or delete it")["metrics"].values()
        return [(entry["name"], _value(entry)) for entry in metrics]


def _value(entry: dict[str, Any]) -> str:
    floor = entry.get("floor")
    return f"{entry['value']:.4g}" + ("" if floor is None else f" (floor {floor:.4g})")


def _files(found: RunDirectory) -> list[Path]:
    wanted = [found.config, found.report, found.path / "grid.png", found.pipeline]
    return [path for path in wanted if path.exists()]


def _next(found: RunDirectory) -> str:
    if found.pipeline.exists():
        return following("undrift", "sample", found.path)
    return following("undrift", "train", found.path)
