"""Sampling settings of a student, beside those of every family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, eq=False)
class StudentSettings:
    """How a student draws; None is the pipeline's own default.

    Attributes:
        steps: passes of the network; which numbers there are depends on the method.
        guidance: guidance scale, of a student that was distilled under guidance; or several, of
            which image i gets entry i modulo their number.
        precision: of the network's matrix products; all else is float32.
    """

    steps: int | None = None
    guidance: float | Sequence[float] | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
