"""Training images per second against diffusers' UNet2DModel, side by side on this machine.

    python benchmarks/train_throughput.py

At 28 x 28 x 1 and 32 x 32 x 3, batch 64 for both, no compile. Each contender first picks the
precision (and diffusers the memory format) that is best for it here; then they take turns, and what
counts is the median of the ratios of neighbouring rounds. Three rows per size:

- ``equal``: undrift's U-Net with its width set so that its forward and backward pass cost
  diffusers' FLOPs within 5 % (``FlopCounterMode``), both trained by AdamW;
- ``layout``: the same, but with diffusers' layout too: no space-to-depth stem, three levels, two
  blocks, attention on the two coarser levels;
- ``recipe``: what undrift's own recipe trains at this size, with its own optimiser.

Needs ``benchmarks/setup_peers.sh`` once.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from contenders import equal_flops, our_flops, ours, random_images, their_flops, theirs
from record import conditions, warn_if_busy, write

from undrift.networks import UNetConfig

SIZES = ((28, 1), (32, 3))
LAYOUT = UNetConfig(patch=1, width=32, multipliers=(1, 2, 2), blocks=2, attention=(1, 2))
REACH = {"equal": 1.1, "layout": None, "recipe": 2.0}
Steps = Callable[[int], None]


def main() -> None:
    """Measure both sizes, print a table, write a JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="per contender and round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", help="JSON to write; default benchmarks/results/")
    options = parser.parse_args()
    warn_if_busy()
    torch.set_num_threads(options.threads)
    result = conditions() | {"batch": options.batch, "rows": []}
    for size, channels in SIZES:
        for row in compare(size, channels, options):
            result["rows"].append(row)
            print(
                f"{size}x{size}x{channels} {row['row']:7} undrift {row['undrift']:7.0f} images/s "
                f"({row['undrift_mode']}, {row['undrift_mflop']:.0f} MFLOP/image)  "
                f"diffusers {row['diffusers']:7.0f} ({row['diffusers_mode']}, "
                f"{row['diffusers_mflop']:.0f})  ratio {row['ratio']:.2f}"
                + (f"  to reach {row['reach']}" if row["reach"] else ""),
                flush=True,
            )
    print("wrote", write("train-throughput", result, options.out))


def compare(size: int, channels: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The three rows of one image size."""
    images, labels = random_images(size, channels)
    batch = options.batch

    def mine(network: UNetConfig | None, precision: str = "float32") -> tuple[Steps, UNetConfig]:
        steps, _, used = ours(images, labels, batch=batch, precision=precision, network=network)
        return steps, used

    def flops(network: UNetConfig) -> float:
        return our_flops(ours(images, labels, batch=batch, precision="float32", network=network)[1])

    _, other, _ = theirs(images, labels, batch=batch, precision="float32", channels_last=False)
    wanted = their_flops(other)
    their_mode, their_steps = _best(
        {
            f"{layout}, {precision}": theirs(
                images, labels, batch=batch, precision=precision, channels_last=last
            )[0]
            for layout, last in (("contiguous", False), ("channels_last", True))
            for precision in ("float32", "bfloat16")
        },
        options.seconds,
    )
    recipe = mine(None)[1]
    networks = {
        "equal": equal_flops(wanted, flops, recipe),
        "layout": equal_flops(wanted, flops, LAYOUT),
        "recipe": recipe,
    }
    rows = []
    for name, network in networks.items():
        my_mode, my_steps = _best(
            {
                precision: mine(None if name == "recipe" else network, precision)[0]
                for precision in ("float32", "bfloat16")
            },
            options.seconds,
        )
        mine_rates, their_rates = _take_turns(
            my_steps, their_steps, options.rounds, options.seconds, batch
        )
        ratios = [a / b for a, b in zip(mine_rates, their_rates, strict=True)]
        rows.append(
            {
                "size": [size, size, channels],
                "row": name,
                "network": vars(network),
                "undrift": statistics.median(mine_rates),
                "diffusers": statistics.median(their_rates),
                "undrift_mode": my_mode,
                "diffusers_mode": their_mode,
                "undrift_mflop": flops(network) / 1e6,
                "diffusers_mflop": wanted / 1e6,
                "ratio": statistics.median(ratios),
                "ratios": [round(ratio, 3) for ratio in ratios],
                "reach": REACH[name],
            }
        )
    return rows


def _best(modes: dict[str, Steps], seconds: float) -> tuple[str, Steps]:
    """The fastest mode, each tried twice in turns after a warm-up."""
    for steps in modes.values():
        steps(3)
    rates = dict.fromkeys(modes, 0.0)
    for _ in range(2):
        for name, steps in modes.items():
            rates[name] = max(rates[name], _rate(steps, seconds / 2, 1))
    name = max(rates, key=lambda mode: rates[mode])
    return name, modes[name]


def _take_turns(
    first: Steps, second: Steps, rounds: int, seconds: float, batch: int
) -> tuple[list[float], list[float]]:
    pairs = [(_rate(first, seconds, batch), _rate(second, seconds, batch)) for _ in range(rounds)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def _rate(steps: Steps, seconds: float, batch: int) -> float:
    """Images per second over about ``seconds``."""
    began = time.perf_counter()
    steps(2)
    count = max(2, round(seconds / ((time.perf_counter() - began) / 2)))
    began = time.perf_counter()
    steps(count)
    return count * batch / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
