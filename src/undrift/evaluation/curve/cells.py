"""Which sampler with how many steps: what costs exactly the evaluations that are asked for.

What a number of steps costs is counted, not declared: the sampler runs on a model that does
nothing, one value large, along the same grid. Heun's last step costs one evaluation instead of two,
so N steps are 2 N - 1 and even numbers cannot be had; a guided evaluation costs two forwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from undrift.codec import IdentityConfig, build_codec
from undrift.diffusion import Denoiser
from undrift.pipelines import DiffusionPipeline
from undrift.wording import plural

LEARNED = "learned"
"""Name of the samplers that were learned for a model, one for each number of steps."""


@dataclass(frozen=True)
class Cell:
    """One point of the curve.

    Attributes:
        sampler: its name.
        nfe: network forwards per image.
        steps: of the sampler.
    """

    sampler: str
    nfe: int
    steps: int

    @property
    def name(self) -> str:
        """As files and lines call it."""
        return f"{self.sampler}-{self.nfe}"


@dataclass(frozen=True)
class Skipped:
    """A point that cannot be had.

    Attributes:
        sampler: its name.
        nfe: network forwards per image.
        reason: why.
    """

    sampler: str
    nfe: int
    reason: str


class _Silent(nn.Module):
    """A network that answers zero."""

    def forward(self, x: Tensor, c_noise: Tensor, context: object = None) -> Tensor:
        return torch.zeros_like(x)


def cells_of(
    pipeline: DiffusionPipeline,
    samplers: Sequence[str],
    budgets: Sequence[int],
    *,
    guidance: float | None,
    grid: str | None,
) -> tuple[list[Cell], list[Skipped]]:
    """The points of a curve, cheapest first, and those that cannot be had.

    Args:
        pipeline: the model.
        samplers: names of samplers, or ``learned``.
        budgets: network forwards per image.
        guidance: guidance scale; None is the pipeline's own.
        grid: how the steps are spaced; the learned samplers have their own.

    Raises:
        UsageError: an unknown sampler or grid.
    """
    scale = pipeline.spec.guidance if guidance is None else guidance
    forwards = 1 if scale == 1 else 2
    cells: list[Cell] = []
    skipped: list[Skipped] = []
    for sampler in samplers:
        cost = _Cost(pipeline, sampler, scale, grid)
        for nfe in sorted(budgets):
            found = cost.steps_for(nfe, forwards)
            if isinstance(found, int):
                cells.append(Cell(sampler, nfe, found))
            else:
                skipped.append(Skipped(sampler, nfe, found))
    return sorted(cells, key=lambda cell: cell.nfe), skipped


class _Cost:
    """What numbers of steps of one sampler cost."""

    def __init__(
        self, pipeline: DiffusionPipeline, sampler: str, guidance: float, grid: str | None
    ) -> None:
        self._sampler = sampler
        self._grid = grid
        self._learned = [
            steps for steps, one in pipeline.learned.items() if one.facts.guidance == guidance
        ]
        spec = replace(
            pipeline.spec, shape=(1, 1, 1), class_names=(), class_frequencies=(), guidance=1.0
        )
        denoiser = pipeline.denoiser
        self._probe = DiffusionPipeline(
            Denoiser(_Silent(), denoiser.schedule, denoiser.parameterization),
            None,
            build_codec(IdentityConfig()),
            spec,
        )
        self._counted: dict[int, float] = {}

    def steps_for(self, nfe: int, forwards: int) -> int | str:
        """The number of steps that costs ``nfe`` forwards, or why there is none."""
        if nfe % forwards:
            return f"{forwards} forwards an evaluation: {nfe} is no multiple of it"
        wanted = nfe // forwards
        if self._sampler == LEARNED:
            fits = wanted in self._learned  # a learned step is one evaluation
            return wanted if fits else "none of these steps and this guidance was learned"
        first, second = self._evaluations(1), self._evaluations(2)
        each = second - first
        if each <= 0:
            return "its cost does not follow from the number of steps"
        steps = 1 + round((wanted - first) / each)
        if steps < 1 or self._evaluations(steps) != wanted:
            near = max(1, 1 + int((wanted - first) // each))
            below, above = (self._evaluations(k) * forwards for k in (near, near + 1))
            return f"{plural(near, 'step')} cost {below:g}, {near + 1} cost {above:g}"
        return steps

    def _evaluations(self, steps: int) -> float:
        if steps not in self._counted:
            made = self._probe(1, steps=steps, sampler=self._sampler, grid=self._grid)
            self._counted[steps] = made.nfe
        return self._counted[steps]
