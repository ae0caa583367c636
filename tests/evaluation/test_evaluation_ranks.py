"""Two ranks share the drawing of an evaluation, and find what one rank finds."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from undrift.cli.dispatch import main
from undrift.evaluation import drawing

SCRIPT = """
import importlib
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
importlib.import_module("undrift.metrics.sensitivity").MOST = 40
sys.exit(main(["evaluate", *sys.argv[2:]]))
"""


def evaluated(
    folder: Path, run: Path, ranks: int, capsys: pytest.CaptureFixture[str]
) -> tuple[dict[str, Any], set[str], list[np.ndarray]]:
    """The result, who drew which block, and the samples; one rank draws in this process."""
    drawn = folder / "drawn"
    drawn.mkdir(parents=True)
    script = folder / "evaluate.py"
    script.write_text(SCRIPT)
    words = [str(drawn), str(run), "-n", "150", "--steps", "2", "--features", "pixels"]
    words += ["--metrics", "fd,kid,coverage", "--threads", "1", "--out", str(folder / "out.json")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNDRIFT_CACHE", str(folder / "cache"))
        if ranks > 1:
            launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
            command = [sys.executable, *launcher, str(script), *words]
            done = subprocess.run(command, capture_output=True, text=True, timeout=900)
            assert done.returncode == 0, done.stderr[-3000:]
            printed = done.stdout
        else:
            patch.setattr(sys, "argv", [str(script), *words])
            sensitivity = sys.modules["undrift.metrics.sensitivity"]
            for owner, name in (
                (drawing, "_draw_block"),
                (drawing, "BLOCK"),
                (sensitivity, "MOST"),
            ):
                patch.setattr(owner, name, getattr(owner, name))  # the script changes them
            with pytest.raises(SystemExit, match="^0$"):
                runpy.run_path(str(script))
            printed = capsys.readouterr().out
    assert printed.count("95 % interval") == 1  # the first rank prints
    blocks = sorted((folder / "cache" / "samples").glob("*/block-*.npz"))
    samples = [np.load(block)["images"] for block in blocks]
    found = json.loads((folder / "out.json").read_text())
    return found["metrics"], {entry.name for entry in drawn.iterdir()}, samples


@pytest.mark.slow
def test_two_ranks_draw_and_find_what_one_does(tmp_path: Path, capsys):
    run = tmp_path / "run"
    words = ["train", "digits", "--steps", "3", "--network", "mlp", "--batch-size", "8", "--bare"]
    words += ["--out", str(run), "--threads", "1", "--quiet"]
    assert main(words) == 0
    one, alone, first = evaluated(tmp_path / "one", run, 1, capsys)
    two, shared, second = evaluated(tmp_path / "two", run, 2, capsys)
    assert alone == {"0-by-0", "40-by-0", "80-by-0", "120-by-0"}
    assert shared == {"0-by-0", "40-by-1", "80-by-0", "120-by-1"}
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(second))
    for metrics in (one, two):
        for record in metrics.values():
            record.pop("seconds")
    assert one == two
