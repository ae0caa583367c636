"""What a student's network takes beside its teacher's conditions.

Both are numbers, encoded as all numbers are: the guidance scale of a student that was distilled
under several, and the level at the end of a step of a flow map. They start with weights of zero, so
that a student begins as its teacher.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.conditioning import Condition, Number
from undrift.conditioning.numbers import NOT_GIVEN
from undrift.diffusion import NoiseSchedule
from undrift.errors import UsageError

GUIDANCE, END = "guidance scale", "end of the step"

LARGEST_GUIDANCE = 100.0

_LIMIT, _UNIT = 20.0, 8.0
"""Log-SNR at the end of a step is an input as c_noise is: clamped, in units of 8."""


@dataclass(frozen=True)
class StudentInputs:
    """Further inputs of a student.

    Attributes:
        guidance: smallest and largest scale that it was distilled under; None: without guidance.
            Where both are the same, it is no input of the network.
        end: whether the noise level at the end of a step is an input.
    """

    guidance: tuple[float, float] | None = None
    end: bool = False

    def __post_init__(self) -> None:
        if self.guidance is None:
            return
        low, high = self.guidance
        if not (math.isfinite(low) and 0 <= low <= high <= LARGEST_GUIDANCE):
            raise UsageError(
                f"guidance {low:g}:{high:g}: wanted a scale, or two that rise, from 0 to "
                f"{LARGEST_GUIDANCE:g}"
            )

    @property
    def numbers(self) -> tuple[Number, ...]:
        """As numbers of the encoder, behind those of the teacher."""
        made = []
        if self.guidance is not None and self.guidance[0] < self.guidance[1]:
            low, high = self.guidance
            made.append(Number(GUIDANCE, (low + high) / 2, (high - low) / 12**0.5, low, high))
        if self.end:
            limit = _LIMIT / _UNIT
            made.append(Number(END, 0.0, limit / 2, -limit, limit))
        return tuple(made)

    def added(
        self,
        condition: Condition,
        known: int,
        count: int,
        *,
        scale: Tensor | None,
        end: Tensor | None,
        schedule: NoiseSchedule,
    ) -> Condition:
        """``condition`` of ``count`` samples with these inputs.

        Args:
            condition: of the teacher's kinds.
            known: how many numbers the teacher takes.
            count: samples.
            scale: guidance scales, of shape () or (B,); unused without a range of them.
            end: times at the end of the step, likewise; unused by a student without this input.
            schedule: the path.
        """
        values = {GUIDANCE: scale}
        if end is not None:
            log_snr = schedule(end).log_snr.clamp(-_LIMIT, _LIMIT)
            values[END] = -log_snr / _UNIT
        columns = []
        for number in self.numbers:
            value = values.get(number.name)
            if value is None:
                raise UsageError(f"student: the {number.name} is missing; give it")
            columns.append(value.to(torch.float64).expand(count))
        if not columns:
            return condition
        given = condition.get("numbers")
        size, device = (count, known), columns[0].device
        if not isinstance(given, Tensor):
            given = torch.full(size, NOT_GIVEN, dtype=torch.float64, device=device)
        return condition.with_entry(
            "numbers", torch.cat([given.to(device), torch.stack(columns, dim=1)], dim=1)
        )
