"""The learning rate as a function of how much of the run is done."""

from __future__ import annotations

from dataclasses import dataclass

from undrift.errors import UsageError


@dataclass(frozen=True)
class LearningRate:
    """Linear warm-up, a constant stretch, linear decay to zero: a factor on the peak rate.

    Attributes:
        warm_up: share of the run over which the factor rises from 0 to 1, in [0, 1].
        decay: share of the run, at its end, over which it falls to 0, in [0, 1].
    """

    warm_up: float = 0.02
    decay: float = 0.5

    def __post_init__(self) -> None:
        if not (0 <= self.warm_up and 0 <= self.decay and self.warm_up + self.decay <= 1):
            raise UsageError(
                f"warm-up {self.warm_up} and decay {self.decay}: wanted shares of the run, from 0, "
                "with a sum of at most 1"
            )

    def factor(self, progress: float) -> float:
        """Factor for an update in whose middle the share ``progress`` of the run is done: (0, 1].

        Taken at its middle, neither the first nor the last update is wasted on a rate of zero.
        """
        rise = progress / self.warm_up if self.warm_up else 1.0
        fall = (1 - progress) / self.decay if self.decay else 1.0
        return max(0.0, min(rise, fall, 1.0))
