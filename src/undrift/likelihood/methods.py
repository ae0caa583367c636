"""How a likelihood is estimated: the settings of the two methods."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from undrift.arguments import check_fields
from undrift.errors import UsageError
from undrift.likelihood import dequantization
from undrift.likelihood.flow import OdeSolver
from undrift.schema import check_ranges

TraceKind = Literal["auto", "exact", "hutchinson"]

EXACT_DIMENSIONS = 64
"""Dimensions up to which the trace is taken exactly where nobody says."""


@dataclass(frozen=True)
class BoundMethod:
    """A variational bound (bound.py).

    Attributes:
        points: noise levels per image at which the continuous bound is estimated.
        steps: length of the discrete chain, every step of which is evaluated; None is the
            continuous bound.
    """

    points: int = 64
    steps: int | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        check_ranges(self, "bound", points=(1, 1_000_000), steps=(1, 1_000_000))

    @property
    def evaluations(self) -> int:
        """Of the network, per image and class."""
        return self.points if self.steps is None else self.steps


@dataclass(frozen=True)
class FlowMethod:
    """The probability-flow ODE's density (flow.py), dequantised (dequantization.py).

    Attributes:
        points: of RK4, evenly in log-SNR.
        solver: rk4 on these points, or dopri5 with step control.
        tolerance: of dopri5.
        trace: exact, by random probes (hutchinson), or auto: exact for few dimensions.
        probes: random probes per solve.
        dequantization: density on the bins.
        samples: K of the importance-weighted bound.
    """

    points: int = 64
    solver: OdeSolver = "rk4"
    tolerance: float = 1e-5
    trace: TraceKind = "auto"
    probes: int = 1
    dequantization: dequantization.Kind = "truncated_normal"
    samples: int = 1

    def __post_init__(self) -> None:
        check_fields(self)
        check_ranges(self, "ODE", points=(2, 1_000_000), probes=(1, 10_000), samples=(1, 10_000))
        if not 0 < self.tolerance < math.inf:
            raise UsageError(f"tolerance {self.tolerance}: wanted a positive finite number")

    @property
    def evaluations(self) -> int:
        """Of the network, per image and class; of dopri5 unknown before, RK4's is returned."""
        return self.samples * 4 * (self.points - 1)

    def exact(self, dimensions: int) -> bool:
        """Whether the trace of images of so many dimensions is taken exactly."""
        return self.trace == "exact" or (self.trace == "auto" and dimensions <= EXACT_DIMENSIONS)


Method = BoundMethod | FlowMethod
"""Any method of computing likelihood."""
