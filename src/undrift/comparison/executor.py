"""Where commands run: on this machine, or wherever else a class with these methods sends them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, cast, runtime_checkable

from undrift.errors import UsageError
from undrift.files.filesystem import open_own
from undrift.threads import spin_bound


@dataclass(frozen=True)
class Command:
    """A command line of undrift.

    Attributes:
        words: what follows ``undrift``.
        log: file that gets everything that it prints; its folder exists.
        threads: CPU threads.
    """

    words: tuple[str, ...]
    log: Path
    threads: int


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Attributes:
        code: its exit code; of a process that a signal killed, minus the signal's number.
        seconds: wall clock.
        cpu_seconds: processor time that it got, over all its threads; None where nobody knows.
    """

    code: int
    seconds: float
    cpu_seconds: float | None


def reason_of(code: int, log: Path) -> str:
    """The line that a command ended with that failed with ``code``, as its ``log`` has it."""
    if code < 0:
        return f"killed by signal {signal.Signals(-code).name}"
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line.removeprefix("undrift: ") for line in lines if line.startswith("undrift: ")]
    return said[-1] if said else (lines[-1] if lines else f"ended with code {code}")


class Job(Protocol):
    """A command that was started."""

    def poll(self) -> Outcome | None:
        """How it ended; None while it runs."""

    def stop(self) -> None:
        """Ask it to save its work and end, as SIGTERM does."""

    def kill(self) -> None:
        """End it at once."""


@runtime_checkable
class Executor(Protocol):
    """Starts commands that see the same files as this process.

    Attributes:
        places: commands at a time.
    """

    places: int

    def start(self, command: Command) -> Job:
        """Start ``command`` and return at once.

        Raises:
            UsageError: if it cannot be started.
        """
        ...


class LocalExecutor:
    """Processes on this machine, forked from one that has everything loaded; see `zygote`.

    Args:
        workers: processes at a time.
    """

    def __init__(self, workers: int = 1) -> None:
        self.places = workers
        self._zygote: _Zygote | None = None

    def start(self, command: Command) -> Job:
        """See `Executor.start`."""
        if self._zygote is None:
            self._zygote = _Zygote(command.threads)
        return self._zygote.start(command)

    def close(self) -> None:
        """Let what still runs save its work and end, and with it the process that forks."""
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None


class _Zygote:
    """The process that forks, as seen from here; it ends when this process does."""

    def __init__(self, threads: int) -> None:
        pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        self._jobs: dict[int, _Forked] = {}
        self._unread = b""
        try:
            # in a session of its own: the terminal's Ctrl-C is this process's to pass on
            self._process = subprocess.Popen(
                # -P: Python files of the folder that undrift works in are not imported
                [sys.executable, "-P", "-m", "undrift.comparison.zygote"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                env=os.environ | dict.fromkeys(pools, str(threads)) | spin_bound(os.environ),
            )
        except OSError as error:
            raise UsageError(
                f"cannot start {sys.executable}: {error.strerror or error}; repair the installation"
            ) from error
        self._input = cast(IO[bytes], self._process.stdin)
        self._output = cast(IO[bytes], self._process.stdout)
        os.set_blocking(self._output.fileno(), False)

    def start(self, command: Command) -> _Forked:
        try:
            open(command.log, "ab", opener=open_own).close()
        except OSError as error:
            raise UsageError(
                f"cannot start a run with its log in {command.log}: {error.strerror or error}; "
                "name another --out"
            ) from error
        job = _Forked(self, len(self._jobs))
        self._jobs[job.number] = job
        log = str(command.log.absolute())
        self._ask(
            {
                "id": job.number,
                "words": list(command.words),
                "log": log,
                "threads": command.threads,
            }
        )
        return job

    def send(self, job: _Forked, number: signal.Signals) -> None:
        """Send ``job`` a signal, if it still runs."""
        self.listen()
        if job.outcome is None:
            self._ask({"id": job.number, "signal": int(number)})

    def listen(self) -> None:
        """Hear what has ended."""
        self._unread += self._output.read() or b""
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            told = json.loads(line)
            self._jobs[told["id"]].outcome = Outcome(told["code"], told["seconds"], told["cpu"])
        if self._process.poll() is not None:
            for job in self._jobs.values():
                job.outcome = job.outcome or Outcome(-signal.SIGKILL, 0.0, None)

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        self._process.wait()
        self._output.close()

    def _ask(self, request: dict[str, Any]) -> None:
        try:
            self._input.write(json.dumps(request).encode() + b"\n")
            self._input.flush()
        except BrokenPipeError as error:
            raise UsageError(
                "the process that starts the runs has ended (out of memory?); give the same "
                "command again, with fewer --workers"
            ) from error


class _Forked:
    """A child of the zygote."""

    def __init__(self, zygote: _Zygote, number: int) -> None:
        self._zygote = zygote
        self.number = number
        self.outcome: Outcome | None = None

    def poll(self) -> Outcome | None:
        if self.outcome is None:
            self._zygote.listen()
        return self.outcome

    def stop(self) -> None:
        self._zygote.send(self, signal.SIGTERM)

    def kill(self) -> None:
        self._zygote.send(self, signal.SIGKILL)
