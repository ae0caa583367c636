"""The rule that tells whether a run failed: silent on healthy diffusion, heard on broken GANs.

    python benchmarks/collapse_detector.py --runs 20

Diffusion models are trained on the digits as `undrift train digits` does, one per seed, and looked
at all along; then DCGANs at fifty times their learning rate, which is no way to train one. Counted
are runs in which the rule ever says diverged, collapsed or not finite. Of n silent runs the upper
end of the 95 % interval of false alarms is 1 - 0.05^(1/n): 14 % of 20.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from record import conditions, write

import undrift
from undrift.errors import DivergedError
from undrift.metrics.wilson import wilson_interval
from undrift.runs.collapse import FAILED
from undrift.runs.events import read_events

TOO_FAST = 2e-4 * 50


def main() -> None:
    """Train, count, print, write a JSON."""
    options = _options()
    arms: dict[str, dict[str, Any]] = {
        "diffusion": {},
        "dcgan, rate x 50": {"method": "dcgan", "learning_rate": TOO_FAST},
    }
    result = conditions() | {"runs": options.runs, "images": options.images, "arms": {}}
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(options.work or scratch)
        for number, (name, settings) in enumerate(arms.items()):
            count = options.runs if not settings else options.broken
            rows = [_row(work / f"{number}-{k}", k, settings, options) for k in range(count)]
            result["arms"][name] = summarise(rows)
            print(name, json.dumps(result["arms"][name]["summary"]), flush=True)
    print("wrote", write("collapse-detector", result, options.out))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=20, help="healthy runs")
    parser.add_argument("--broken", type=int, default=5, help="runs that should fail")
    parser.add_argument("--images", type=int, default=40_000, help="real images seen by each")
    parser.add_argument("--evaluations", type=int, default=20, help="evaluations at each")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", help="folder to keep the runs in; default none")
    parser.add_argument("--out", help="JSON to write; default benchmarks/results/")
    return parser.parse_args()


def _row(
    out: Path, seed: int, settings: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    """Train one run, and say what its evaluations were."""
    batch = 64
    every = max(1, options.images // batch // options.evaluations)
    try:
        undrift.train(
            "digits",
            out=out,
            seed=seed,
            images=options.images,
            batch_size=batch,
            evaluate_every=every,
            threads=options.threads,
            **settings,
        )
        stopped = False
    except DivergedError:
        stopped = True
    evaluations = [e.entries for e in read_events(out / "metrics.jsonl") if e.kind == "evaluation"]
    states = [one["state"] for one in evaluations] + ["not_finite"] * stopped
    row = {
        "seed": seed,
        "states": states,
        "failed": any(state in FAILED for state in states),
        "fd": [None if one["fd"] is None else round(one["fd"], 3) for one in evaluations],
        "coverage": [one.get("coverage") for one in evaluations],
    }
    print({"seed": seed, "failed": row["failed"], "last": states[-1:]}, flush=True)
    return row


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How many of the runs the rule said had failed, with Wilson's interval."""
    failed = sum(row["failed"] for row in rows)
    low, high = wilson_interval(failed, len(rows))
    summary = {"failed": failed, "runs": len(rows), "low": round(low, 4), "high": round(high, 4)}
    if not failed:
        summary["at_most"] = round(1 - 0.05 ** (1 / len(rows)), 4)
    return {"summary": summary, "rows": rows}


if __name__ == "__main__":
    main()
