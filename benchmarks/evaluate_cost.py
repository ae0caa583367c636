"""What `undrift evaluate` costs beside the sampling: seconds and memory of all metrics.

    python benchmarks/evaluate_cost.py --run RUN

Draws the samples first, in a cache of its own that holds nothing else; then the same command again,
for all metrics, finds the samples there and has to make all the rest: the classifier, the features
of samples, reference and floors, every metric with its interval and floor. That second process is
timed from its start to its end. To reach on Fashion-MNIST, 10,000 samples against 10,000 held-out
images, two cores: under 3 minutes and 4 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import conditions, warn_if_busy, write

REACH = {"seconds": 180.0, "gigabytes": 4.0}


def main() -> None:
    """Draw, measure, print both numbers, write a JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", required=True, help="a run whose data has a test split")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=10, help="of the sampler, which is not timed")
    parser.add_argument("--features", default="domain")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", help="JSON to write; default benchmarks/results/")
    options = parser.parse_args()
    warn_if_busy()
    flags = [options.run, "--n", str(options.n), "--steps", str(options.steps)]
    flags += ["--threads", str(options.threads)]
    with tempfile.TemporaryDirectory() as folder:
        cache, out = Path(folder) / "cache", Path(folder) / "out.json"
        evaluate(cache, *flags, "--features", "pixels", "--metrics", "fd")
        for kept in (cache / "features").glob("*"):
            kept.unlink()
        began = time.perf_counter()
        evaluate(cache, *flags, "--features", options.features, "--out", str(out))
        seconds = time.perf_counter() - began
        found = json.loads(out.read_text())
    # of all children the largest, in KiB: the second process, which does more
    gigabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
    result: dict[str, Any] = conditions() | {
        "to_reach": REACH,
        "seconds": round(seconds, 1),
        "gigabytes": round(gigabytes, 2),
        "protocol": found["protocol"],
        "metrics_seconds": found["cost"]["metrics_seconds"],
        "by_metric": {name: entry["seconds"] for name, entry in found["metrics"].items()},
        "missing": found["missing"],
    }
    print(
        f"{len(found['metrics'])} metrics: {seconds:.0f} s, {gigabytes:.2f} GB (to reach: {REACH})"
    )
    print("wrote", write("evaluate-cost", result, options.out))


def evaluate(cache: Path, *words: str) -> None:
    """Run the command in a process of its own, and stop if it fails."""
    subprocess.run(
        [sys.executable, "-m", "undrift", "evaluate", *words],
        check=True,
        env=os.environ | {"UNDRIFT_CACHE": str(cache)},
    )


if __name__ == "__main__":
    main()
