"""How far each way to restore images is from the posterior, where that is known exactly.

    python benchmarks/posterior_bias.py           # four minutes on one core; writes the results
    python benchmarks/posterior_bias.py --table   # prints them as a table for the docs

Two priors on 4x4 pixels, both with their exact denoiser: a correlated Gaussian, and two Gaussians
far apart. The measurement is the mean of each 2x2 block with noise. `ddpm`, the default of `undrift
edit`, carries every method. Of the Gaussian: how far the mean of the samples is from the
posterior's, and their standard deviation over the posterior's, both as root mean squares over
pixels and measurements, in units of the posterior's standard deviation. Of the two Gaussians: how
far the share of samples in a mode is from its posterior probability, mean over measurements.
`repaint` fills in the left half of an image that is known without noise, since it takes nothing
else.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from record import RESULTS, conditions, write
from torch import Tensor

from undrift.diffusion import GaussianMixture, Prediction, VPCosine
from undrift.randomness import generator
from undrift.sampling import ImageNoise, integrate, karras, solver
from undrift.sampling.inverse import (
    Downsample,
    Mask,
    Measurement,
    Operator,
    PosteriorDenoiser,
    RePaint,
    time_travel,
)

SHAPE, SIZE = (1, 4, 4), 16
STEPS = (10, 20, 50, 100, 200)
MEASUREMENTS, EACH, NOISE = 16, 500, 0.3
"""Measurements, samples of each, and the standard deviation of a measured value's error."""

SCHEDULE = VPCosine()
METHODS: dict[str, dict[str, Any]] = {
    "moments, 1 iteration": {"rule": "moments", "iterations": 1},
    "moments, 4 iterations": {"rule": "moments", "iterations": 4},
    "pigdm": {"rule": "pigdm"},
    "dps": {"rule": "dps"},
    "ddnm": {"rule": "ddnm"},
    "diffpir": {"rule": "diffpir"},
    "repaint, 5 times": {},
}
LEFT = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
LEFT[..., 2:] = True  # what is known

Denoise = Callable[[Tensor, Tensor], Prediction]
Posterior = tuple[Tensor, Tensor]


def correlated() -> tuple[Tensor, Tensor]:
    """Mean and covariance of the Gaussian; variances are about 1."""
    draws = generator("posterior bias", 0)
    root = torch.randn(SIZE, SIZE, generator=draws, dtype=torch.float64)
    covariance = root @ root.T / SIZE + 0.05 * torch.eye(SIZE, dtype=torch.float64)
    return torch.zeros(SIZE, dtype=torch.float64), covariance


def denoiser_of(mean: Tensor, covariance: Tensor) -> Denoise:
    """E[x_0 | x_t] of the Gaussian."""

    def denoise(x: Tensor, t: Tensor) -> Prediction:
        level = SCHEDULE(t)
        eye = torch.eye(SIZE, dtype=torch.float64)
        spread = level.alpha**2 * covariance + level.sigma**2 * eye
        gain = torch.linalg.solve(spread, level.alpha * covariance)
        x0 = mean + (x.flatten(1) - level.alpha * mean) @ gain
        return Prediction(x, level, x0.reshape(x.shape))

    return denoise


def matrix(operator: Operator) -> Tensor:
    """Rows of A that are not 0, (m, 16)."""
    eye = torch.eye(SIZE, dtype=torch.float64).reshape(SIZE, *SHAPE)
    rows = operator.apply(eye).flatten(1).T
    return rows[rows.abs().sum(1) > 0]


def given(mean: Tensor, covariance: Tensor, a: Tensor, y: Tensor, noise: float) -> Posterior:
    """Mean (M, 16) and covariance of the Gaussian given y (M, m)."""
    inner = a @ covariance @ a.T + noise**2 * torch.eye(len(a), dtype=torch.float64)
    gain = torch.linalg.solve(inner, a @ covariance).T
    return mean + (y - a @ mean) @ gain.T, covariance - gain @ a @ covariance


def sampled(
    denoise: Denoise, truth: Tensor, y: Tensor, name: str, steps: int, operator: Operator
) -> Tensor:
    """Samples (M, EACH, 16) given the measurements y of ``truth`` (M, 1, 4, 4)."""
    times, rule = karras(SCHEDULE, steps), METHODS[name]
    noise = ImageNoise(1, range(MEASUREMENTS * EACH))
    x = noise.initial(SHAPE).double() * SCHEDULE(times[0]).sigma
    after, posterior = None, denoise
    if rule:
        many = y.repeat_interleave(EACH, 0)
        posterior = PosteriorDenoiser(denoise, operator, many, NOISE, **rule)
    else:
        known = Measurement(truth.repeat_interleave(EACH, 0), LEFT)
        times, after = time_travel(times, 1, 5), RePaint(known, SCHEDULE)
    made = integrate(
        posterior, x, times, solver("ddpm"), schedule=SCHEDULE, noise=noise, after_step=after
    )
    return made.reshape(MEASUREMENTS, EACH, SIZE)


def of_gaussian(name: str, steps: int) -> dict[str, float]:
    """Bias of the mean and ratio of the standard deviations."""
    mean, covariance = correlated()
    operator: Operator = Downsample(2) if METHODS[name] else Mask(LEFT)
    noise = NOISE if METHODS[name] else 0.0
    draws = generator("truth", 0)
    z = torch.randn(MEASUREMENTS, SIZE, generator=draws, dtype=torch.float64)
    truth = (z @ torch.linalg.cholesky(covariance).T).reshape(-1, *SHAPE)
    y = operator.apply(truth)
    y = y + noise * torch.randn(y.shape, generator=draws, dtype=torch.float64)
    a = matrix(operator)
    flat = y.flatten(1) if METHODS[name] else truth.flatten(1) @ a.T
    wanted, spread = given(mean, covariance, a, flat, noise)
    std = spread.diagonal().clamp(min=0).sqrt()
    free = std > 1e-6
    made = sampled(denoiser_of(mean, covariance), truth, y, name, steps, operator)
    off = ((made.mean(1) - wanted)[:, free] / std[free]).square().mean()
    chance = 1 / EACH
    ratio = (made.std(1)[:, free] / std[free]).square().mean().sqrt()
    return {"mean": float((off - chance).clamp(min=0).sqrt()), "std": float(ratio)}


def of_mixture(name: str, steps: int) -> dict[str, float]:
    """Mean error of the share of a mode."""
    means = torch.stack([torch.full(SHAPE, -0.7), torch.full(SHAPE, 0.7)]).double()
    mixture = GaussianMixture(means, [0.5, 0.5], [0.3, 0.7])
    operator: Operator = Downsample(2) if METHODS[name] else Mask(LEFT)
    noise = NOISE if METHODS[name] else 0.0
    truth = torch.linspace(-0.25, 0.25, MEASUREMENTS, dtype=torch.float64)  # between the modes
    truth = truth[:, None, None, None].expand(-1, *SHAPE)
    y, a = operator.apply(truth), matrix(operator)
    flat = y.flatten(1) if METHODS[name] else truth.flatten(1) @ a.T
    inner = 0.25 * a @ a.T + noise**2 * torch.eye(len(a), dtype=torch.float64)
    logits = []
    for weight, centre in zip(mixture.weights, means.flatten(1), strict=True):
        apart = flat - a @ centre
        logits.append(weight.log() - 0.5 * (apart * torch.linalg.solve(inner, apart.T).T).sum(1))
    wanted = torch.stack(logits, 1).softmax(1)[:, 1]
    made = sampled(mixture.denoiser(SCHEDULE), truth, y, name, steps, operator)
    share = (made.mean(2) > 0).double().mean(1)  # the modes are 5.6 standard deviations apart
    return {"weight": float((share - wanted).abs().mean())}


def table(found: dict[str, Any]) -> str:
    """The results as a table of the docs."""
    lines = ["| method | " + " | ".join(f"{steps} steps" for steps in STEPS) + " |"]
    lines.append("|---" * (len(STEPS) + 1) + "|")
    for name, rows in found["methods"].items():
        cells = [
            f"{rows[str(k)]['mean']:.2f}, {rows[str(k)]['std']:.2f}, {rows[str(k)]['weight']:.2f}"
            for k in STEPS
        ]
        method, comma, rest = name.partition(",")
        lines.append(f"| `{method}`{comma}{rest} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="print the results that are there")
    if parser.parse_args().table:
        print(table(json.loads((Path(RESULTS) / "posterior-bias.json").read_text())))
        return
    methods = {
        name: {str(k): of_gaussian(name, k) | of_mixture(name, k) for k in STEPS}
        for name in METHODS
    }
    write("posterior-bias", conditions() | {"methods": methods})
    print(table({"methods": methods}))


if __name__ == "__main__":
    main()
