"""Which K steps to take along a path that is known finely: the shortest path through a graph.

Nodes are the N + 1 points of a fine solution, edges the steps i -> j that a coarse solver could
take from one to the other; the length of an edge is the error that it would make there. The grid of
K steps with the least sum of errors is then found exactly:

    V_1(0, j) = c(0, 0, j)
    V_{k+1}(i, j) = min_h V_k(h, i) + c(h, i, j)                                       (1)

Symbols: ``c(h, i, j)`` the error of the step i -> j of a two-step rule that was at h before (h = i
means that it has no history), ``V_k(i, j)`` the least sum of errors of k steps that end i -> j.

Reference: Chen et al. 2024, "On the Trajectory Regularity of ODE-based Diffusion Sampling", section
4 (GITS), with the edges i -> j of Euler's rule alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from undrift.errors import UsageError


def shortest_path(cost: Tensor, steps: int) -> list[int]:
    """The nodes 0 = n_0 < n_1 < ... < n_K = N whose steps cost least, by equation (1).

    Args:
        cost: c, shape (N + 1, N + 1, N + 1), read where h < i < j, and c(0, 0, j).
        steps: K, at most N.

    Raises:
        UsageError: if there is no such path.
    """
    last = len(cost) - 1
    if not 1 <= steps <= last:
        raise UsageError(f"steps {steps}: a path of {last} fine steps allows 1 to {last}")
    node = torch.arange(last + 1, dtype=torch.int64, device="cpu")
    ahead = node[:, None] < node[None, :]  # i < j
    value = torch.full_like(cost[0], torch.inf)  # V(i, j)
    value[0] = torch.where(node > 0, cost[0, 0], torch.inf)
    before: list[Tensor] = []
    for _ in range(steps - 1):
        paths = value[:, :, None] + cost  # (1): h, i, j
        paths = torch.where(ahead[:, :, None] & ahead[None, :, :], paths, torch.inf)
        value, best = paths.min(0)
        before.append(best)
    i, j = int(value[:, last].argmin()), last
    path = [last, i]
    for best in reversed(before):
        i, j = int(best[i, j]), i
        path.append(i)
    return path[::-1]
