"""SIGKILL at observed steps of the real trainer on the demo recipe: nothing is lost or differs.

Children are forked from a parent that has imported torch and trained nothing, so a kill costs a
fraction of a second. Each run is killed ten times, about half of the time inside a checkpoint
write, and then finishes; its weights, averages and optimiser state must equal an undisturbed run's
bit by bit. ``UNDRIFT_KILLS`` sets the number of kills (10).
"""

from __future__ import annotations

import hashlib
import os
import random
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import undrift
from undrift.runs.directory import RunDirectory
from undrift.runs.recorder import Recorder
from undrift.training.checkpoint import CheckpointStore
from undrift.training.learner import Progress
from undrift.workflows import train as journey

KILLS = int(os.environ.get("UNDRIFT_KILLS", "10"))
PER_RUN = 10
STEPS = 36
EVERY = 3
DEADLINE = 600.0


@dataclass
class Child:
    """A forked trainer that reports each step through a pipe."""

    pid: int
    pipe: int

    def step(self) -> int | None:
        """The next step it reports; None once it has ended."""
        ready, _, _ = select.select([self.pipe], [], [], DEADLINE)
        assert ready, f"the trainer said nothing for {DEADLINE} s"
        data = os.read(self.pipe, 4)
        return int.from_bytes(data, "little") if len(data) == 4 else None

    def alive(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        os.close(self.pipe)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def start(directory: Path, method: str) -> Child:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return Child(pid, reader)
    code = 1
    try:
        os.close(reader)
        original = Recorder.step

        def telling(self: Recorder, progress: Progress) -> None:
            original(self, progress)
            os.write(writer, progress.step.to_bytes(4, "little"))

        Recorder.step = telling  # type: ignore[method-assign]
        journey.close_run = lambda *_, **__: None  # type: ignore[assignment]
        undrift.train(
            "digits",
            out=directory,
            method=method,  # type: ignore[arg-type]
            parameters="20k",
            steps=STEPS,
            checkpoint_every=EVERY,
            grid_every=10_000,
            validate_every=10_000,
            threads=1,
        )
        code = 0
    finally:
        os._exit(code)


def final_state(directory: Path) -> str:
    """A hash over the tensors of the last checkpoint."""
    checkpoint = CheckpointStore(directory / "checkpoints").load(STEPS)
    digest = hashlib.sha256()
    for group in sorted(checkpoint.tensors):
        for name, tensor in sorted(checkpoint.tensors[group].items()):
            digest.update(f"{group}/{name}{tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def staging(directory: Path) -> bool:
    checkpoints = directory / "checkpoints"
    return checkpoints.is_dir() and any(
        entry.name.startswith(".staging-") for entry in checkpoints.iterdir()
    )


def kill_once(directory: Path, method: str, chance: random.Random) -> tuple[bool, bool]:
    """Start or resume, kill at a random step; returns whether it was killed, and inside a write."""
    child = start(directory, method)
    first = child.step()
    if first is None:
        assert child.wait() == 0, "the run could not be resumed"
        return False, False
    target = first + chance.randrange(2 * EVERY)
    step: int | None = first
    while step is not None and step < target:
        step = child.step()
    if step is None:
        assert child.wait() == 0, "the run ended with an error of its own"
        return False, False
    if chance.random() < 0.6:
        while not staging(directory) and child.alive():
            pass
    else:
        time.sleep(chance.random() * 0.02)
    child.kill()
    inside = staging(directory)
    return child.wait() == -signal.SIGKILL, inside


@pytest.mark.slow
@pytest.mark.parametrize("method", ["diffusion", "stylegan2"])
def test_kills(tmp_path: Path, method: str) -> None:
    """A GAN too: two optimisers, R1 on every 16th step, augmentation that adapts."""
    seed = int(os.environ.get("UNDRIFT_KILL_SEED", "1"))
    chance = random.Random(seed)
    undisturbed = tmp_path / "undisturbed"
    child = start(undisturbed, method)
    while child.step() is not None:
        continue
    assert child.wait() == 0
    wanted = final_state(undisturbed)

    killed = inside = runs = 0
    while killed < KILLS:
        runs += 1
        directory = tmp_path / f"run-{runs}"
        for _ in range(PER_RUN):
            if killed == KILLS or RunDirectory(directory).status().state == "done":
                break
            hit, within = kill_once(directory, method, chance)
            killed += hit
            inside += hit and within
        child = start(directory, method)
        while child.step() is not None:
            continue
        assert child.wait() == 0, "the run could not be resumed"
        assert final_state(directory) == wanted, f"run {runs} differs (seed {seed})"
        assert not staging(directory), "leftovers of interrupted saves were not swept"
    print(f"{killed} kills over {runs} runs, {inside} inside a checkpoint write, 0 unrecoverable")
    assert inside >= KILLS // 10, f"only {inside} of {killed} kills fell inside a write"
