"""What a solver's step costs beside the network call it is made of, at batch 64.

    python benchmarks/solver_overhead.py

The network is the one that `undrift demo` trains on 8 x 8 digits, without labels and untrained:
speed does not depend on the weights. Each solver walks a grid of 20 steps with a network in its
place that answers at once, so that what is timed is all that the loop, the solver and the denoiser
around the network - levels and preconditioning - add; then the network is called as often, alone.
They take turns, and what counts is the median of the ratios of neighbouring rounds, per network
call. What the denoiser's part of it is has a figure of its own.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch
from record import conditions, warn_if_busy, write

from undrift.diffusion import VE, Denoiser, edm
from undrift.families.diffusion.recipe import recipe_for
from undrift.networks import ContextSpec, build_network
from undrift.sampling import SAMPLERS, ImageNoise, integrate, karras, solver

SHAPE = (1, 8, 8)
REACH = {False: 0.03, True: 0.30}


class Instant(torch.nn.Module):
    """A network that answers with what it was given once, and counts."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = answer
        self.calls = 0

    def forward(self, x: torch.Tensor, c_noise: torch.Tensor, context: None) -> torch.Tensor:
        self.calls += 1
        return self.answer


def main() -> None:
    """Measure, print a table, write a JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", help="JSON to write; default benchmarks/results/")
    options = parser.parse_args()
    warn_if_busy()
    torch.set_num_threads(options.threads)
    config = recipe_for(SHAPE[1], "cpu", None).network
    network = build_network(config, channels=SHAPE[0], size=SHAPE[1:], context=ContextSpec()).eval()
    x = torch.randn(options.batch, *SHAPE, generator=torch.Generator().manual_seed(0))
    noise = ImageNoise(0, range(options.batch))
    schedule, times = VE(), karras(VE(), options.steps)
    level = torch.zeros(options.batch)

    def bare() -> float:
        return _seconds(lambda: network(x, level, None))

    rows: list[dict[str, Any]] = []
    with torch.inference_mode():
        for _ in range(5):
            bare()
        instant = Instant(torch.zeros_like(x))
        denoiser = Denoiser(instant, schedule, edm(1.0)).eval()
        wrapping = statistics.median(
            _seconds(lambda: denoiser(x, times[3])) for _ in range(20 * options.rounds)
        )
        for name in SAMPLERS:
            rule = solver(name)
            ratios, added = [], []
            for _ in range(options.rounds + 1):
                instant.calls = 0
                whole = _seconds(
                    lambda rule=rule: integrate(
                        denoiser, x, times, rule, schedule=schedule, noise=noise
                    )
                )
                alone = statistics.median(bare() for _ in range(options.steps))
                added.append(whole / instant.calls)
                ratios.append(added[-1] / alone)
            ratio = statistics.median(ratios[1:])  # the first round warms up
            rows.append(
                {
                    "solver": name,
                    "stochastic": rule.stochastic,
                    "added_microseconds": round(1e6 * statistics.median(added[1:]), 1),
                    "ratio": round(ratio, 4),
                    "reach": REACH[rule.stochastic],
                }
            )
            print(
                f"{name:18} {rows[-1]['added_microseconds']:8.1f} us per network call, "
                f"{100 * ratio:5.2f} % of it  (to reach {100 * REACH[rule.stochastic]:.0f} %)",
                flush=True,
            )
        network_seconds = statistics.median(bare() for _ in range(options.steps))
    result = conditions() | {
        "batch": options.batch,
        "steps": options.steps,
        "threads": options.threads,
        "network": vars(config),
        "network_microseconds": round(1e6 * network_seconds, 1),
        "denoiser_microseconds": round(1e6 * wrapping, 1),
        "rows": rows,
    }
    print("wrote", write("solver-overhead", result, options.out))


def _seconds(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
