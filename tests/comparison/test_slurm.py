"""Runs as jobs: shipped, stopped and told apart; where submitit is there, by its local cluster."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.comparison.fake_executor import FakeExecutor
from tests.comparison.test_executor import ended
from tests.comparison.test_run import COMPARISON, SPEED

from undrift.comparison import run, run_comparison, slurm
from undrift.comparison.executor import Command
from undrift.comparison.slurm import SlurmExecutor, carry_out
from undrift.errors import UsageError

needs_submitit = pytest.mark.skipif(
    importlib.util.find_spec("submitit") is None,
    reason="submitit is not installed: pip install 'undrift[slurm]'",
)
CLUSTER = replace(COMPARISON, executor="slurm", device="cpu", threads=1)


def test_without_submitit_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UsageError, match=r"pip install 'undrift\[slurm\]'"):
        run_comparison(replace(CLUSTER, out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


@needs_submitit
def test_without_a_cluster_the_error_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="there is no srun here"):
        SlurmExecutor(tmp_path / "jobs")


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"threads": None}, "^executor slurm: give threads and device"),
        ({"device": "auto"}, "^executor slurm: give threads and device"),
        ({"slurm_minutes": 0}, "^slurm_minutes 0"),
        ({"executor": "local", "slurm_partition": "gpu"}, "^slurm_partition: only for"),
    ],
)
def test_what_a_cluster_has_to_know_is_comparison_for(changes, pattern):
    with pytest.raises(UsageError, match=pattern):
        replace(CLUSTER, **changes)


def test_a_cluster_may_have_more_cores_than_this_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "speed_of", lambda *_: SPEED)
    monkeypatch.setattr(run, "training_flops", lambda *_: 3e6)
    many = 8 * (os.cpu_count() or 1)
    comparison = replace(CLUSTER, threads=many, workers=9, seeds=1, out=str(tmp_path))
    executor = FakeExecutor()
    found = run_comparison(replace(comparison, parameters="recipe"), executor=executor)
    assert found.protocol.threads == many
    assert all("--threads" in words and str(many) in words for words in executor.commands)
    assert "--executor slurm" in found.command


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Make every command run a shell script instead of undrift; returns how to write it."""

    def write(text):
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))
        return Command(("train",), tmp_path / "log.txt", 1)

    return write


def carried(command, tmp_path, environment=None):
    log = str(tmp_path / "log.txt")
    return carry_out(command.words, log, 1, str(tmp_path), environment or {})


def test_on_the_node_a_command_has_its_folder_its_variables_and_its_cost(
    program, tmp_path, monkeypatch
):
    monkeypatch.setenv("UNDRIFT_CACHE", "before")
    command = program('echo "$PWD $UNDRIFT_CACHE $OMP_NUM_THREADS"; exit 5')
    code, seconds, cpu = carried(command, tmp_path, {"UNDRIFT_CACHE": "there"})
    assert code == 5 and seconds > 0 and cpu is not None
    assert (tmp_path / "log.txt").read_text() == f"{tmp_path} there 1\n"


@pytest.mark.parametrize("ending", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_a_job_whose_time_is_up_lets_its_run_save_its_work(program, tmp_path, monkeypatch, ending):
    command = program("trap 'echo saved; exit 75' TERM; echo up; while true; do sleep 0.05; done")
    sleep, raised = time.sleep, []

    def interrupted(seconds):
        sleep(seconds)
        if not raised and "up" in (tmp_path / "log.txt").read_text():
            raised.append(True)
            raise ending

    monkeypatch.setattr(slurm.time, "sleep", interrupted)
    monkeypatch.chdir(tmp_path)
    if ending is SystemExit:  # back into the queue: there must be no result
        with pytest.raises(SystemExit):
            carried(command, tmp_path)
    else:
        assert carried(command, tmp_path)[0] == 75
    assert (tmp_path / "log.txt").read_text().endswith("saved\n")


class Job:
    """What submitit says of a job that brought nothing back."""

    job_id = "17"

    def __init__(self, folder, state):
        self.state, self.cancelled = state, 0
        self.paths = SimpleNamespace(result_pickle=folder / "absent")

    def done(self, force_check=False):
        return not self.state.startswith(("RUNNING", "PENDING"))

    def exception(self):
        return RuntimeError("no output\nslurmstepd: error")

    def cancel(self, check):
        self.cancelled += 1
        self.state = "CANCELLED by 1000"


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        ("TIMEOUT", 75, "job 17 ended as TIMEOUT; give more slurm_minutes"),
        ("PREEMPTED", 75, "job 17 ended as PREEMPTED"),
        ("CANCELLED by 1000", 75, "job 17 ended as CANCELLED"),
        ("OUT_OF_MEMORY", 1, "job 17 ended as OUT_OF_MEMORY; slurmstepd: error"),
        ("NODE_FAIL", 1, "job 17 ended as NODE_FAIL; slurmstepd: error"),
    ],
)
def test_the_state_of_a_job_says_how_it_ended(state, code, words, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "POLL", 0.0)
    job = slurm._ClusterJob(Job(tmp_path, "RUNNING"), tmp_path / "log.txt")
    assert job.poll() is None
    job._job.state = state
    outcome = job.poll()
    assert outcome is not None and outcome.code == code and outcome.cpu_seconds is None
    assert (tmp_path / "log.txt").read_text() == f"undrift: {words}\n"
    job.stop()
    assert job.poll() is outcome and not job._job.cancelled  # it has ended


def test_a_job_that_waits_is_cancelled(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "POLL", 0.0)
    job = slurm._ClusterJob(Job(tmp_path, "PENDING"), tmp_path / "log.txt")
    job.stop()
    outcome = job.poll()
    assert job._job.cancelled == 1 and outcome is not None and outcome.code == 75


@needs_submitit
@pytest.mark.slow
def test_jobs_of_a_local_cluster(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    executor = SlurmExecutor(tmp_path / "jobs", cluster="local", minutes=5)
    job = executor.start(Command(("inspect", "absent"), Path("absent.txt"), 1))
    outcome = ended(job)
    assert outcome is not None and outcome.code == 3 and outcome.cpu_seconds > 0
    assert Path("absent.txt").read_text().startswith("undrift: no data at ")

    long = (
        "train",
        "digits",
        "--network",
        "mlp",
        "--steps",
        "1000000",
        "--threads",
        "1",
        "--out",
        "run",
    )
    job = executor.start(Command(long, Path("long.txt"), 1))
    deadline = time.monotonic() + 600
    while not Path("run/metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    job.stop()
    outcome = ended(job)
    assert outcome is not None and outcome.code == 75
    while "checkpoint saved" not in Path("run/log.txt").read_text() + Path("long.txt").read_text():
        assert time.monotonic() < deadline, "the run did not save its work"
        time.sleep(0.1)
