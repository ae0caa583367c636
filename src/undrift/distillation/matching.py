r"""Distribution matching: the student's samples move as two denoisers differ about them.

:math:`x = G(z)` is noised to :math:`x_t`; :math:`D` denoises as the teacher does and
:math:`D_\phi` as a denoiser that is trained on the student's own samples, the fake score. Their
difference is the gradient of the divergence between both distributions at that level,

.. math::

    \nabla = \frac{D_\phi(x_t) - D(x_t)}{\mathrm{mean}\,\lvert x - D(x_t) \rvert}, \qquad
    L_G = \tfrac12\,\lVert x - \mathrm{sg}(x - \nabla) \rVert^2.                         \quad (1)

The fake score is updated several times as often as the student. A student of several steps is
trained on the inputs that it meets when it samples: its own estimates, noised again to the levels
of `undrift.distillation.steps`, which are chosen before training.

References: Yin et al. 2024, "Improved Distribution Matching Distillation for Fast Image Synthesis"
(DMD2), sections 4.2 and 4.5; Yin et al. 2024, "One-step Diffusion with Distribution Matching
Distillation", eqs. 7-8 (1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from undrift.diffusion import LogNormal
from undrift.schema import check_ranges


@dataclass(frozen=True)
class MatchingConfig:
    """Levels and time scales of distribution matching.

    Attributes:
        levels: at which both denoisers are compared, and the fake score is trained.
        level: noise over signal between the steps of two, in standard deviations of the data.
        every: updates of the fake score for each of the student's.
    """

    kind: Literal["distribution_matching"] = "distribution_matching"
    steps: ClassVar[tuple[int, ...]] = (1, 2, 4)
    chosen_level: ClassVar[bool] = False
    end: ClassVar[bool] = False
    guided: ClassVar[bool] = True
    direction: ClassVar[str] = "teacher"
    levels: LogNormal = field(default_factory=lambda: LogNormal(mean=0.0, std=1.4))
    level: float = 1.6
    every: int = 5

    def __post_init__(self) -> None:
        check_ranges(self, "distribution matching", level=(1e-6, 1e6), every=(1, 1000))


def matching_losses(x: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """Equation (1) of each sample, (B,), float32 or wider.

    Args:
        x: the student's images (B, ...).
        real: the teacher's estimates of them from their noised versions.
        fake: those of the fake score.
    """
    with torch.no_grad():
        size = (x - real).abs().flatten(1).mean(1).clamp_min(1e-6)
        gradient = (fake - real) / size.reshape(-1, *[1] * (x.ndim - 1))  # (1)
    return (x - (x - gradient).detach()).square().flatten(1).mean(1) / 2
