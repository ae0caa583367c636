"""Sampling settings of an adapted model, beside its base's."""

from __future__ import annotations

import math
from dataclasses import dataclass

from undrift.errors import UsageError
from undrift.pipelines.diffusion.settings import DiffusionSettings


@dataclass(frozen=True, eq=False)
class AdapterSettings(DiffusionSettings):
    """How an adapted diffusion model draws.

    Attributes:
        strength: of the adapter: 1 as it was trained, 0 the base itself, bit by bit.
    """

    strength: float | None = None

    def __post_init__(self) -> None:
        if self.strength is not None and not (math.isfinite(self.strength) and self.strength >= 0):
            raise UsageError(f"strength {self.strength}: give 0, which is off, or more")
