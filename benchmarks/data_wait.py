"""Share of the training time that the step waits for data, on photographs and on Fashion-MNIST.

    python benchmarks/data_wait.py

Trains undrift's own recipe for a number of steps through the command line and sums up what the run
itself logged in ``metrics.jsonl``: seconds that the loop waited for its loader over seconds that it
trained. Decoding is done once, before training, and not counted. To reach: at most 2 %.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from halves import data_folder
from record import conditions, warn_if_busy, write

SETS = {"clothing": "clothing/train", "fashion_mnist": "fashion_mnist"}
REACH = 0.02


def main() -> None:
    """Measure both sets, print a table, write a JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", help="folder with the data sets; default $UNDRIFT_DATA")
    parser.add_argument("--out", help="JSON to write; default benchmarks/results/")
    options = parser.parse_args()
    warn_if_busy()
    result = conditions() | {"steps": options.steps, "rows": []}
    for name, folder in SETS.items():
        row = {"set": name} | wait(data_folder(options.data) / folder, options)
        result["rows"].append(row)
        print(
            f"{name:14} waited {row['waited']:.3f} s of {row['seconds']:.1f} s "
            f"({row['images_per_second']:.0f} images/s): {row['share']:.2%}  to reach {REACH:.0%}",
            flush=True,
        )
    print("wrote", write("data-wait", result, options.out))


def wait(source: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Train on ``source`` for ``--steps`` and account for the waiting."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "undrift", "train", str(source), "--out", str(run)]
        command += ["--steps", str(options.steps), "--threads", str(options.threads)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"undrift train failed ({done.returncode}):\n{done.stderr[-2000:]}")
        lines = (run / "metrics.jsonl").read_text().splitlines()
    events = [event for event in map(json.loads, lines) if event["event"] == "train"]
    seen, seconds, waited = 0, 0.0, 0.0
    for event in events:  # the first covers the first step alone: loading kernels, not data
        spent = (event["images"] - seen) / event["images_per_second"]
        if seen:
            seconds += spent
            waited += event["data_wait"] * spent
        seen = event["images"]
    trained = events[-1]["images"] - events[0]["images"]
    return {
        "images": trained,
        "seconds": seconds,
        "waited": waited,
        "share": waited / seconds,
        "images_per_second": trained / seconds,
    }


if __name__ == "__main__":
    main()
