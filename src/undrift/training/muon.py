r"""Muon: momentum whose matrices are orthogonalised before they are applied.

For a weight matrix W (m, n) with gradient G:

    M <- mu M + (1 - mu) G                                 (momentum)                        (1)
    U  = (1 - mu) G + mu M                                 (Nesterov)                        (2)
    O ~= (U U^T)^(-1/2) U                                  (nearest semi-orthogonal matrix)  (3)
    W <- (1 - eta lambda) W - eta 0.2 sqrt(max(m, n)) O                                      (4)

(3) by five steps of the quintic Newton-Schulz iteration X <- a X + b (X X^T) X + c (X X^T)^2 X
from X = U / ||U||_F, whose coefficients trade exactness for speed: singular values end near 1,
between about 0.7 and 1.2. The factor in (4) gives the update the root mean square of AdamW's
updates (0.2), so both take learning rates of one size.

References: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; factor
of (4): Liu et al., "Muon is Scalable for LLM Training", 2025 (arXiv:2502.16982), section 2.2.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import Parameter

A, B, C = 3.4445, -4.7750, 2.0315
STEPS = 5
UPDATE_RMS = 0.2


class Muon(torch.optim.Optimizer):
    """Muon for parameters of two or more dimensions; (out, ...) counts as a matrix (out, rest).

    Args:
        parameters: at least two-dimensional, real.
        lr: eta of eq. (4).
        momentum: mu of eq. (1), in [0, 1).
        weight_decay: lambda of eq. (4).
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim < 2:
                    raise ValueError(f"Muon takes matrices, not shape {tuple(parameter.shape)}")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Make one update from the parameters' gradients; those without one are left alone."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            updates = self._updates(group["params"], group["momentum"])
            rate = group["lr"]
            for batch in _by_shape(updates):
                matrices = torch.stack([updates[parameter] for parameter in batch])
                m, n = matrices.shape[-2:]
                scale = UPDATE_RMS * math.sqrt(max(m, n))
                directions = orthogonalise(matrices)
                for parameter, direction in zip(batch, directions, strict=True):
                    parameter.mul_(1 - rate * group["weight_decay"])
                    parameter.add_(direction.view(parameter.shape), alpha=-rate * scale)  # (4)
        return loss

    def _updates(self, parameters: Sequence[Parameter], momentum: float) -> dict[Parameter, Tensor]:
        """Matrix U of eq. (2) for every parameter with a gradient."""
        updates = {}
        for parameter in parameters:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(parameter)
            state["momentum"].lerp_(parameter.grad, 1 - momentum)  # (1)
            updates[parameter] = parameter.grad.lerp(state["momentum"], momentum).flatten(1)  # (2)
        return updates


def orthogonalise(matrices: Tensor) -> Tensor:
    """Approximate the nearest semi-orthogonal matrix of each of ``matrices``, eq. (3).

    Args:
        matrices: (K, m, n), floating point.

    Returns:
        The same shape and type; zero matrices stay zero. Computed in bfloat16 on CUDA, where the
        iteration tolerates it and the matrix units reward it, else in the given type.
    """
    _, m, n = matrices.shape
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    if m > n:
        x = x.mT  # the smaller Gram matrix
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=B, alpha=C)
        x = torch.baddbmm(x, polynomial, x, beta=A)
    return (x.mT if m > n else x).to(matrices.dtype).contiguous()


def _by_shape(updates: dict[Parameter, Tensor]) -> list[list[Parameter]]:
    groups: dict[tuple[int, ...], list[Parameter]] = defaultdict(list)
    for parameter, update in updates.items():
        groups[tuple(update.shape)].append(parameter)
    return list(groups.values())
