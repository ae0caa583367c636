r"""The trace of a Jacobian: exactly, or by random probes.

Definition: for ``f: R^D -> R^D`` with Jacobian ``J``,

    tr J = sum_i e_i^T J e_i                                                                     (1)
         = E_v [ v^T J v ]        for E[v v^T] = I,                                              (2)

with ``e_i`` the unit vectors. Probes ``v`` of independent signs (Rademacher) have the smallest
variance of all with independent entries, ``2 sum_{i != j} ((J_ij + J_ji) / 2)^2``: the diagonal
adds nothing to it. Each ``v^T J`` is one backward pass.

References: Hutchinson 1990; Grathwohl et al. 2019 (FFJORD: one probe along a whole solve).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]

_ROWS_AT_ONCE = 16  # unit vectors that share one backward pass over a batch


class Trace(Protocol):
    """Evaluates a function and the trace of its Jacobian, row by row of a batch."""

    backwards: int
    """Backward passes per evaluation and image."""

    def __call__(self, function: Function, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return f(x) (B, ...) and the trace (B,), float64; rows do not mix in ``function``."""
        ...


class ExactTrace:
    """Equation (1): D backward passes, for few dimensions.

    Args:
        dimensions: D.
    """

    def __init__(self, dimensions: int) -> None:
        self.backwards = dimensions

    def __call__(self, function: Function, x: Tensor) -> tuple[Tensor, Tensor]:
        """See `Trace.__call__`."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = function(x)
            flat = value.flatten(1)
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for start in range(0, self.backwards, _ROWS_AT_ONCE):
            stop = min(start + _ROWS_AT_ONCE, self.backwards)
            # unit vector i of every row of the batch at once: rows do not mix
            unit = torch.eye(self.backwards, dtype=flat.dtype, device=x.device)[start:stop]
            seeds = unit[:, None, :].expand(-1, len(x), -1)
            (rows,) = torch.autograd.grad(
                flat, x, seeds, retain_graph=stop < self.backwards, is_grads_batched=True
            )
            diagonal = (rows.flatten(2) * unit[:, None, :]).sum(2)
            total += diagonal.double().sum(0)  # (1)
        return value.detach(), total


class HutchinsonTrace:
    """Equation (2) with fixed probes.

    Args:
        probes: v (P, B, ...), signs; the same ones serve every evaluation of a solve, so that what
            is integrated is a smooth function of time.
    """

    def __init__(self, probes: Tensor) -> None:
        self.probes = probes
        self.backwards = len(probes)

    def __call__(self, function: Function, x: Tensor) -> tuple[Tensor, Tensor]:
        """See `Trace.__call__`."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = function(x)
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for number, probe in enumerate(self.probes):
            probe = probe.to(value)
            (row,) = torch.autograd.grad(value, x, probe, retain_graph=number + 1 < self.backwards)
            total += (row * probe).flatten(1).double().sum(1)  # (2)
        return value.detach(), total / self.backwards
