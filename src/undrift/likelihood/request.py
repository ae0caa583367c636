"""How images are scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from undrift.arguments import check_fields
from undrift.likelihood.methods import BoundMethod, FlowMethod

Classes = Literal["given", "marginal", "none"]
"""Score given the label, summed over all classes, or as an image of unknown class."""


@dataclass(frozen=True)
class LikelihoodRequest:
    """How images are scored.

    Attributes:
        method: a variational bound, or the probability-flow ODE's density.
        value_levels: values that a pixel of the data can take, see `undrift.likelihood.ValueGrid`.
        classes: what is known of the class.
        log_snr_max: cleanest noise level; None is six standard deviations between values.
        log_snr_min: noisiest level; None is the path's own end.
        seed: random seed.
    """

    method: BoundMethod | FlowMethod
    value_levels: int
    classes: Classes = "none"
    log_snr_max: float | None = None
    log_snr_min: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
