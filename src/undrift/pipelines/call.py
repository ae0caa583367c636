"""What a diffusion pipeline is called with, before any of it is checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Grid = str | Sequence[float] | Tensor | None
"""A grid's name, or its times: falling, in [0, 1], the last exactly 0."""

Precision = Literal["float32", "bfloat16"]

Method = Literal["moments", "repaint"]
"""How a diffusion model inpaints."""


@dataclass(frozen=True, eq=False)
class Call:
    """The arguments of `DiffusionPipeline.__call__` that decide what is drawn, as they were given.

    None is the pipeline's own default.

    Attributes:
        n: number of images.
        seed: names the noise.
        steps: steps of the sampler.
        sampler: its name.
        guidance: guidance scale; 1 is off.
        grid: how the steps are spaced.
        batch_size: images drawn at once.
        first: number of the first image.
        precision: of the network's matrix products.
        threshold: ``"static"`` or ``"dynamic"``, perhaps with its quantile.
        tolerance: of an adaptive sampler.
        analytic_first_step: whether the first evaluation is answered without the network.
    """

    n: int
    seed: int = 0
    steps: int | None = None
    sampler: str | None = None
    guidance: float | None = None
    grid: Grid = None
    batch_size: int | None = None
    first: int = 0
    precision: Precision = "float32"
    threshold: str | None = None
    tolerance: float | None = None
    analytic_first_step: bool = False
