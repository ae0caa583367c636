"""Frechet distance of 10,000 features in 2048 dimensions: ours beside the scipy sqrtm route.

    python benchmarks/frechet_speed.py

Both start from the same float64 features and give the same number. The usual route is np.cov of
either set and scipy.linalg.sqrtm of their product. Rounds of both alternate; the ratio is that of
the medians. Parts are timed apart as well, because a cached reference comes with its moments.
To reach: at least 5 times as fast from features to distance. Needs scipy (the `dev` extra).
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

from undrift.metrics.frechet import frechet_distance
from undrift.metrics.frechet_estimate import frechet_estimate
from undrift.metrics.moments import Moments

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
        "ours, from features": lambda: frechet_distance(Moments.of(x), Moments.of(y)),
        "sqrtm, from features": lambda: by_sqrtm(mean_and_covariance(x), mean_and_covariance(y)),
        "ours, from moments": lambda: frechet_distance(first, second),
        "ours with interval": lambda: frechet_estimate(x, second).value,
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
    ratio = median["sqrtm, from features"] / median["ours, from features"]
    ours, theirs = values["ours, from features"], values["sqrtm, from features"]
    result |= {
        "seconds": seconds,
        "median_seconds": median,
        "ratio_from_features": ratio,
        "values": {"ours": ours, "sqrtm": theirs, "relative": abs(ours - theirs) / theirs},
    }
    print(f"FD {ours:.8g}, by sqrtm {theirs:.8g}")
    print(f"{ratio:.1f} times as fast from features to distance (to reach {REACH:g})")
    print("wrote", write("frechet-speed", result, options.out))


def features(count: int, size: int, seed: int) -> np.ndarray:
    """Correlated features, (count, size), with a spectrum that falls off as those of images do."""
    draws = np.random.default_rng(seed)
    scales = np.arange(1, size + 1) ** -0.5
    turn, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(size, size)))
    return 0.1 * seed + (draws.normal(size=(count, size)) * scales) @ turn


def mean_and_covariance(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What most tools keep of a set."""
    return rows.mean(axis=0), np.cov(rows, rowvar=False)


def by_sqrtm(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> float:
    """The distance as most tools compute it, through the root of a general matrix."""
    (m, a), (other, b) = first, second
    root = scipy.linalg.sqrtm(a @ b)
    shift = m - other
    return float(shift @ shift + np.trace(a) + np.trace(b) - 2 * np.trace(np.real(root)))


if __name__ == "__main__":
    main()
