"""Two ranks train what one rank trains: real processes, torchrun and gloo."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributed import run as torchrun

from undrift.data.order import EpochStream
from undrift.training.checkpoint import CheckpointStore
from undrift.workflows import train as workflow

STEPS = 6
SCRIPT = """
import sys

import undrift
from undrift.workflows import train as workflow

workflow.close_run = lambda *_, **__: None
undrift.train(
    "digits", out=sys.argv[1], steps={steps}, batch_size=32, threads=1, dropout=0.0,
    parameters="20k", precision="float32",
    checkpoint_every={steps}, grid_every=10_000, validate_every=10_000,
)
"""


def run(directory: Path, script: Path, ranks: int) -> dict[str, torch.Tensor]:
    """The weights that ``ranks`` train; one does in this process."""
    if ranks > 1:
        words = ["--standalone", f"--nproc-per-node={ranks}", str(script), str(directory)]
        pid = os.fork()  # torchrun changes how signals are handled
        if not pid:
            try:
                torchrun.main(words)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [str(script), str(directory)])
            patch.setattr(workflow, "close_run", workflow.close_run)  # the script changes it
            runpy.run_path(str(script))
    return CheckpointStore(directory / "checkpoints").load(STEPS).tensors["network"]


@pytest.mark.slow
def test_two_ranks_train_the_same_run(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(steps=STEPS))
    one = run(tmp_path / "one", script, 1)
    two = run(tmp_path / "two", script, 2)
    moved = 0.0
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=2e-3, atol=2e-4, msg=name)
        moved = max(moved, float((two[name] - tensor).abs().max()))
    print(f"largest difference of a weight after {STEPS} steps: {moved:.2e}")
    events = (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in events].count("start") == 1


def test_ranks_share_every_epoch_once() -> None:
    count, batch, ranks = 96, 16, 2
    stream = EpochStream(count, 3, batch)
    share = batch // ranks
    seen = [
        index
        for step in range(count // batch)
        for rank in range(ranks)
        for index in stream.indices(step)[rank * share : (rank + 1) * share]
    ]
    np.testing.assert_array_equal(np.sort(seen), np.arange(count))
