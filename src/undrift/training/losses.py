"""What the log says of the losses since it last spoke: their mean, by noise level, and the rate."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch

from undrift.json_types import JsonObject
from undrift.training.learner import Loss

BINS = 10
EDGES = tuple(10 - 2 * i for i in range(BINS + 1))
"""Edges of the bins of log-SNR, from clean to noisy."""


class LossLog:
    """Collects losses on their device; ``summary`` copies them to the CPU.

    Args:
        main: the phase whose losses are the run's; the others are listed beside it.
    """

    def __init__(self, main: str) -> None:
        self._main = main
        self._pending: list[Loss] = []
        self._phases: dict[str, _PhaseLog] = {}
        self._since = time.perf_counter()
        self._excluded = 0.0
        self._waited = 0.0

    @property
    def steps(self) -> int:
        """Updates of the main phase since the last summary."""
        return self._phases[self._main].steps if self._main in self._phases else 0

    def collect(self, loss: Loss) -> None:
        """Take in the losses of a micro-batch, until the update is made or discarded."""
        statistics = {name: value.detach() for name, value in loss.statistics.items()}
        self._pending.append(Loss(loss.per_sample.detach(), statistics))

    def add(self, phase: str, norm: float, rate: float) -> None:
        """Record that the update of ``phase`` was made."""
        log = self._phases.setdefault(phase, _PhaseLog())
        log.losses += self._pending
        log.norm += norm
        log.rate = rate
        log.steps += 1
        self._pending = []

    def discard(self) -> None:
        """Record that the update was skipped."""
        self._pending = []

    def exclude(self, seconds: float) -> None:
        """Leave time that went into looking out of the training rate."""
        self._excluded += seconds

    def summary(self, batch_size: int, waited: float, phases: int = 1) -> JsonObject:
        """Entries of a ``train`` event; starts a new interval.

        Args:
            batch_size: images per update.
            waited: seconds that the loader has made the loop wait so far.
            phases: how many the learner has; several are listed by name.
        """
        now = time.perf_counter()
        seconds = max(1e-9, now - self._since - self._excluded)
        main = self._phases[self._main]
        entries: JsonObject = {
            **main.entries(),
            "images_per_second": main.steps * batch_size / seconds,
            "data_wait": max(0.0, waited - self._waited) / seconds,
            **_by_level(main.losses),
        }
        if phases > 1:
            entries["phases"] = {
                name: log.entries() | log.means() for name, log in self._phases.items()
            }
        self._phases = {}
        self._since, self._excluded, self._waited = now, 0.0, waited
        return entries


@dataclass
class _PhaseLog:
    """Updates of one phase."""

    losses: list[Loss] = field(default_factory=list)
    norm: float = 0.0
    rate: float = 0.0
    steps: int = 0

    def entries(self) -> dict[str, float]:
        losses = torch.cat([loss.per_sample for loss in self.losses]).double().cpu()
        return {
            "loss": float(losses.mean()),
            "grad_norm": self.norm / self.steps,
            "learning_rate": self.rate,
        }

    def means(self) -> dict[str, float]:
        """Mean of each statistic."""
        return {
            name: float(torch.cat([loss.statistics[name] for loss in self.losses]).double().mean())
            for name in self.losses[0].statistics
        }


def _by_level(found: list[Loss]) -> JsonObject:
    """Mean loss in each bin of log-SNR; None where a bin is empty."""
    if "log_snr" not in found[0].statistics:
        return {}
    losses = torch.cat([loss.per_sample for loss in found]).double().cpu()
    levels = [loss.statistics["log_snr"] for loss in found]
    log_snr = torch.cat(levels).double().cpu().clamp(EDGES[-1] + 1e-6, EDGES[0] - 1e-6)
    index = ((EDGES[0] - log_snr) / (EDGES[0] - EDGES[-1]) * BINS).long()
    counts = torch.bincount(index, minlength=BINS)
    sums = torch.bincount(index, weights=losses, minlength=BINS)
    means = [float(s / n) if n else None for s, n in zip(sums, counts, strict=True)]
    return {"level_bins": list(EDGES), "level_losses": means}
