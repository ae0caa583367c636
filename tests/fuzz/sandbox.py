"""One case in a process of its own: what it may use, where it may write, and what became of it.

The child is forked from a process that has everything loaded. It has a folder, and what lies
outside is watched twice: an audit hook of the interpreter ends the child before it opens, moves or
removes anything there, and what libraries write by themselves shows in the guard, a folder beside
the case's own whose every byte is known.
"""

from __future__ import annotations

import faulthandler
import hashlib
import os
import resource
import select
import shutil
import signal
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO, cast

MEMORY = 2**30
FILE_SIZE = 2**26
LONGEST_OUTPUT = 2**16

VIOLATION = 98
OWN = "mine"
"""Folder in a case's own whose files stand for the user's: none of them may change."""

Act = Callable[[TextIO], int]
Console = Literal["utf-8", "ascii", "full", "closed"]
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FOLLOWING = {"os.truncate": None, "os.chmod": 2, "os.chown": 3, "os.utime": 3}
_CHANGES = {**_FOLLOWING, "os.remove": 1, "os.rmdir": 1, "os.mkdir": 2, "shutil.rmtree": 1}
"""Events of the interpreter, and which of their arguments is the folder that a name is in."""

_MOVES = {"os.rename": 3, "os.link": 3, "os.symlink": 2}
_PROGRAMS = {"g++", Path(sys.executable).name}


@dataclass(frozen=True)
class Limits:
    """What a case may take before it counts as hanging.

    Attributes:
        cpu: seconds of processor time.
        asleep: seconds without any use of the processor, and without children that could work.
        wall: seconds in all; many, since the machine may be busy.
    """

    cpu: int = 10
    asleep: float = 10.0
    wall: float = 150.0


@dataclass(frozen=True)
class Outcome:
    """How a case ended.

    Attributes:
        code: exit code; None where a signal ended it.
        signal: that signal, or None.
        hung: why it was ended, if it was.
        growth: bytes of resident memory above those it was forked with, at most.
        cpu: seconds of processor time.
        stdout: what it printed, cut.
        stderr: the same.
        trace: traceback of an unexpected error, where it was when it was ended, or the violation.
        changed: what is different in the guard, or was left beside it.
    """

    code: int | None
    signal: int | None
    hung: str
    growth: int
    cpu: float
    stdout: str
    stderr: str
    trace: str
    changed: list[str]


class Sandbox:
    """A folder with room for one case after the other.

    Args:
        root: made, and everything in it is ours.
        limits: of a case.
    """

    def __init__(self, root: Path, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.root = root.resolve()
        self.case = self.root / "case"
        self.guard = self.root / "guard"
        self._output = [self.root / name for name in ("stdout", "stderr", "trace")]
        self.root.mkdir(parents=True)
        for path in self._output:
            path.touch()
        _make_guard(self.guard)
        self._sound = _described(self.guard)

    def run(
        self,
        prepare: Callable[[Path], object],
        act: Act,
        *,
        console: Console = "utf-8",
        keep: bool = False,
    ) -> Outcome:
        """Fill the case's folder by ``prepare``, and ``act`` there, in a child.

        Args:
            prepare: called in this process with the folder; the guard is beside it.
            act: called in the child, with the folder as working directory and a file for the
                traceback of what it did not expect; returns an exit code.
            console: what its stdout is: of this encoding, full, or closed.
            keep: leave the folder.
        """
        for name in ("home", "cache", "tmp"):
            (self.case / name).mkdir(parents=True)
        prepare(self.case)
        nodes, own = _nodes(self.case), _described(self.case / OWN)
        for path in self._output:
            os.truncate(path, 0)
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            self._child(act, console)
        status, usage, hung = _watched(child, self.limits)
        growth = usage.ru_maxrss * 1024 - _resident_of(self._output[2])
        outcome = Outcome(
            code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            hung=hung,
            growth=growth,
            cpu=usage.ru_utime + usage.ru_stime,
            stdout=_text(self._output[0]),
            stderr=_text(self._output[1]),
            trace=_text(self._output[2]).partition("\n")[2],
            changed=[*self._changes(), *_changed_nodes(nodes), *_lost(self.case / OWN, own)],
        )
        if not keep:
            _remove(self.case)
        return outcome

    def _changes(self) -> list[str]:
        """Differences in and beside the guard, which is made anew if there are any."""
        known = {"case", "guard", *(path.name for path in self._output)}
        beside = [path for path in self.root.iterdir() if path.name not in known]
        found = [f"{path.name} appeared beside the case's folder" for path in beside]
        for path in beside:
            _remove(path)
        now = _described(self.guard)
        if now != self._sound:
            different = sorted(now.items() ^ self._sound.items())
            found.append(f"the guard changed: {', '.join({name for name, _ in different})}")
            _remove(self.guard)
            _make_guard(self.guard)
            self._sound = _described(self.guard)
        return found

    def _child(self, act: Act, console: Console) -> None:
        """Never returns."""
        code = 1
        try:
            os.setsid()
            os.chdir(self.case)
            trace = self._enclosed(console)
            try:
                code = act(trace)
                if console in ("utf-8", "ascii"):
                    sys.stdout.flush()
            except BaseException:
                traceback.print_exc(file=trace)
                trace.flush()
        finally:
            os._exit(code)

    def _enclosed(self, console: Console) -> TextIO:
        """Limits, folders and descriptors of this process; returns the file for traces."""
        null = os.open(os.devnull, os.O_RDONLY)
        files = [os.open(path, os.O_WRONLY | os.O_APPEND) for path in self._output]
        for number, file in enumerate((null, *files[:2])):
            os.dup2(file, number)
        sys.stdin = open(0, closefd=False)
        if console == "full":
            os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
        elif console == "closed":
            os.close(1)
        known = "ascii" if console == "ascii" else "utf-8"
        stdout = None if console == "closed" else open(1, "w", encoding=known, closefd=False)
        sys.stdout = cast(TextIO, stdout)  # None is what Python makes of a closed one
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        trace = open(files[2], "w", encoding="utf-8", errors="backslashreplace")
        pages, resident = map(int, Path("/proc/self/statm").read_text().split()[:2])
        page = resource.getpagesize()
        print(resident * page, file=trace, flush=True)
        faulthandler.enable(trace)
        faulthandler.register(signal.SIGXCPU, trace, all_threads=False, chain=True)
        # Address space is no memory, but what is asked for is meant: half as much again.
        space = pages * page + MEMORY * 3 // 2
        for limit, value in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_CPU, self.limits.cpu),
            (resource.RLIMIT_FSIZE, FILE_SIZE),
            (resource.RLIMIT_AS, space),
        ):
            _, most = resource.getrlimit(limit)
            if limit == resource.RLIMIT_CPU:
                most = value + 3  # a second signal, which no handler keeps
            resource.setrlimit(limit, (value, most))
        tempfile.tempdir = str(self.case / "tmp")
        os.environ |= {
            "HOME": str(self.case / "home"),
            "TMPDIR": str(self.case / "tmp"),
            "UNDRIFT_CACHE": str(self.case / "cache"),
            "XDG_CACHE_HOME": str(self.case / "cache"),
            "TORCHINDUCTOR_CACHE_DIR": str(self.case / "cache" / "torch"),
        }
        _watch(self.case, trace)
        return trace


def _watch(inside: Path, trace: TextIO) -> None:
    """End this process before it touches what is not its own."""

    def violate(text: str) -> None:
        traceback.print_stack(file=trace)
        print(f"violation: {text}", file=trace, flush=True)
        os._exit(VIOLATION)

    def changes(event: str, name: Any, follow: bool, folder: Any = None) -> None:
        if isinstance(name, int) or name is None:
            return
        inside_of = f"/proc/self/fd/{folder}" if isinstance(folder, int) and folder >= 0 else ""
        path = os.path.abspath(os.path.join(inside_of, os.fsdecode(name)))
        if not follow:
            path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        else:
            path = os.path.realpath(path)
        there = os.path.lexists(path) if event == "os.mkdir" else False
        if there or not os.path.isdir(os.path.dirname(path)):
            return  # which fails, and changes nothing
        if not f"{path}/".startswith(f"{inside}/") and path != os.devnull:
            violate(f"{event} {path!r}")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            name, _, flags = arguments
            if flags & _WRITES:
                changes("writes", name, follow=True)
            if isinstance(name, str | bytes) and not flags & os.O_NONBLOCK and _is_node(name):
                violate(f"opens {name!r}")
        elif event in _CHANGES:
            at = _CHANGES[event]
            folder = None if at is None else arguments[at]
            changes(event, arguments[0], event in _FOLLOWING, folder)
        elif event in _MOVES:
            changes(event, arguments[1], False, arguments[_MOVES[event]])
            if event == "os.rename":
                changes(event, arguments[0], False, arguments[2])
        elif event in ("socket.connect", "socket.getaddrinfo", "socket.bind"):
            violate(f"{event} {arguments!r}")
        elif event in ("os.system", "os.exec", "os.posix_spawn"):
            violate(f"{event} {arguments!r}")
        elif event == "subprocess.Popen" and Path(os.fsdecode(arguments[0])).name not in _PROGRAMS:
            violate(f"starts {arguments[0]!r}")

    sys.addaudithook(hook)


def _is_node(name: str | bytes) -> bool:
    """Whether an open of ``name`` would reach a device, pipe or socket that may do anything."""
    if os.fsdecode(name) in (os.devnull, "/dev/urandom", "/dev/random"):
        return False
    try:
        mode = os.stat(name).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _watched(child: int, limits: Limits) -> tuple[int, resource.struct_rusage, str]:
    """Wait for a process; end it, with all that it started, where it hangs."""
    started = time.monotonic()
    moved, spent, hung = started, -1.0, ""
    ending = os.pidfd_open(child)
    try:
        while not hung and not select.select([ending], [], [], 0.5)[0]:
            now = time.monotonic()
            cpu, sleeps = _activity(child)
            if cpu != spent or not sleeps:
                spent, moved = cpu, now
            if now - moved > limits.asleep:
                hung = f"slept for {limits.asleep:g} s"
            elif now - started > limits.wall:
                hung = f"took {limits.wall:g} s"
        if hung:
            os.kill(child, signal.SIGXCPU)  # says where it is
            if not select.select([ending], [], [], 2.0)[0]:
                os.kill(child, signal.SIGKILL)
    finally:
        os.close(ending)
    _, status, usage = os.wait4(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
        hung = hung or f"used {limits.cpu} s of processor time"
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return status, usage, hung


def _activity(process: int) -> tuple[float, bool]:
    """Processor time so far, and whether the process sleeps without children that could work."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return -1.0, False
    words = text.rpartition(")")[2].split()
    return float(int(words[11]) + int(words[12])), words[0] in "SD" and not children


def _make_guard(folder: Path) -> None:
    """Files of every kind that no case may change."""
    folder.mkdir()
    (folder / "secret.txt").write_text("nobody reads this\n")
    (folder / "000000.png").write_bytes(b"\x89PNG\r\n\x1a\n mine")
    (folder / "photos").mkdir()
    (folder / "photos" / "one.png").write_bytes(b"mine too")
    (folder / ".keep.partial").mkdir()
    (folder / ".keep.partial" / "draft").write_text("a user's own\n")
    os.mkfifo(folder / "pipe")


def _described(folder: Path) -> dict[str, str]:
    """Inode, kind, time and content of everything in a folder."""
    found = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        facts = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(facts.st_mode) else b""
        digest = hashlib.sha256(content).hexdigest()
        name = str(path.relative_to(folder))
        found[name] = f"{facts.st_ino} {facts.st_mode} {facts.st_mtime_ns} {digest}"
    return found


def _nodes(folder: Path) -> dict[Path, tuple[int, int]]:
    """Pipes, devices and links in a folder, by inode and mode; the cache may be made anew."""
    found = {}
    for above, folders, files in os.walk(folder):
        if Path(above) == folder:
            folders.remove("cache")
        for name in (*folders, *files):
            path = Path(above, name)
            facts = path.lstat()
            if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):
                found[path] = (facts.st_ino, facts.st_mode)
    return found


def _changed_nodes(nodes: dict[Path, tuple[int, int]]) -> list[str]:
    """Pipes and devices that are something else now; links may be replaced with their folder."""
    found = []
    for path, (inode, mode) in nodes.items():
        if stat.S_ISLNK(mode) or not path.parent.exists():
            continue  # a folder that was deleted on request goes with what is in it
        try:
            facts = path.lstat()
        except OSError:
            found.append(f"{path.name!r}, {stat.filemode(mode)}, is gone")
            continue
        if (facts.st_ino, facts.st_mode) != (inode, mode):
            found.append(f"{path.name!r}, {stat.filemode(mode)}, was replaced")
    return found


def _lost(folder: Path, before: dict[str, str]) -> list[str]:
    """The user's own files that are gone or changed."""
    now = _described(folder)
    return [f"{OWN}/{name} changed" for name, facts in before.items() if now.get(name) != facts]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(4 * LONGEST_OUTPUT).decode("utf-8", "backslashreplace")


def _resident_of(trace: Path) -> int:
    """What the child wrote down first."""
    first = _text(trace).partition("\n")[0]
    return int(first) if first.isdigit() else 0
