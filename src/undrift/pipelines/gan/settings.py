"""Sampling and inpainting settings of a GAN, beside those of every family."""

from __future__ import annotations

import math
from dataclasses import dataclass

from undrift.errors import UsageError
from undrift.pipelines.whole_number import MOST_IMAGES, MOST_STEPS, within


@dataclass(frozen=True)
class GANSettings:
    """How a GAN draws.

    Attributes:
        truncation: share of the distance from the mean latent that is kept, from 0 (one image per
            class) to 1 (off): less makes images more typical and more alike.
    """

    truncation: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.truncation <= 1:
            raise UsageError(f"truncation {self.truncation}: give a share from 0 to 1 (off)")


@dataclass(frozen=True)
class GANInpainting:
    """How long latents are searched for whose images agree with the known pixels.

    Attributes:
        iterations: of Adam, 100 by default; None is as many as fit into ``seconds``.
        seconds: wall-clock time of all of it, at a pace that is measured first; at least one
            iteration is made.
        candidates: random latents that are compared with each image.
        restarts: the nearest of them, from which Adam starts.

    Raises:
        UsageError: for numbers that cannot be, or both of the first two.
    """

    iterations: int | None = None
    seconds: float | None = None
    candidates: int = 1000
    restarts: int = 2

    def __post_init__(self) -> None:
        if self.iterations is not None:
            within("iterations", self.iterations, 0, MOST_STEPS)
            if self.seconds is not None:
                raise UsageError("iterations and seconds exclude each other; give one of them")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise UsageError(f"seconds {self.seconds}: give a finite number above 0")
        within("restarts", self.restarts, 1)
        if within("candidates", self.candidates, 1, MOST_IMAGES) < self.restarts:
            raise UsageError(
                f"{self.candidates} candidates for {self.restarts} restarts: give as many at least"
            )
