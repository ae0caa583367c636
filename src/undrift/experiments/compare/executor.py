"""Where commands run: on this machine, or wherever else a class with these methods sends them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from undrift.errors import UsageError


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


class Job(Protocol):
    """A command that was started."""

    def poll(self) -> Outcome | None:
        """How it ended; None while it runs."""

    def stop(self) -> None:
        """Ask it to save its work and end, as SIGTERM does."""

    def kill(self) -> None:
        """End it at once."""


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
    """Processes on this machine.

    Args:
        workers: processes at a time.
    """

    def __init__(self, workers: int = 1) -> None:
        self.places = workers

    def start(self, command: Command) -> Job:
        """See `Executor.start`."""
        return _Process(command)


class _Process:
    """A child in a session of its own: the terminal's Ctrl-C is this process's to pass on."""

    def __init__(self, command: Command) -> None:
        pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        self._began = time.perf_counter()
        self._outcome: Outcome | None = None
        try:
            with command.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "undrift", *command.words],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env=os.environ | dict.fromkeys(pools, str(command.threads)),
                )
        except OSError as error:
            raise UsageError(
                f"cannot start a run with its log in {command.log}: {error.strerror or error}; "
                "name another --out"
            ) from error

    def poll(self) -> Outcome | None:
        if self._outcome is None:
            # not Popen.poll: only the wait that ends a child tells what processor time it got
            done, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if done:
                self._process.returncode = code = os.waitstatus_to_exitcode(status)
                seconds = time.perf_counter() - self._began
                self._outcome = Outcome(code, seconds, usage.ru_utime + usage.ru_stime)
        return self._outcome

    def stop(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._outcome is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
