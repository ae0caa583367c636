"""Commands as processes: their codes, their cost, and their end when they are asked to stop."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from undrift.comparison.executor import Command, LocalExecutor, Outcome
from undrift.comparison.scheduling import work_off
from undrift.errors import UsageError
from undrift.runs.training_facts import TrainingFacts, training_facts
from undrift.threads import CHOICES, SPIN

ASKS = """
import sys, time
from pathlib import Path
from undrift.comparison.executor import Command, LocalExecutor
folder = Path(sys.argv[1])
words = ("train", "digits", "--network", "mlp", "--steps", "1000000", "--out", str(folder / "run"))
job = LocalExecutor().start(Command(words, folder / "log.txt", 1))
events = folder / "run" / "metrics.jsonl"
while not events.exists() or '"train"' not in events.read_text():
    assert job.poll() is None, (folder / "log.txt").read_text()
    time.sleep(0.05)
"""


def ended(job, seconds=600.0):
    deadline = time.monotonic() + seconds
    while (outcome := job.poll()) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return outcome


@pytest.fixture(scope="module")
def executor(tmp_path_factory):
    """Works in a folder whose Python files would end it if they were imported."""
    folder = tmp_path_factory.mktemp("archive")
    (folder / "undrift.py").write_text("raise SystemExit(9)")
    (folder / "json.py").write_text("raise SystemExit(9)")
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.chdir(folder),
        contextlib.closing(LocalExecutor()) as made,
    ):
        for name in CHOICES:
            patch.delenv(name, raising=False)
        yield made


def endless(folder):
    """A command that trains for hours."""
    words = (
        "train",
        "digits",
        "--network",
        "mlp",
        "--steps",
        "1000000",
        "--checkpoint-every",
        "1000000",
    )
    return Command((*words, "--threads", "1", "--out", str(folder / "run")), folder / "log.txt", 1)


def up(executor, command):
    """Start ``command`` and wait until it trains."""
    job, events = executor.start(command), Path(command.words[-1]) / "metrics.jsonl"
    while not events.exists() or '"train"' not in events.read_text():
        assert job.poll() is None, command.log.read_text()
        time.sleep(0.05)
    return job


def test_a_command_is_undrift_itself_and_its_output_goes_to_its_log(executor, tmp_path):
    outcome = ended(executor.start(Command(("--version",), tmp_path / "log.txt", 1)))
    assert outcome is not None and outcome.code == 0
    assert (tmp_path / "log.txt").read_text().startswith("undrift ")
    assert outcome.cpu_seconds is not None and 0 < outcome.cpu_seconds
    wrong = executor.start(Command(("sample", str(tmp_path / "absent")), tmp_path / "log.txt", 1))
    outcome = ended(wrong)
    assert outcome is not None and outcome.code == 4 and wrong.poll() is outcome
    version, line = (tmp_path / "log.txt").read_text().splitlines()
    assert version.startswith("undrift ") and line.startswith("undrift: ") and "absent" in line


def test_idle_threads_of_a_run_spin_for_a_bounded_time(executor, tmp_path):
    outcome = ended(executor.start(Command(("doctor",), tmp_path / "log.txt", 1)))
    assert outcome is not None and outcome.code == 0
    settings = " ".join(f"{name}={value}" for name, value in SPIN.items())
    assert f"{settings}, set by undrift" in (tmp_path / "log.txt").read_text()


def test_stop_saves_the_work_and_kill_is_final(executor, tmp_path):
    command = endless(tmp_path)
    job = up(executor, command)
    job.stop()
    outcome = ended(job)
    assert outcome is not None and outcome.code == 75
    assert list((tmp_path / "run" / "checkpoints").iterdir())
    job.stop()  # of what has ended: nothing happens
    (tmp_path / "other").mkdir()
    job = up(executor, endless(tmp_path / "other"))
    job.kill()
    outcome = ended(job)
    assert outcome is not None and outcome.code == -signal.SIGKILL


def test_a_signal_right_after_the_start_is_not_lost(executor, tmp_path):
    job = executor.start(endless(tmp_path))
    job.kill()
    outcome = ended(job)
    assert outcome is not None and outcome.code == -signal.SIGKILL


def test_whatever_runs_ends_with_the_process_that_asked_for_it(tmp_path):
    script = tmp_path / "asks.py"
    script.write_text(ASKS)
    printed = tmp_path / "printed.txt"
    with printed.open("w") as out:
        command = [sys.executable, str(script), str(tmp_path)]
        subprocess.run(command, check=True, timeout=600, stdout=out, stderr=out)
    status = tmp_path / "run" / "status.json"
    deadline = time.monotonic() + 600
    while '"running"' in status.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert json.loads(status.read_text())["state"] == "interrupted"
    assert not printed.read_text()  # what a run prints stands in its log


def test_a_log_that_cannot_be_is_a_plain_error(executor, tmp_path):
    with pytest.raises(UsageError, match="name another out"):
        executor.start(Command(("--version",), tmp_path / "no" / "log.txt", 1))


class TwoCommands:
    """Two commands one after another."""

    def __init__(self, name):
        self.name, self.codes = name, []

    def next(self):
        if len(self.codes) == 2:
            return None
        return Command((self.name, str(len(self.codes))), Path("log"), 1)

    def ended(self, outcome):
        self.codes.append(outcome.code)


class Slow:
    """An executor whose commands take some polls."""

    def __init__(self, places, polls=3):
        self.places, self.running, self.most, self.started, self.stopped = places, 0, 0, [], []
        self.polls = polls

    def start(self, command):
        executor = self
        executor.running += 1
        executor.most = max(executor.most, executor.running)
        executor.started.append(" ".join(command.words))

        class Job:
            polls = 0

            def poll(self):
                self.polls += 1
                if self.polls == executor.polls or command.words in executor.stopped:
                    executor.running -= 1
                    return Outcome(75 if command.words in executor.stopped else 0, 1.0, 1.0)
                return None

            def stop(self):
                executor.stopped.append(command.words)

            def kill(self):
                raise AssertionError("it had been asked and had ended")

        return Job()


def test_places_are_filled_and_never_more_and_done_is_told_once():
    works, done = [TwoCommands(f"p{k}") for k in range(5)], []
    executor = Slow(2)
    work_off(works, executor, done.append, sleep=lambda _: None)
    assert executor.most == 2 and len(executor.started) == 10
    assert sorted(work.name for work in done) == [f"p{k}" for k in range(5)]
    assert all(work.codes == [0, 0] for work in works)


def test_nothing_waits_while_commands_end():
    def sleep(_):
        raise AssertionError("the next command could have been started")

    works, executor = [TwoCommands("a"), TwoCommands("b")], Slow(1, polls=1)
    work_off(works, executor, lambda _: None, sleep=sleep)
    assert [work.codes for work in works] == [[0, 0], [0, 0]]


def test_an_interruption_stops_what_runs_and_hears_how_it_ended():
    works, executor, polls = [TwoCommands("a"), TwoCommands("b"), TwoCommands("c")], Slow(2), []

    def sleep(_):
        polls.append(None)
        if len(polls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work_off(works, executor, lambda _: None, sleep=sleep)
    assert executor.stopped == [("a", "0"), ("b", "0")] and executor.running == 0
    assert [work.codes for work in works] == [[75], [75], []]


def test_training_time_leaves_out_pauses_between_processes_and_what_follows_the_last_step(tmp_path):
    events = [
        '{"event": "start", "time": 100, "step": 0}',
        '{"event": "probe", "time": 100, "seconds": 2.5}',
        '{"event": "train", "time": 110, "step": 5, "images": 320}',
        '{"event": "start", "time": 500, "step": 5}',
        '{"event": "evaluation", "time": 501, "step": 6, "state": "healthy"}',
        '{"event": "train", "time": 504, "step": 9, "images": 576}',
        '{"event": "evaluation", "time": 504, "step": 9, "state": "suspect"}',
        '{"event": "checkpoint", "time": 505, "step": 9}',
        '{"event": "done", "time": 900, "step": 9, "images": 576}',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(events) + "\n")
    found = training_facts(tmp_path)
    assert found == TrainingFacts(9, 576, 17.5, 2, "suspect")
    assert training_facts(tmp_path / "absent") == TrainingFacts()
