"""Which noise levels a network is trained at: distributions of time, drawn through the path.

Definition: a distribution is given by its quantile function, which turns ``u`` uniform in [0, 1)
into a time. Uniform ``u`` may be stratified over the global batch, one in each of as many equal
parts as there are rows: the mean over a batch keeps its expectation and loses most of its variance.

Symbols: ``r = sigma / alpha`` noise in units of the data, ``Phi`` the normal distribution function.

References: Kingma et al. 2021 (low-discrepancy times); Karras et al. 2022, table 1 (log-normal);
Esser et al. 2024, section 3.1 (logit-normal).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from undrift.diffusion.schedule import NoiseSchedule
from undrift.errors import UsageError


@dataclass(frozen=True)
class Uniform:
    """Times uniform in [0, 1].

    Attributes:
        stratified: spread each global batch evenly over the distribution (Kingma et al. 2021).
    """

    kind: Literal["uniform"] = field(default="uniform", kw_only=True)
    stratified: bool = True

    def time(self, schedule: NoiseSchedule, quantile: Tensor) -> Tensor:
        """Return the times at these quantiles in [0, 1), before clamping."""
        return quantile


@dataclass(frozen=True)
class LogNormal:
    """Noise ``r = sigma / alpha`` log-normal, as in EDM: ``ln r ~ N(mean, std^2)``.

    Attributes:
        mean: of ln r.
        std: of ln r, positive.
        stratified: spread each global batch evenly over the distribution.
    """

    kind: Literal["log_normal"] = field(default="log_normal", kw_only=True)
    mean: float = -0.6
    std: float = 1.3
    stratified: bool = True

    def __post_init__(self) -> None:
        _check_normal(self.kind, self.mean, self.std)

    def time(self, schedule: NoiseSchedule, quantile: Tensor) -> Tensor:
        """Return the times at these quantiles of the noise, low noise first."""
        log_ratio = self.mean + self.std * torch.special.ndtri(quantile)
        return schedule.time_at(-2 * log_ratio)


@dataclass(frozen=True)
class LogitNormal:
    """Times logit-normal: ``log(t / (1 - t)) ~ N(mean, std^2)`` (Esser et al. 2024).

    On the rectified path, whose r is t / (1 - t), this is `LogNormal` with the same numbers.

    Attributes:
        mean: of the logit.
        std: of the logit, positive.
        stratified: spread each global batch evenly over the distribution.
    """

    kind: Literal["logit_normal"] = field(default="logit_normal", kw_only=True)
    mean: float = 0.0
    std: float = 1.0
    stratified: bool = True

    def __post_init__(self) -> None:
        _check_normal(self.kind, self.mean, self.std)

    def time(self, schedule: NoiseSchedule, quantile: Tensor) -> Tensor:
        """Return the times at these quantiles, low noise first."""
        return torch.sigmoid(self.mean + self.std * torch.special.ndtri(quantile))


NoiseLevels = Uniform | LogNormal | LogitNormal
"""Any distribution of training noise levels."""


def _check_normal(kind: str, mean: float, std: float) -> None:
    if not (math.isfinite(mean) and 0 < std < math.inf):
        raise UsageError(
            f"{kind} got mean={mean}, std={std}; give a finite mean and a positive std"
        )
