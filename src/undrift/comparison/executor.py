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
from typing import IO, Protocol, cast, runtime_checkable

from undrift.advice import named
from undrift.comparison.fork_server import Signal, Start
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
        cpu_seconds: processor time that it got, over all its threads; None where it is unknown.
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
    errors = [line.removeprefix("undrift: ") for line in lines if line.startswith("undrift: ")]
    return errors[-1] if errors else (lines[-1] if lines else f"ended with code {code}")


class Job(Protocol):
    """A command that was started."""

    def poll(self) -> Outcome | None:
        """How it ended; None while it runs."""

    def stop(self) -> None:
        """Let it save its work and end, as SIGTERM does."""

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
    """Processes on this machine, forked from one that has everything loaded; see `fork_server`.

    Args:
        workers: processes at a time.
    """

    def __init__(self, workers: int = 1) -> None:
        self.places = workers
        self._server: _ForkServer | None = None

    def start(self, command: Command) -> Job:
        """See `Executor.start`."""
        if self._server is None:
            self._server = _ForkServer(command.threads)
        return self._server.start(command)

    def close(self) -> None:
        """Let what still runs save its work and end, and with it the process that forks."""
        if self._server is not None:
            self._server.close()
            self._server = None


_SERVE = "from undrift.comparison.fork_server import main; main()"


class _ForkServer:
    """The process that forks, as seen from here; it ends when this process does."""

    def __init__(self, threads: int) -> None:
        pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        self._jobs: dict[int, _Forked] = {}
        self._unread = b""
        try:
            # in a session of its own: the terminal's Ctrl-C is this process's to pass on
            self._process = subprocess.Popen(
                # -P: Python files of the folder that undrift works in are not imported; not -m: its
                # package loads the module first, of which Python would warn
                [sys.executable, "-P", "-c", _SERVE],
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
                f"name another {named('out')}"
            ) from error
        job = _Forked(self, len(self._jobs))
        self._jobs[job.number] = job
        log = str(command.log.absolute())
        self._send(Start(job.number, list(command.words), log, command.threads))
        return job

    def send(self, job: _Forked, number: signal.Signals) -> None:
        """Send ``job`` a signal, if it still runs."""
        self.read()
        if job.outcome is None:
            self._send(Signal(job.number, int(number)))

    def read(self) -> None:
        """Read which jobs have ended."""
        self._unread += self._output.read() or b""
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            ended = json.loads(line)
            self._jobs[ended["id"]].outcome = Outcome(ended["code"], ended["seconds"], ended["cpu"])
        if self._process.poll() is not None:
            for job in self._jobs.values():
                job.outcome = job.outcome or Outcome(-signal.SIGKILL, 0.0, None)

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        self._process.wait()
        self._output.close()

    def _send(self, request: Start | Signal) -> None:
        try:
            self._input.write(json.dumps(vars(request)).encode() + b"\n")
            self._input.flush()
        except BrokenPipeError as error:
            raise UsageError(
                "the process that starts the runs has ended (out of memory?); give the same "
                f"command again, with fewer {named('workers')}"
            ) from error


class _Forked:
    """A child of the fork server."""

    def __init__(self, server: _ForkServer, number: int) -> None:
        self._server = server
        self.number = number
        self.outcome: Outcome | None = None

    def poll(self) -> Outcome | None:
        if self.outcome is None:
            self._server.read()
        return self.outcome

    def stop(self) -> None:
        self._server.send(self, signal.SIGTERM)

    def kill(self) -> None:
        self._server.send(self, signal.SIGKILL)
