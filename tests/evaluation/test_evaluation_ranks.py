"""Two ranks share the drawing of an evaluation, and find what one rank finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from undrift.cli.dispatch import main

SCRIPT = """
import os
import sys
from pathlib import Path

from undrift.cli.dispatch import main
from undrift.evaluation import drawing

real, folder = drawing._draw_block, Path(sys.argv[1])

def noted(pipeline, where, start, *rest):
    (folder / f"{start}-by-{os.environ.get('RANK', '0')}").touch()
    real(pipeline, where, start, *rest)

drawing._draw_block = noted
drawing.BLOCK = 40
sys.exit(main(["evaluate", *sys.argv[2:]]))
"""


def evaluated(
    folder: Path, run: Path, ranks: int
) -> tuple[dict[str, Any], set[str], list[np.ndarray]]:
    """The result, who drew which block, and the samples."""
    drawn = folder / "drawn"
    drawn.mkdir(parents=True)
    script = folder / "evaluate.py"
    script.write_text(SCRIPT)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    words = [str(run), "-n", "150", "--steps", "2", "--features", "pixels", "--threads", "1"]
    words += ["--metrics", "fd,kid,coverage", "--out", str(folder / "out.json")]
    done = subprocess.run(
        [sys.executable, *(launcher if ranks > 1 else []), str(script), str(drawn), *words],
        capture_output=True,
        text=True,
        timeout=900,
        env=os.environ | {"UNDRIFT_CACHE": str(folder / "cache")},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("95 % interval") == 1  # the first rank prints
    blocks = sorted((folder / "cache" / "samples").glob("*/block-*.npz"))
    samples = [np.load(block)["images"] for block in blocks]
    found = json.loads((folder / "out.json").read_text())
    return found["metrics"], {entry.name for entry in drawn.iterdir()}, samples


@pytest.mark.slow
def test_two_ranks_draw_and_find_what_one_does(tmp_path: Path):
    run = tmp_path / "run"
    words = ["train", "digits", "--steps", "3", "--network", "mlp", "--batch-size", "8", "--bare"]
    words += ["--out", str(run), "--threads", "1", "--quiet"]
    assert main(words) == 0
    one, alone, first = evaluated(tmp_path / "one", run, 1)
    two, shared, second = evaluated(tmp_path / "two", run, 2)
    assert alone == {"0-by-0", "40-by-0", "80-by-0", "120-by-0"}
    assert shared == {"0-by-0", "40-by-1", "80-by-0", "120-by-1"}
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(second))
    for metrics in (one, two):
        for record in metrics.values():
            record.pop("seconds")
    assert one == two
