"""Runs as jobs of a SLURM cluster, by submitit.

Every command is a job of its own on a machine that sees the same files as this one. submitit ships
the function to call and its arguments to the node as a pickle, and its result back: that is its
transport between two copies of this program, in ``OUT/slurm``, and no format that undrift keeps or
reads anything from. It is never loaded from elsewhere.

A run that is stopped, or whose time is up, saves its work as it does on one machine, and the same
comparison goes on with it. Options of a cluster other than partition, time, CPUs and GPU are set by
sbatch's own variables, such as ``SBATCH_ACCOUNT``.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undrift.advice import named, possible
from undrift.comparison.executor import Command, Job, Outcome
from undrift.errors import TerminatedError, UsageError
from undrift.files.filesystem import open_own

POLL = 1.0
"""Seconds between two polls of a job's files."""

GRACE = 60.0
"""Seconds that a run gets to save its work when its job ends."""

RESUMABLE = ("CANCELLED", "TIMEOUT", "PREEMPTED", "INTERRUPTED")
"""States of a job whose run can go on; submitit's own name for the last."""

Carried = tuple[int, float, float | None]
"""An outcome as plain data: code, seconds, processor time."""


class SlurmExecutor:
    """Jobs of a cluster.

    Args:
        folder: for submitit's files; the nodes see it too.
        places: jobs at a time, waiting ones among them.
        partition: where jobs run; None is the cluster's default.
        minutes: time limit of a job.
        gpus: of each job.
        cluster: ``slurm``, or ``local``, submitit's own stand-in: processes on this machine.

    Raises:
        UsageError: submitit is not installed, or there is no SLURM here.
    """

    def __init__(
        self,
        folder: Path,
        *,
        places: int = 1,
        partition: str | None = None,
        minutes: int = 120,
        gpus: int = 0,
        cluster: str = "slurm",
    ) -> None:
        try:
            # An optional extra: imported only where it is used.
            import submitit  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise UsageError(
                f"{named('executor')} slurm needs submitit, which is not installed: "
                "pip install 'undrift[slurm]'"
            ) from error
        self.places = places
        try:
            self._executor: Any = submitit.AutoExecutor(folder.resolve(), cluster=cluster)
        except RuntimeError as error:
            raise UsageError(
                f"{named('executor')} slurm: there is no srun here; start it on a machine of the "
                "cluster"
            ) from error
        self._comparison = {
            "timeout_min": minutes,
            "gpus_per_node": gpus,
            "slurm_partition": partition,
        }

    def start(self, command: Command) -> Job:
        """See `undrift.comparison.executor.Executor.start`."""
        log = command.log.resolve()
        self._executor.update_parameters(
            name=f"undrift-{log.stem}", cpus_per_task=command.threads, **self._comparison
        )
        words = (command.words, str(log), command.threads, os.getcwd(), _environment())
        try:
            return _ClusterJob(self._executor.submit(carry_out, *words), log)
        except (OSError, subprocess.SubprocessError, RuntimeError) as error:
            lines = str(error).strip().splitlines()
            raise UsageError(
                f"{named('executor')} slurm: the job was refused "
                f"({lines[-1] if lines else error}); "
                f"see {named('slurm_partition')}, {named('slurm_minutes')} and {named('threads')}"
            ) from error


class _ClusterJob:
    """A job that was submitted."""

    def __init__(self, job: Any, log: Path) -> None:  # noqa: ANN401 - submitit's
        self._job, self._log = job, log
        self._began = self._polled = time.monotonic()
        self._stopping = False
        self._outcome: Outcome | None = None

    def poll(self) -> Outcome | None:
        now = time.monotonic()
        if self._outcome is None and now - self._polled >= POLL:
            self._polled = now
            # the scheduler is polled rarely, unless the job was cancelled
            if self._job.done(force_check=self._stopping):
                self._outcome = self._ended()
        return self._outcome

    def stop(self) -> None:
        if self._outcome is None:
            self._stopping = True
            self._job.cancel(check=False)

    def kill(self) -> None:
        self.stop()  # the scheduler kills what it has cancelled

    def _ended(self) -> Outcome:
        """What the job brought back, or what its state says of one that brought nothing."""
        failure: object = None
        if self._job.paths.result_pickle.exists() or not self._stopping:
            failure = self._job.exception()  # waits for a slow file system
            if failure is None:
                return Outcome(*self._job.result())
        state = str(self._job.state).split()[0]
        resumable = state.startswith(RESUMABLE)
        more = possible("; give more {slurm_minutes}", "; it needs a longer limit")
        hint = more if state.startswith("TIMEOUT") else ""
        if failure is not None and not resumable:
            hint += f"; {str(failure).strip().splitlines()[-1]}"
        with open(self._log, "a", encoding="utf-8", opener=open_own) as log:
            log.write(f"undrift: job {self._job.job_id} ended as {state}{hint}\n")
        code = TerminatedError.exit_code if resumable else 1
        return Outcome(code, time.monotonic() - self._began, None)


def carry_out(
    words: tuple[str, ...], log: str, threads: int, folder: str, environment: Mapping[str, str]
) -> Carried:
    """On the node: do a command in ``folder``, and say how it ended.

    What the scheduler ends early is stopped as a user would, so that its run saves its work.

    Args:
        words: what follows ``undrift``.
        log: gets what it prints.
        threads: CPU threads.
        folder: that its paths start from.
        environment: variables to set.
    """
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    began = time.perf_counter()
    with open(log, "ab", opener=open_own) as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "undrift", *words],  # -P: see LocalExecutor
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=folder,
            env={**os.environ, **environment, **dict.fromkeys(pools, str(threads))},
        )
    try:
        code, cpu = _waited(process)
    except BaseException as ending:
        code, cpu = _stopped(process)
        if isinstance(ending, SystemExit):  # submitit has put the job back into the queue
            raise
    return code, time.perf_counter() - began, cpu


def _waited(process: subprocess.Popen[bytes], seconds: float = math.inf) -> tuple[int, float]:
    """Code and processor time of ``process``, once it has ended.

    Raises:
        TimeoutError: it takes longer.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        # not Popen.wait: only this measures its processor time
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_utime + usage.ru_stime
        time.sleep(POLL / 10)
    raise TimeoutError


def _stopped(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        return _waited(process, GRACE)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        return _waited(process)


def _environment() -> dict[str, str]:
    """What the program's own behaviour depends on; the node has the rest of its own."""
    return {
        name: value
        for name, value in os.environ.items()
        if name == "PYTHONPATH" or name.startswith("UNDRIFT_")
    }
