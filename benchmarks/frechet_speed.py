"""Frechet distance of 10,000 features in 2048 dimensions: ours beside the scipy sqrtm route.

    python benchmarks/frechet_speed.py

Both start from the same float64 features and give the same number: means, covariances, and the
trace of the root of their product. Rounds of both alternate; the ratio is that of the medians. The
moments are timed apart as well, because a cached reference and streamed samples come with theirs.
To reach: at least 5 times as fast from the moments on. Needs scipy (the `dev` extra).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy
import scipy.linalg
import torch
from record import conditions, warn_if_busy, write

from undrift.metrics.frechet import Moments, frechet_distance, frechet_estimate

REACH = 5.0


def main() -> None:
    """Time both, print a table, write a JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--dimensions", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", help="JSON to write; default benchmarks/results/")
    options = parser.parse_args()
    warn_if_busy()
    torch.set_num_threads(options.threads)
    result = conditions() | vars(options) | {"scipy": scipy.__version__, "to_reach": REACH}
    x, y = features(options.n, options.dimensions, 0), features(options.n, options.dimensions, 1)
    first, second = Moments.of(x), Moments.of(y)
    arms: dict[str, Callable[[], float]] = {
        "ours, from moments": lambda: frechet_distance(first, second),
        "sqrtm, from moments": lambda: by_sqrtm(first, second),
        "ours with interval": lambda: frechet_estimate(x, second).value,
        "moments of one set": lambda: float(Moments.of(x).count),
    }
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    values: dict[str, float] = {}
    for number in range(options.rounds):
        for name, run in arms.items():
            start = time.perf_counter()
            values[name] = run()
            seconds[name].append(time.perf_counter() - start)
            print(f"round {number + 1}  {name:20} {seconds[name][-1]:8.2f} s", flush=True)
    median = {name: statistics.median(found) for name, found in seconds.items()}
    ratio = median["sqrtm, from moments"] / median["ours, from moments"]
    both = 2 * median["moments of one set"]
    whole = (median["sqrtm, from moments"] + both) / (median["ours, from moments"] + both)
    ours, theirs = values["ours, from moments"], values["sqrtm, from moments"]
    result |= {
        "seconds": seconds,
        "median_seconds": median,
        "ratio_from_moments": ratio,
        "ratio_from_features": whole,
        "values": {"ours": ours, "sqrtm": theirs, "relative": abs(ours - theirs) / theirs},
    }
    print(f"FD {ours:.8g}, by sqrtm {theirs:.8g}")
    print(f"{ratio:.1f} times as fast from moments (to reach {REACH:g}), {whole:.1f} from features")
    print("wrote", write("frechet-speed", result, options.out))


def features(count: int, size: int, seed: int) -> np.ndarray:
    """Correlated features, (count, size), with a spectrum that falls off as those of images do."""
    draws = np.random.default_rng(seed)
    scales = np.arange(1, size + 1) ** -0.5
    turn, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(size, size)))
    return 0.1 * seed + (draws.normal(size=(count, size)) * scales) @ turn


def by_sqrtm(first: Moments, second: Moments) -> float:
    """The distance as most tools compute it, through the root of a general matrix."""
    a, b = first.covariance, second.covariance
    root = scipy.linalg.sqrtm(a @ b)
    shift = first.mean - second.mean
    return float(shift @ shift + np.trace(a) + np.trace(b) - 2 * np.trace(np.real(root)))


if __name__ == "__main__":
    main()
