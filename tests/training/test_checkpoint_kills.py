"""kill -9 while checkpoints are written: nothing that was promised is lost, nothing is torn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("kill_process.py")


def kill(directory: Path, kills: int, variant: str) -> dict[str, int]:
    result = subprocess.run(
        [sys.executable, str(SCRIPT), str(directory), str(kills), variant],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    counts = json.loads(result.stdout)
    print(f"{variant}: {counts}")
    return counts


def test_kills_inside_saves(tmp_path: Path) -> None:
    counts = kill(tmp_path, 40, "atomic")
    assert counts["kills"] == 40
    assert counts["inside"] >= 5 and counts["leftovers"] >= 5
    assert counts["torn"] == counts["lost"] == 0
    # The lock is held while its holder lives and free as soon as it is dead.
    assert counts["locks"] == counts["freed"] == 40


def test_writing_in_place_is_torn(tmp_path: Path) -> None:
    counts = kill(tmp_path, 10, "in-place")
    assert counts["inside"] >= 2 and counts["torn"] > 0
