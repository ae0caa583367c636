"""Commands as processes: their codes, their cost, and their end when they are asked to stop."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from undrift.experiments.compare.executor import Command, LocalExecutor, Outcome
from undrift.experiments.compare.scheduling import work_off
from undrift.experiments.compare.training import training_facts


def ended(job, seconds=60.0):
    deadline = time.monotonic() + seconds
    while (outcome := job.poll()) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return outcome


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


def test_a_command_is_undrift_itself(tmp_path):
    outcome = ended(LocalExecutor().start(Command(("--version",), tmp_path / "log.txt", 1)))
    assert outcome is not None and outcome.code == 0
    assert (tmp_path / "log.txt").read_text().startswith("undrift ")
    assert outcome.cpu_seconds is not None and 0 < outcome.cpu_seconds


def test_code_output_and_threads(program, tmp_path):
    job = LocalExecutor().start(program('echo "$OMP_NUM_THREADS threads"; echo bad >&2; exit 5'))
    outcome = ended(job)
    assert outcome is not None and outcome.code == 5 and job.poll() is outcome
    assert (tmp_path / "log.txt").read_text() == "1 threads\nbad\n"


def test_stop_is_heard_and_kill_is_final(program, tmp_path):
    def up(text):
        command = program(f"{text}; while true; do sleep 0.05; done")
        command.log.unlink(missing_ok=True)
        job = LocalExecutor().start(command)
        while "up" not in command.log.read_text():  # from here on the signal is trapped
            time.sleep(0.02)
        return job

    polite = up("trap 'exit 75' TERM; echo up")
    polite.stop()
    outcome = ended(polite)
    assert outcome is not None and outcome.code == 75
    deaf = up("trap '' TERM; echo up")
    deaf.stop()
    assert deaf.poll() is None
    deaf.kill()
    outcome = ended(deaf)
    assert outcome is not None and outcome.code == -signal.SIGKILL
    deaf.stop()  # of what has ended: nothing happens


class Piece:
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
    """An executor whose commands take three looks."""

    def __init__(self, places):
        self.places, self.running, self.most, self.started, self.stopped = places, 0, 0, [], []

    def start(self, command):
        executor = self
        executor.running += 1
        executor.most = max(executor.most, executor.running)
        executor.started.append(" ".join(command.words))

        class Job:
            looks = 0

            def poll(self):
                self.looks += 1
                if self.looks == 3 or command.words in executor.stopped:
                    executor.running -= 1
                    return Outcome(75 if command.words in executor.stopped else 0, 1.0, 1.0)
                return None

            def stop(self):
                executor.stopped.append(command.words)

            def kill(self):
                raise AssertionError("it had been asked and had ended")

        return Job()


def test_places_are_filled_and_never_more_and_done_is_told_once():
    pieces, done = [Piece(f"p{k}") for k in range(5)], []
    executor = Slow(2)
    work_off(pieces, executor, done.append, sleep=lambda _: None)
    assert executor.most == 2 and len(executor.started) == 10
    assert sorted(piece.name for piece in done) == [f"p{k}" for k in range(5)]
    assert all(piece.codes == [0, 0] for piece in pieces)


def test_an_interruption_stops_what_runs_and_hears_how_it_ended():
    pieces, executor, looks = [Piece("a"), Piece("b"), Piece("c")], Slow(2), []

    def sleep(_):
        looks.append(None)
        if len(looks) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work_off(pieces, executor, lambda _: None, sleep=sleep)
    assert executor.stopped == [("a", "0"), ("b", "0")] and executor.running == 0
    assert [piece.codes for piece in pieces] == [[75], [75], []]


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
    health = {"health": "suspect"}
    assert found == {"steps": 9, "images": 576, "seconds": 17.5, "starts": 2} | health
    absent = training_facts(tmp_path / "absent")
    assert absent["images"] == absent["seconds"] == 0 and absent["health"] is None
