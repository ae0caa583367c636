"""Sampling 1,000 digits at 20 network evaluations, against diffusers' DPMSolverMultistepScheduler.

    python benchmarks/sampling_speed.py

Untrained weights: speed does not depend on them. Both run the second-order multistep solver with
one network evaluation per step; each first picks the batch size, precision and (diffusers) memory
format that are best for it here, then they take turns, and what counts is the median of the ratios
of neighbouring rounds. Two rows: undrift's U-Net at diffusers' FLOPs (within 5 %, forward and
backward), and undrift's own recipe. Needs ``benchmarks/setup_peers.sh`` once.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from contenders import (
    diffusers_network,
    equal_flops,
    our_flops,
    our_samples,
    ours,
    random_images,
    their_flops,
    their_samples,
)
from record import conditions, warn_if_busy, write

from undrift.networks import UNetConfig

SIZE, CHANNELS = 8, 1
BATCHES = (100, 250, 1000)
PRECISIONS = ("float32", "bfloat16")
REACH = {"equal": 1.1, "recipe": 2.0}
Draw = Callable[[], Any]


def main() -> None:
    """Measure, print a table, write a JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", help="JSON to write; default benchmarks/results/")
    options = parser.parse_args()
    warn_if_busy()
    torch.set_num_threads(options.threads)
    n, steps = options.n, options.steps
    images, labels = random_images(SIZE, CHANNELS)

    def pipeline(network: UNetConfig | None) -> tuple[Any, UNetConfig]:
        _, learner, used = ours(images, labels, batch=64, precision="float32", network=network)
        return learner.pipeline(), used

    def my_flops(network: UNetConfig) -> float:
        return our_flops(ours(images, labels, batch=64, precision="float32", network=network)[1])

    network = diffusers_network(SIZE, CHANNELS)
    wanted = their_flops(network)
    modes = [
        f"{layout}, {precision}, batch {batch}"
        for layout in ("contiguous", "channels_last")
        for precision in PRECISIONS
        for batch in BATCHES
    ]
    their_mode, theirs = _best({mode: _theirs(network, n, steps, mode) for mode in modes})
    recipe = pipeline(None)[1]
    result = conditions() | {"n": n, "steps": steps, "rows": []}
    for name, config in (("equal", equal_flops(wanted, my_flops, recipe)), ("recipe", recipe)):
        made, _ = pipeline(config)
        my_mode, mine = _best(
            {
                f"{precision}, batch {batch}": _mine(made, n, steps, batch, precision)
                for precision in PRECISIONS
                for batch in BATCHES
            }
        )
        pairs = [(_seconds(mine), _seconds(theirs)) for _ in range(options.rounds)]
        ratios = [b / a for a, b in pairs]
        row = {
            "row": name,
            "network": vars(config),
            "undrift_seconds": statistics.median(a for a, _ in pairs),
            "diffusers_seconds": statistics.median(b for _, b in pairs),
            "undrift_mode": my_mode,
            "diffusers_mode": their_mode,
            "undrift_mflop": my_flops(config) / 1e6,
            "diffusers_mflop": wanted / 1e6,
            "ratio": statistics.median(ratios),
            "ratios": [round(ratio, 3) for ratio in ratios],
            "reach": REACH[name],
        }
        result["rows"].append(row)
        print(
            f"{name:7} undrift {row['undrift_seconds']:.2f} s ({my_mode}, "
            f"{row['undrift_mflop']:.1f} MFLOP)  diffusers {row['diffusers_seconds']:.2f} s "
            f"({their_mode}, {row['diffusers_mflop']:.1f})  ratio {row['ratio']:.2f}  "
            f"to reach {row['reach']}",
            flush=True,
        )
    print("wrote", write("sampling-speed", result, options.out))


def _mine(pipeline: Any, n: int, steps: int, batch: int, precision: str) -> Draw:
    return lambda: our_samples(pipeline, n, steps, batch=batch, precision=precision)


def _theirs(network: Any, n: int, steps: int, mode: str) -> Draw:
    layout, precision, batch = mode.split(", ")
    return lambda: their_samples(
        network,
        n,
        steps,
        batch=int(batch.removeprefix("batch ")),
        channels_last=layout == "channels_last",
        precision=precision,
    )


def _best(modes: dict[str, Draw]) -> tuple[str, Draw]:
    """The fastest mode, each tried twice in turns."""
    times = {name: [] for name in modes}
    for _ in range(2):
        for name, draw in modes.items():
            times[name].append(_seconds(draw))
    name = min(times, key=lambda mode: min(times[mode]))
    return name, modes[name]


def _seconds(draw: Draw) -> float:
    began = time.perf_counter()
    draw()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
