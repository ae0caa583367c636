"""A sampler as a table of numbers: times, and how much of each denoised image every step takes.

Every explicit sampler with one denoiser evaluation per step that is linear in the denoised images,
multistep rules of any order among them, can be written in data prediction as

    D_k     = D(x_k, tau_k)                                                            (1)
    x_{k+1} = (sigma_{k+1} / sigma_k) x_k + sum_{j <= k} c_kj D_j                      (2)

for k = 0 ... K - 1, with t_K = 0. Symbols: ``x_k`` the state at time ``t_k``, ``D`` the denoiser,
``tau_k`` the time passed to it (t_k in a classical rule), ``c_kj`` the coefficients. The
whole table is one sampler for one number of steps; it need not come from a rule that converges, so
that it can be learned.

References: Shaul et al. 2024, "Bespoke Non-Stationary Solvers for Fast Sampling of Diffusion and
Flow Models", for the family; Tong et al. 2024, "Learning to Discretize Denoising Diffusion ODEs",
for tau apart from t.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.errors import UsageError


@dataclass(frozen=True, eq=False)
class Table:
    """Equations (1) and (2) in numbers, float64 on the CPU.

    Attributes:
        times: t, falling from noise to exactly 0, shape (K + 1,).
        model_times: tau, in (0, 1], shape (K,).
        coefficients: c, shape (K, K), 0 above the diagonal.

    Raises:
        UsageError: for other shapes or types, or numbers that are no sampler.
    """

    times: Tensor
    model_times: Tensor
    coefficients: Tensor

    def __post_init__(self) -> None:
        count = len(self.model_times)
        shapes = [tuple(part.shape) for part in (self.times, self.model_times, self.coefficients)]
        if count < 1 or shapes != [(count + 1,), (count,), (count, count)]:
            raise UsageError(f"table of shapes {shapes}: wanted (K + 1,), (K,) and (K, K)")
        parts = (self.times, self.model_times, self.coefficients)
        if any(part.dtype != torch.float64 or not part.isfinite().all() for part in parts):
            raise UsageError("table: give finite numbers in float64")
        if not bool((self.times.diff() < 0).all()) or self.times[0] > 1 or self.times[-1] != 0:
            raise UsageError("table: its times must fall from 1 or below to exactly 0")
        if not bool(((self.model_times > 0) & (self.model_times <= 1)).all()):
            raise UsageError("table: the denoiser takes times above 0, up to 1")
        if bool(self.coefficients.triu(1).any()):
            raise UsageError("table: a step cannot take a denoised image of a later one")

    @property
    def steps(self) -> int:
        """K, which is also the number of evaluations."""
        return len(self.model_times)

    def detached(self) -> Table:
        """The same numbers without what made them."""
        return Table(
            self.times.detach().clone(),
            self.model_times.detach().clone(),
            self.coefficients.detach().clone(),
        )
