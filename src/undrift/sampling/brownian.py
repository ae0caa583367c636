"""Brownian paths over the log-SNR, one per image, that no grid has a part in.

The noise of an SDE solver over a step from lambda_t to lambda_s is the increment of one Brownian
motion W. Were it drawn per step, two grids would meet two different paths, and no number of steps
would make their images agree. Here W is a function of (seed, image, lambda) alone, so finer grids
follow the same path more closely.

W runs on a clock that puts the ends of every path within reach, pure noise at 0 and data at 1,

    tau = sigmoid(lambda / 4),    rounded to a multiple of 2^-20                          (1)

and is the Levy-Ciesielski sum over the nodes of a dyadic tree, each a standard normal number keyed
by (seed, image, node):

    W(tau) = tau Z + sum_l h_l(tau) Z_{l,k},    k = floor(2^l tau),    l = 0 ... 19       (2)
    h_l(tau) = 2^(-l/2 - 1) (1 - |2 (2^l tau - k) - 1|)                                   (3)

For tau on the lattice the sum is exact, not a truncation: increments over stretches that do not
overlap are independent, and that from tau_t to tau_s has variance tau_s - tau_t. A solver gets it
standardised,

    z = (W(tau_s) - W(tau_t)) / sqrt(tau_s - tau_t)  ~  N(0, 1)                           (4)

Where the log-SNR is within +-12 (sigma / alpha from 1/400 to 400) the lattice is finer than 1e-4.

Reference: Levy 1948, "Processus stochastiques et mouvement brownien", chapter I; Li et al. 2020,
"Scalable gradients for stochastic differential equations", section 4, for paths keyed by node.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from undrift.errors import UsageError
from undrift.randomness import key
from undrift.sampling.counter import keys_of, normals

_DEPTH = 20
_SCALE = 4.0  # of the clock, in units of log-SNR
_BLOCK = 1 << 20  # numbers drawn at once: more only fills memory
_KEPT = 1 << 23  # numbers kept from one stretch to the next, 32 MB


@dataclass(eq=False)
class _Kept:
    """What the last stretch needed.

    Attributes:
        paths: keys of the paths, (B,) int64.
        count: numbers of an image.
        numbers: of the nodes, (B, count) each.
    """

    paths: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64, device="cpu"))
    count: int = 0
    numbers: dict[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class BrownianPaths:
    """The paths of some images of a request.

    Attributes:
        seed: the request's seed.
        indices: which images these are, one path each.
    """

    seed: int
    indices: Sequence[int]
    _kept: _Kept = field(default_factory=_Kept, init=False, repr=False, compare=False)

    def increment(
        self,
        log_snr_t: float,
        log_snr_s: float,
        latent_shape: tuple[int, ...],
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Return the standardised increment (4) of each image's path.

        Args:
            log_snr_t: where it begins; -inf is pure noise.
            log_snr_s: where it ends, above ``log_snr_t``; inf is data.
            latent_shape: of one image in the model's space.
            device: where to draw; the bits are the same everywhere.

        Returns:
            (len(indices), *latent_shape) float32, each number N(0, 1).

        Raises:
            UsageError: if the two ends fall on one point of the lattice (1), or are out of order.
        """
        start, stop = tick(log_snr_t), tick(log_snr_s)
        if not start < stop:
            raise UsageError(
                f"a step from log-SNR {log_snr_t:g} to {log_snr_s:g} is backward or finer than "
                "its Brownian path: give fewer steps or another grid"
            )
        weights = _weights(start, stop)
        size = (len(self.indices), math.prod(latent_shape))
        total = torch.zeros(size, device=device, dtype=torch.float32)
        for factor, z in zip(weights.values(), self._numbers(list(weights), total), strict=True):
            # One product and one sum at a time: a fused or reordered sum has other last bits.
            total += factor * z
        return total.reshape(len(self.indices), *latent_shape)

    def _numbers(self, nodes: list[int], like: Tensor) -> Iterator[Tensor]:
        """The number of each node, in their order, shaped ``like`` (B, N); drawn, or still kept.

        Of the nodes of a stretch, half or more are those of the one before: they are kept, coarse
        ones first, up to a size.
        """
        kept = self._kept
        if kept.paths.device != like.device or kept.count != like.shape[1]:
            names = [key(self.seed, int(i), "brownian") for i in self.indices]
            kept.paths = torch.tensor(names, dtype=torch.int64, device=like.device)
            kept.count, kept.numbers = like.shape[1], {}
        before, kept.numbers = kept.numbers, {}
        room, at_once = (max(1, size // max(1, like.numel())) for size in (_KEPT, _BLOCK))
        missing = [node for node in nodes if node not in before]
        numbers = torch.tensor(missing, dtype=torch.int64, device="cpu")
        drawn = (
            z
            for first in range(0, len(missing), at_once)
            for z in normals(
                keys_of(kept.paths, numbers[first : first + at_once].to(like.device)), kept.count
            )
        )
        for node in nodes:
            z = before[node] if node in before else next(drawn)
            if len(kept.numbers) < room:
                kept.numbers[node] = z
            yield z


def tick(log_snr: float) -> int:
    """Return the lattice point of a log-SNR by (1): tau in units of 2^-20."""
    tau = torch.sigmoid(torch.tensor(log_snr / _SCALE, dtype=torch.float64, device="cpu"))
    return round(float(tau) * 2**_DEPTH)


def _weights(start: int, stop: int) -> dict[int, float]:
    """By which factor each node's number enters (4): {node: factor}, in a fixed order.

    Node 0 is Z, node 2^l + k is Z_{l,k}.
    """
    at_start, at_stop = _tents(start), _tents(stop)
    scale = math.sqrt(2**_DEPTH / (stop - start))
    weights: dict[int, float] = {}
    for node in sorted(at_start.keys() | at_stop.keys()):
        weights[node] = scale * (at_stop.get(node, 0.0) - at_start.get(node, 0.0))  # (4)
    return weights


def _tents(point: int) -> dict[int, float]:
    """The coefficients of (2) at a lattice point, where they are not 0."""
    tents = {0: point / 2**_DEPTH} if point else {}
    for level in range(_DEPTH):
        width = 1 << (_DEPTH - level)
        k, rest = divmod(point, width)
        if rest == 0:  # here and at every finer level
            break
        tents[(1 << level) + k] = 2 ** (-level / 2) * min(rest, width - rest) / width  # (3)
    return tents
