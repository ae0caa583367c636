"""A process that has everything loaded and forks one child for each command.

Starting Python and loading torch takes several seconds of a core, as long as a short run trains; a
fork takes a hundredth of one. The process reads requests from its standard input and writes what
happens to its standard output, one JSON object a line:

    {"id": 3, "words": ["train", ...], "log": PATH, "threads": 1}   start ``undrift train ...``
    {"id": 3, "signal": 15}                                       send it a signal
    <- {"id": 3, "code": 0, "seconds": 9.1, "cpu": 8.8}           it has ended

It computes nothing itself, so that no thread of a library is lost in a fork. When its input ends,
because its parent has ended in whatever way, it stops its children and exits.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from undrift.files.filesystem import open_own

LOADED = (
    "undrift.cli.train",
    "undrift.cli.evaluate",
    "undrift.workflows.train",
    "undrift.evaluation",
    "undrift.metrics.features",
    # what these import only when they need it: every run does
    "sklearn.cluster",
    "sklearn.datasets",
    "torch._dynamo",
    "tyro",
)
"""What is loaded before the first fork, with all that it imports in turn."""

GRACE = 120.0
"""Seconds that a run gets to save its work when everything is stopped."""

POLL = 0.05
"""Seconds between two polls of its children."""


@dataclass(frozen=True)
class Start:
    """Request to start ``undrift WORDS``.

    Attributes:
        id: number of the job.
        words: the arguments.
        log: file of its output.
        threads: CPU threads.
    """

    id: int
    words: list[str]
    log: str
    threads: int


@dataclass(frozen=True)
class Signal:
    """Request to send a job a signal.

    Attributes:
        id: number of the job.
        signal: number of the signal.
    """

    id: int
    signal: int


@dataclass
class _Child:
    number: int
    pid: int
    began: float


def main() -> None:
    """Serve requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for the parent
    for name in LOADED:
        importlib.import_module(name)
    children: list[_Child] = []
    unread = b""
    while True:
        if select.select([sys.stdin], [], [], POLL)[0]:
            data = os.read(0, 65536)
            if not data:
                break
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                plain = json.loads(line)
                request = Signal(**plain) if "signal" in plain else Start(**plain)
                _serve(request, children)
        _reap(children)
    _exit(children)


def _serve(request: Start | Signal, children: list[_Child]) -> None:
    if isinstance(request, Signal):
        for child in children:
            if child.number == request.id:
                _send(child, request.signal)
        return
    pid = os.fork()
    if not pid:
        _become(request.words, Path(request.log), request.threads)
    _own_group(pid)  # here too: a signal may come before the child has got so far
    children.append(_Child(request.id, pid, time.perf_counter()))


def _become(words: list[str], log: Path, threads: int) -> None:
    """Be ``python -m undrift WORDS``, in the child; does not return."""
    _own_group(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    out = open_own(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, out), (2, out)):
        os.dup2(source, target)
    import torch

    torch.set_num_threads(threads)
    sys.argv = ["undrift", *words]
    code = 1
    try:
        runpy.run_module("undrift", run_name="__main__")
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _own_group(pid: int) -> None:
    """Let signals reach the child and all that it starts, and no other process."""
    with contextlib.suppress(PermissionError, ProcessLookupError):  # it has, or has ended
        os.setpgid(pid, pid)


def _reap(children: list[_Child]) -> None:
    for child in list(children):
        # not waitpid: only this measures the processor time of the child
        done, status, usage = os.wait4(child.pid, os.WNOHANG)
        if done:
            children.remove(child)
            found = {
                "id": child.number,
                "code": os.waitstatus_to_exitcode(status),
                "seconds": time.perf_counter() - child.began,
                "cpu": usage.ru_utime + usage.ru_stime,
            }
            with contextlib.suppress(BrokenPipeError):
                os.write(1, json.dumps(found).encode() + b"\n")


def _exit(children: list[_Child]) -> None:
    for child in children:
        _send(child, signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    while children and time.monotonic() < deadline:
        time.sleep(POLL)
        _reap(children)
    for child in children:
        _send(child, signal.SIGKILL)


def _send(child: _Child, number: int) -> None:
    """To the child's whole group, which is there until it is reaped."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)
