"""Forks writers of checkpoints and kills them; prints counts as JSON (``test_checkpoint_kills``).

Usage: kill_process.py DIRECTORY KILLS VARIANT; the variant ``in-place`` writes without a rename.
One process imports torch and forks every writer: a fresh interpreter would cost seconds per kill.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from undrift.errors import ModelFileError, UsageError
from undrift.files import manifest
from undrift.files.lock import FileLock
from undrift.training.checkpoint import CheckpointStore, step_name


class InPlace(CheckpointStore):
    """Control: writes under the final name."""

    def save(
        self, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
    ) -> int:
        self._make_root()
        directory = self.directory / step_name(step)
        if self._exists(directory.name):
            self._files.remove_tree(directory)
        self._files.make_directory(directory)
        listing = self._write(directory, tensors, state)
        self._write_file(directory / manifest.NAME, manifest.encode(listing, {"step": step}))
        return 0


def tensors(step: int) -> dict[str, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(step)
    return {
        name: {"weight": torch.randn(20_000, generator=generator)}
        for name in ("network", "ema", "optimizer")
    }


def write(store: CheckpointStore, run: Path, pipe: int) -> None:
    """Save step after step until killed; ``s`` and ``d`` tell when a save starts and is done."""
    with FileLock(run):
        found = store.newest()
        step = 0 if found is None else found.step
        os.write(pipe, b"l")
        while True:
            step += 1
            content = tensors(step)
            os.write(pipe, b"s")
            store.save(step, content, {"images": step})
            os.write(pipe, b"d")
            store.prune(2)


def locked(run: Path) -> bool:
    try:
        with FileLock(run):
            return False
    except UsageError:
        return True


def main() -> None:
    torch.set_num_threads(1)
    run, kills = Path(sys.argv[1]), int(sys.argv[2])
    store = (InPlace if sys.argv[3] == "in-place" else CheckpointStore)(run / "checkpoints")
    draw = random.Random(0)
    counts = dict.fromkeys(("kills", "inside", "torn", "lost", "leftovers", "locks", "freed"), 0)
    promised = 0
    for _ in range(kills):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            try:
                write(store, run, writer)
            finally:
                os._exit(1)
        os.close(writer)
        # Wait for progress, not for time: the kill falls into a save however slow the machine is.
        # Half of them while a save is under way, half of them just after one.
        seen, awaited = b"", draw.choice((b"s", b"d"))
        while awaited not in seen:
            if not (part := os.read(reader, 1)):
                sys.exit("a writer ended by itself")
            seen += part
        counts["locks"] += locked(run)
        time.sleep(draw.random() * 0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while part := os.read(reader, 100):
            seen += part
        os.close(reader)
        promised += seen.count(b"d")
        counts["kills"] += 1
        counts["inside"] += seen.count(b"s") > seen.count(b"d")
        counts["freed"] += not locked(run)
        with FileLock(run) as lock:
            counts["leftovers"] += len(store.sweep(lock))
        for step in store.steps():
            try:
                found = store.load(step)
                right = all(
                    torch.equal(found.tensors[name][key], value)
                    for name, group in tensors(step).items()
                    for key, value in group.items()
                )
                counts["torn"] += not right
            except ModelFileError:
                counts["torn"] += 1
        found = store.newest()
        if found is None or found.step < promised:
            counts["lost"] += promised > 0
        else:
            promised = found.step
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
