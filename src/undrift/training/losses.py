"""What the log says of the losses since it last spoke: their mean, by noise level, and the rate."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from undrift.training.learner import Loss

BINS = 10
EDGES = tuple(10 - 2 * i for i in range(BINS + 1))
"""Edges of the bins of log-SNR, from clean to noisy."""


class LossLog:
    """Collects losses on their device; they are brought over only when ``summary`` is asked for.

    Attributes:
        steps: updates since the last summary.
    """

    def __init__(self) -> None:
        self.steps = 0
        self._pending: list[tuple[Tensor, Tensor | None]] = []
        self._kept: list[tuple[Tensor, Tensor | None]] = []
        self._norm = 0.0
        self._rate = 0.0
        self._since = time.perf_counter()
        self._excluded = 0.0
        self._waited = 0.0

    def collect(self, loss: Loss) -> None:
        """Take in the losses of a micro-batch, until the update is made or discarded."""
        self._pending.append((loss.per_sample.detach(), loss.statistics.get("log_snr")))

    def add(self, norm: float, rate: float) -> None:
        """Record that the update was made."""
        self._kept += self._pending
        self._pending = []
        self._norm += norm
        self._rate = rate
        self.steps += 1

    def discard(self) -> None:
        """Record that the update was skipped."""
        self._pending = []

    def exclude(self, seconds: float) -> None:
        """Leave time that went into looking out of the training rate."""
        self._excluded += seconds

    def summary(self, batch_size: int, waited: float) -> dict[str, Any]:
        """Entries of a ``train`` event; starts a new interval.

        Args:
            batch_size: images per update.
            waited: seconds that the loader has made the loop wait so far.
        """
        now = time.perf_counter()
        seconds = max(1e-9, now - self._since - self._excluded)
        losses = torch.cat([loss for loss, _ in self._kept]).double().cpu()
        entries = {
            "loss": float(losses.mean()),
            "grad_norm": self._norm / self.steps,
            "learning_rate": self._rate,
            "images_per_second": self.steps * batch_size / seconds,
            "data_wait": max(0.0, waited - self._waited) / seconds,
            **_by_level(losses, [levels for _, levels in self._kept if levels is not None]),
        }
        self.steps, self._kept, self._norm = 0, [], 0.0
        self._since, self._excluded, self._waited = now, 0.0, waited
        return entries


def _by_level(losses: Tensor, levels: list[Tensor]) -> dict[str, Any]:
    """Mean loss in each bin of log-SNR; None where a bin is empty."""
    if not levels:
        return {}
    log_snr = torch.cat(levels).double().cpu().clamp(EDGES[-1] + 1e-6, EDGES[0] - 1e-6)
    index = ((EDGES[0] - log_snr) / (EDGES[0] - EDGES[-1]) * BINS).long()
    counts = torch.bincount(index, minlength=BINS)
    sums = torch.bincount(index, weights=losses, minlength=BINS)
    means = [float(s / n) if n else None for s, n in zip(sums, counts, strict=True)]
    return {"level_bins": list(EDGES), "level_losses": means}
