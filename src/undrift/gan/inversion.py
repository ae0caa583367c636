r"""Inversion: the latents whose images agree best with what is known of given ones.

With known values y at the pixels m and images G(u) of latents u (`latent_space.py`), what is
minimised is the negative logarithm of a posterior, for an error of the known pixels of deviation
:math:`\tau`:

.. math:: L(u) = \frac{|m\,(G(u) - y)|^2}{2 \tau^2} + \frac{|u|^2}{2}                    \quad (1)

The second term keeps u where the generator was trained: without it known pixels are matched ever
more closely by images that fit worse and worse elsewhere. The landscape has many minima, so

1. images of many random latents are compared with y, and the nearest few are gone on with;
2. from each of these Adam goes down (1), at progress p from 0 to 1 with the rate and with noise

   .. math:: \eta(p) &= \eta\,\min\bigl(1, \tfrac{p}{0.05}\bigr)\,
                 \tfrac12 \bigl(1 - \cos(\pi \min(1, \tfrac{1 - p}{0.25}))\bigr)     \quad (2) \\
             \sigma(p) &= 0.05 \sqrt D\,\max\bigl(0, 1 - \tfrac{p}{0.75}\bigr)^2     \quad (3)

   where D is the length of u;
3. the u of the least (1) of all steps is the result.

References: Yeh et al. 2017, "Semantic Image Inpainting with Deep Generative Models", sections 3.1
and 3.2, for a loss on known pixels and a prior; Karras et al. 2020, "Analyzing and Improving the
Image Quality of StyleGAN", appendix D, for (2) and (3), with their rate and noise in units of the
latents' spread.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.errors import UsageError
from undrift.gan.latent_space import LatentSpace

Noise = Callable[[int], Tensor]
"""Standard normal numbers (B, D) for an iteration, each row of its own."""

_WARM_UP, _COOL_DOWN, _QUIET = 0.05, 0.25, 0.75


@dataclass(frozen=True)
class Descent:
    """How Adam goes down (1).

    Attributes:
        iterations: steps, at least 0.
        tau: deviation of the known values' error, in the generator's units, above 0.
        rate: eta of (2), above 0. Theirs is 0.1, for a thousand iterations.
        noise: factor of (3), at least 0.

    Raises:
        UsageError: for numbers outside these ranges.
    """

    iterations: int
    tau: float
    rate: float = 0.03
    noise: float = 0.05

    def __post_init__(self) -> None:
        if self.iterations < 0:
            raise UsageError(f"iterations {self.iterations}: give a whole number of at least 0")
        for name, value, least in (
            ("tau", self.tau, self.tau > 0),
            ("rate", self.rate, self.rate > 0),
            ("noise", self.noise, self.noise >= 0),
        ):
            if not least or not math.isfinite(value):
                raise UsageError(f"{name} {value}: give a finite number above 0")

    def rate_at(self, progress: float) -> float:
        """Equation (2)."""
        falling = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - progress) / _COOL_DOWN))
        return self.rate * falling * min(1.0, progress / _WARM_UP)

    def noise_at(self, progress: float, size: int) -> float:
        """Equation (3) for D = ``size``."""
        return self.noise * math.sqrt(size) * max(0.0, 1 - progress / _QUIET) ** 2


class Shortlist:
    """The candidates that agree best with each of B measurements, found block by block.

    Args:
        measurements: B.
        count: how many to keep of each.

    Attributes:
        distances: ``|m (G - y)|^2``, ascending, (B, count) float32; infinite where none was seen.
        places: numbers of the candidates, (B, count) int64.
    """

    def __init__(self, measurements: int, count: int) -> None:
        self.distances = torch.full((measurements, count), math.inf)
        self.places = torch.zeros((measurements, count), dtype=torch.int64)

    def add(
        self, rows: Tensor, values: Tensor, known: Tensor, images: Tensor, places: Tensor
    ) -> None:
        """Compare some measurements with some candidates.

        Args:
            rows: which measurements, (b,) int64.
            values: their y, (b, C, H, W).
            known: their m, bool, broadcastable to y.
            images: of the candidates, (K, C, H, W).
            places: numbers of those, (K,) int64.
        """
        made = images.flatten(1)
        mark = known.expand_as(values).flatten(1).to(made.dtype)
        wanted = mark * values.flatten(1)
        distance = mark @ made.square().T - 2 * wanted @ made.T + wanted.square().sum(1)[:, None]
        together = torch.cat([self.distances[rows], distance.cpu()], 1)
        numbers = torch.cat([self.places[rows], places.expand(len(rows), -1)], 1)
        kept = together.topk(self.distances.shape[1], largest=False)
        self.distances[rows] = kept.values
        self.places[rows] = numbers.gather(1, kept.indices)


def descend(
    space: LatentSpace, start: Tensor, values: Tensor, known: Tensor, how: Descent, noise: Noise
) -> tuple[Tensor, Tensor]:
    """Go down (1) from ``start``, every row by itself.

    Args:
        space: makes images of u; its conditions are those of the rows.
        start: u, (B, D).
        values: y, (B, C, H, W).
        known: m, bool, broadcastable to y.
        how: the steps.
        noise: of (3), drawn while it is not 0.

    Returns:
        The best u (B, D) that was seen, and its loss (1), (B,).
    """
    mark = known.to(values.dtype)

    def losses(u: Tensor) -> Tensor:
        error = (mark * (space.images(u) - values)).square().flatten(1).sum(1)
        return error / (2 * how.tau**2) + u.square().sum(1) / 2  # (1)

    with torch.no_grad():
        best, least = start.clone(), losses(start)

    def keep(u: Tensor, loss: Tensor) -> None:
        better = loss < least
        least[better] = loss[better]
        best[better] = u[better]

    u = start.clone().requires_grad_()
    adam = torch.optim.Adam([u])
    for i in range(how.iterations):
        progress = (i + 0.5) / how.iterations
        adam.param_groups[0]["lr"] = how.rate_at(progress)
        deviation = how.noise_at(progress, u.shape[1])
        with torch.enable_grad():
            loss = losses(u + deviation * noise(i) if deviation else u)
            (u.grad,) = torch.autograd.grad(loss.sum(), u)
        if not deviation:
            keep(u.detach(), loss.detach())
        adam.step()
    with torch.no_grad():
        keep(u.detach(), losses(u))
    return best, least
