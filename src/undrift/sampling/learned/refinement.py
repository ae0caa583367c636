"""A table by gradient: times, model times and coefficients, for the image that comes out.

The K steps are differentiated through, the network's weights held still, and

    min over t, tau, c   mean_b |x_K^b - x*^b|,    |.| the root mean square             (1)

is minimised by L-BFGS from another table. The numbers are written so that every step of the
optimiser gives a sampler, and so that steps of one length change the image about equally:

    log r_{k+1} = log r_k - (log r_k - log r_{k+1})^0 exp(u_k / 2)                      (2)
    log tau_k   = log tau_k^0 + (log r_k - log r_k^0) + v_k (log r_k - log r_{k+1})^0 / 4   (3)
    c_k         = c_k^0 + (1 / g_{k+1}) L_k^-T z_k,    L_k L_k^T = E[D_i D_j] + ridge   (4)

Symbols: ``r`` = sigma / alpha, and tau written by its own r; ``x*`` the fine solution from the same
noise; ``u, v, z`` what is learned, 0 at the start; ``L_k`` whitens the denoised images known at
step k; ``g`` how much of a change reaches the image, equation (2) of ``learned/trajectory.py``.

References: Tong et al. 2024, "Learning to Discretize Denoising Diffusion ODEs" (LD3), for times and
model times; Frankel et al. 2025, "S4S: Solving for a Diffusion Model Solver", for coefficients and
times together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule
from undrift.errors import UsageError
from undrift.sampling.learned.regression import Cases, denoised_along
from undrift.sampling.learned.table import Table
from undrift.sampling.learned.tabled import follow
from undrift.sampling.learned.trajectory import reach

_RIDGE = 1e-4
_BETTER = 0.995  # a round that lowers the error by less is no progress

OnRound = Callable[[int, float, float], None]
"""Called with (rounds done, error of the images fitted, error of the images held out)."""


@dataclass(frozen=True, eq=False)
class Refined:
    """What refinement found.

    Attributes:
        table: the best on the images held out, the one it began with included.
        error: its error there.
        rounds: how many were made.
    """

    table: Table
    error: float
    rounds: int


def refine(
    fit: Sequence[Cases],
    choose: Sequence[Cases],
    table: Table,
    schedule: NoiseSchedule,
    spread: float,
    *,
    rounds: int = 8,
    updates: int = 5,
    patience: int = 2,
    on_round: OnRound | None = None,
) -> Refined:
    """Minimise (1) on ``fit``, and stop when it no longer falls on ``choose``.

    Args:
        fit: images to learn from.
        choose: images to choose by.
        table: where to begin.
        schedule: the path.
        spread: standard deviation of the data.
        rounds: at most.
        updates: of L-BFGS in a round.
        patience: rounds without progress before it stops.
        on_round: called after each round; to cancel, raise.
    """
    space = Coordinates.around(fit, table, schedule, spread)
    learned = torch.zeros(space.count, dtype=torch.float64, requires_grad=True, device="cpu")
    optimiser = torch.optim.LBFGS(
        [learned],
        max_iter=updates,
        history_size=rounds * updates,
        line_search_fn="strong_wolfe",
        tolerance_grad=0.0,
        tolerance_change=0.0,
    )
    images = sum(len(one.start) for one in fit)
    fitted = 0.0

    def loss() -> float:
        nonlocal fitted
        optimiser.zero_grad()
        fitted = 0.0
        for one in fit:  # apart, so that only one's activations are held
            part = _errors(one, space.at(learned), schedule).sum() / images  # (1)
            part.backward()
            fitted += float(part.detach())
        return fitted

    best = Refined(table, float(errors(choose, table, schedule).mean()), 0)
    idle = 0
    for done in range(1, rounds + 1):
        try:
            optimiser.step(loss)
            found = space.at(learned).detached()
        except UsageError:  # a step so far that the numbers are no sampler any more
            break
        error = float(errors(choose, found, schedule).mean())
        idle = 0 if error < _BETTER * best.error else idle + 1
        if error < best.error:
            best = Refined(found, error, done)
        if on_round is not None:
            on_round(done, fitted, error)
        if idle == patience:
            break
    return best


def errors(cases: Sequence[Cases], table: Table, schedule: NoiseSchedule) -> Tensor:
    """Root mean square difference of each image from its fine solution, float64 (images,)."""
    with torch.no_grad():
        return torch.cat([_errors(one, table, schedule).cpu() for one in cases])


def _errors(one: Cases, table: Table, schedule: NoiseSchedule) -> Tensor:
    # from the same noise, wherever the table begins
    rescaled = schedule(table.times[0]).sigma / schedule(one.path.times[0]).sigma
    made = follow(one.denoise, one.start * rescaled, table, schedule)
    return (made - one.target).to(torch.float64).flatten(1).square().mean(1).sqrt()


@dataclass(frozen=True, eq=False)
class Coordinates:
    """The map from (u, v, z) to tables around one of them, equations (2) to (4).

    Attributes:
        table: where u, v and z are 0.
        schedule: the path.
        whitening: L_k^-T / g_{k+1} for every step.
    """

    table: Table
    schedule: NoiseSchedule
    whitening: tuple[Tensor, ...]

    @staticmethod
    def around(
        cases: Sequence[Cases], table: Table, schedule: NoiseSchedule, spread: float
    ) -> Coordinates:
        """Centre the map on ``table``, with L_k from its denoised images of ``cases``."""
        size, images = table.steps, 0
        gram = torch.zeros((size, size), dtype=torch.float64, device="cpu")
        for one in cases:
            rows = denoised_along(one.denoise, one.start, table, schedule).double().flatten(1)
            gram += rows @ rows.T / rows.shape[1] * len(one.start)
            images += len(one.start)
        gram /= images
        rate = reach(schedule(table.times[1:]), spread)
        whitening = []
        for k in range(size):
            part = gram[: k + 1, : k + 1]
            unit = torch.eye(k + 1, dtype=torch.float64, device="cpu")
            ridge = _RIDGE * part.diagonal().mean() * unit
            factor = torch.linalg.cholesky(part + ridge)
            whitening.append(torch.linalg.inv(factor).T / rate[k])
        return Coordinates(table, schedule, tuple(whitening))

    @property
    def count(self) -> int:
        """How many numbers are learned."""
        steps = self.table.steps
        return 2 * (steps - 1) + steps * (steps + 1) // 2

    def at(self, learned: Tensor) -> Table:
        """The table at ``learned``, (count,) float64; differentiable.

        Raises:
            UsageError: so far from 0 that it is no sampler.
        """
        steps = self.table.steps
        u, v, *z = learned.split([steps - 1, steps - 1, *range(1, steps + 1)])
        ratio = self._log_ratio(self.table.times[:-1])
        gap = ratio[:-1] - ratio[1:]
        gap = gap.where(~gap.isinf(), torch.ones_like(gap))
        moved = gap * torch.exp(u / 2)  # (2)
        if bool(ratio[0].isfinite()):
            inner = ratio[:1] - moved.cumsum(0)
        else:  # the first step is infinitely long: its end moves, and the others count from there
            inner = ratio[1:2] - (moved - gap)[:1] - torch.cat([u[:1] * 0, moved[1:]]).cumsum(0)
        passed = (
            self._log_ratio(self.table.model_times[1:]) + (inner - ratio[1:]) + v * gap / 4
        )  # (3)
        rows = [
            torch.cat(
                [
                    self.table.coefficients[k, : k + 1] + self.whitening[k] @ z[k],
                    z[k].new_zeros(steps - k - 1),
                ]
            )
            for k in range(steps)
        ]  # (4)
        return Table(
            torch.cat([self.table.times[:1], self._times(inner), self.table.times[-1:]]),
            torch.cat([self.table.model_times[:1], self._times(passed)]),
            torch.stack(rows),
        )

    def _log_ratio(self, times: Tensor) -> Tensor:
        return -self.schedule(times).log_snr / 2

    def _times(self, log_ratio: Tensor) -> Tensor:
        return self.schedule.time_at(-2 * log_ratio)
