"""Draws the figures of this folder into docs/images, from the library's own solvers and oracle.

python docs/explanation/figures.py
"""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from undrift.diffusion import GaussianMixture, VPCosine
from undrift.diffusion.markov import posterior
from undrift.diffusion.sde import SDE
from undrift.sampling import integrate, solver

IMAGES = Path(__file__).resolve().parent.parent / "images"
MIXTURE = GaussianMixture([-1.3, 0.1, 1.2], [0.16, 0.12, 0.2], [0.3, 0.3, 0.4])
PATH = VPCosine()
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c8c8c", "#000000")
STYLE = {
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": "#555a61",
    "axes.edgecolor": "#9aa0a6",
    "xtick.color": "#555a61",
    "ytick.color": "#555a61",
}


def three_views() -> Figure:
    """Three walks along the same laws, from the same eight draws of noise."""
    figure = Figure(figsize=(10.4, 3.5), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    noise = torch.linspace(-1.6, 1.6, 8, dtype=torch.float64)
    draws = torch.Generator().manual_seed(3)
    titles = ("Markov chain, 12 steps", "reverse SDE, 400 steps", "probability-flow ODE")
    walks = (chain(noise, 12, draws), stochastic(noise, 400, draws), flow(noise, 400))
    for axis, title, (times, states) in zip(axes, titles, walks, strict=True):
        shade(axis)
        marker = "o" if len(times) < 50 else None
        for k in range(len(noise)):
            axis.plot(times, states[:, k], color=COLOURS[k % 3], linewidth=1, marker=marker, ms=2.5)
        axis.set(title=title, xlabel="t", xlim=(1, 0), ylim=(-2.6, 2.6))
    axes[0].set_ylabel("x")
    return figure


def shade(axis: matplotlib.axes.Axes) -> None:
    """The density of every p_t, each scaled to its own height."""
    x = torch.linspace(-2.6, 2.6, 300, dtype=torch.float64)
    times = np.linspace(1, 0.004, 250)
    columns = [MIXTURE.log_density(x, PATH(float(t))).exp().numpy() for t in times]
    density = np.stack([column / column.max() for column in columns], axis=1)
    axis.imshow(
        density**0.7, extent=(1, 0, -2.6, 2.6), origin="lower", aspect="auto", cmap="Greys", vmax=2
    )


def chain(x: torch.Tensor, steps: int, draws: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The posterior of each step, with D in place of x_0 and the small variance."""
    times = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    denoise, states = MIXTURE.denoiser(PATH), [x]
    for t, s in zip(times, times[1:], strict=False):
        law = posterior(x, denoise(x, t).x0, PATH(t), PATH(s))
        x = law.sample(torch.randn(x.shape, generator=draws, dtype=x.dtype))
        states.append(x)
    return times.numpy(), torch.stack(states).numpy()


def stochastic(
    x: torch.Tensor, steps: int, draws: torch.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Euler and Maruyama on the reverse SDE, from just below pure noise."""
    times = torch.linspace(0.98, 0.0005, steps + 1, dtype=torch.float64)
    denoise, states = MIXTURE.denoiser(PATH), [x]
    sde = SDE(PATH)
    for t, s in zip(times, times[1:], strict=False):
        step, spread = t - s, sde.diffusion(t)
        drift = sde.rate(t) * x - spread**2 * denoise(x, t).score
        x = (
            x
            - drift * step
            + spread * step.sqrt() * torch.randn(x.shape, generator=draws, dtype=x.dtype)
        )
        states.append(x)
    return times.numpy(), torch.stack(states).numpy()


def flow(x: torch.Tensor, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The exact map of quantiles onto quantiles."""
    times = torch.linspace(1, 0.0005, steps + 1, dtype=torch.float64)
    states = [MIXTURE.flow(x, PATH(1.0), PATH(t)) for t in times]
    return times.numpy(), torch.stack(states).numpy()


def solver_orders() -> Figure:
    """Largest error against evaluations, for one solver of each kind."""
    names = ("euler", "heun", "dpmpp_2s", "dpmpp_2m", "dpmpp_3m", "unipc", "deis", "ipndm")
    counts = (4, 5, 6, 8, 10, 14, 20, 28, 40, 56, 80, 160, 320)
    bottom = PATH.time_at(torch.tensor(-2 * math.log(0.1), dtype=torch.float64))
    x = torch.linspace(-2, 2, 17, dtype=torch.float64)
    exact = MIXTURE.flow(x, PATH(1.0), PATH(bottom))
    figure = Figure(figsize=(8.2, 4.6), layout="constrained")
    axis = figure.subplots()
    ends = []
    for place, name in enumerate(names):
        rule = solver(name)
        points = []
        for steps in counts:
            cost = steps * rule.evaluations_per_step
            if cost > counts[-1]:
                break
            times = 1 + torch.arange(steps + 1, dtype=torch.float64) / steps * (bottom - 1)
            end = integrate(MIXTURE.denoiser(PATH), x, times, rule, schedule=PATH)
            error = float((end - exact).square().mean().sqrt())
            points.append((cost, error))
        colour = COLOURS[place]
        axis.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=3, linewidth=1.4)
        ends.append((points[-1], name, colour))
    above = math.inf
    for (cost, error), name, colour in sorted(ends, key=lambda end: -end[0][1]):
        above = min(error, above / 2)  # one line of text on this axis
        axis.annotate(
            name,
            (cost, above),
            (8, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            fontweight="bold",
        )
    axis.set(xscale="log", yscale="log", xlim=(3.7, 700))
    axis.set_xlabel("evaluations of the denoiser")
    axis.set_ylabel("root mean square error of x")
    axis.xaxis.set_major_locator(FixedLocator([4, 5, 6, 8, 10, 20, 40, 80, 160, 320]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    return figure


if __name__ == "__main__":
    with matplotlib.rc_context(STYLE):
        for name, draw in (("three-views", three_views), ("solver-orders", solver_orders)):
            draw().savefig(IMAGES / f"{name}.png", dpi=150, facecolor="white")
