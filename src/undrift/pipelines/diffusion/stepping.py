"""How a request goes from noise to images: along a grid, or in steps that choose themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from undrift.advice import named
from undrift.arguments import shown
from undrift.diffusion import Denoiser
from undrift.errors import UsageError
from undrift.json_types import JsonObject
from undrift.pipelines.diffusion.learned import Learned, LearnedSampler
from undrift.pipelines.diffusion.settings import DiffusionSettings, Grid
from undrift.pipelines.spec import SampleSpec
from undrift.pipelines.whole_number import MOST_STEPS, within
from undrift.sampling import (
    ADAPTIVE,
    GRIDS,
    SAMPLERS,
    Solver,
    adaptive_name,
    from_times,
    parse_grid,
    solver,
)
from undrift.sampling import grid as make_grid
from undrift.sampling.learned import Tabled

TOLERANCE = 1e-3
"""Of an adaptive sampler that is named without one."""


@dataclass(frozen=True)
class FixedSteps:
    """A solver and its grid.

    Attributes:
        solver: the sampler.
        sampler: its name.
        steps: how many.
        grid: name of the grid, or its times.
        rho: of a karras grid.
        sigma_min: smallest noise of a karras or log_snr grid.
        analytic_first_step: whether the first evaluation is answered without the network.
    """

    solver: Solver[Any]
    sampler: str
    steps: int
    grid: str | tuple[float, ...]
    rho: float
    sigma_min: float
    analytic_first_step: bool

    def times(self, denoiser: Denoiser) -> Tensor:
        """Return the grid, (steps + 1,) float64.

        Raises:
            UsageError: if the network is evaluated where its output is uninformative.
        """
        if isinstance(self.grid, tuple):
            times = from_times(self.grid)
        else:
            times = make_grid(
                self.grid, denoiser.schedule, self.steps, rho=self.rho, sigma_min=self.sigma_min
            )
        if not self.analytic_first_step:  # which leaves the network out where it could not answer
            check_start(denoiser, times[0], self.grid if isinstance(self.grid, str) else "given")
        return times

    def settings(self) -> JsonObject:
        """Return what repeats it, as plain data."""
        named = self.grid if isinstance(self.grid, str) else list(self.grid)
        return {
            "sampler": self.sampler,
            "steps": self.steps,
            "grid": Tabled.name if self.sampler == Tabled.name else named,
            **({"analytic_first_step": True} if self.analytic_first_step else {}),
        }


@dataclass(frozen=True)
class AdaptiveSteps:
    """A pair that chooses its steps, each image its own.

    Attributes:
        sampler: its name, one of `undrift.sampling.ADAPTIVE`.
        tolerance: error of a step that stands, in units of a state of variance 1.
        grid: name of the grid that says where to begin, the model's own.
        steps: of that grid.
        sigma_min: sigma / alpha from which the last step leads to 0.
    """

    sampler: str
    tolerance: float
    grid: str
    steps: int
    sigma_min: float

    def times(self, denoiser: Denoiser) -> Tensor:
        """Return the model's own grid, float64; its first time is the one to begin at.

        Raises:
            UsageError: if the network's output is uninformative there.
        """
        times = make_grid(self.grid, denoiser.schedule, self.steps, sigma_min=self.sigma_min)
        check_start(denoiser, times[0], self.grid)
        return times

    def settings(self) -> JsonObject:
        """Return what repeats it, as plain data."""
        return {"sampler": self.sampler, "tolerance": self.tolerance}


Stepping = FixedSteps | AdaptiveSteps


def check_start(denoiser: Denoiser, t: Tensor, grid: str) -> None:
    """Refuse a grid that begins in pure noise, where the network's output is uninformative.

    Raises:
        UsageError: for such a network and a grid that begins so.
    """
    if not denoiser.parameterization.well_posed_at(denoiser.schedule(t)):
        raise UsageError(
            f"grid {grid!r} begins in pure noise, where a network that predicts "
            f"{denoiser.parameterization.kind} is uninformative: use grid 'karras'"
        )


def stepping_of(
    settings: DiffusionSettings,
    spec: SampleSpec,
    guidance: float | tuple[float, ...],
    learned: Learned,
) -> Stepping:
    """Check the settings of the steps, with the spec's defaults where one is None.

    A sampler out of ``learned`` is taken for its number of steps at its guidance, if neither a
    sampler nor a grid nor anything else that it was not learned with is given.

    Raises:
        UsageError: for a value that cannot be used, or two that exclude each other.
    """
    pair = None if settings.sampler is None else adaptive_name(settings.sampler)
    if pair is not None:
        return _adaptive(pair, settings, spec)
    if settings.tolerance is not None:
        raise UsageError(
            f"tolerance {settings.tolerance}: sampler {settings.sampler or spec.sampler!r} takes "
            f"the steps that it is given; name one of {', '.join(ADAPTIVE)}, or give steps"
        )
    named = settings.grid is None or isinstance(settings.grid, str)
    wanted = spec.steps if settings.steps is None and named else settings.steps
    tuned = _learned(learned, wanted, guidance, settings)
    steps, spacing = _spacing(spec, wanted, settings.grid)
    steps = within("steps", steps, 1, MOST_STEPS)
    if settings.analytic_first_step:
        _check_first_step(steps, tuned)
    sampler = spec.sampler if settings.sampler is None else settings.sampler
    return FixedSteps(
        solver=solver(sampler) if tuned is None else Tabled(tuned.table),
        sampler=sampler if tuned is None else Tabled.name,
        steps=steps,
        grid=spacing if tuned is None else tuple(tuned.table.times.tolist()),
        rho=spec.rho,
        sigma_min=spec.sigma_min,
        analytic_first_step=settings.analytic_first_step,
    )


def _adaptive(pair: str, settings: DiffusionSettings, spec: SampleSpec) -> AdaptiveSteps:
    for name, value in (("steps", settings.steps), ("grid", settings.grid)):
        if value is not None:
            raise UsageError(
                f"{name} {shown(value)} with sampler {pair!r}, which chooses its own steps: leave "
                f"{name} out, and say by tolerance how exact it is to be"
            )
    if settings.analytic_first_step:
        raise UsageError(
            f"analytic first step with sampler {pair!r}: it has no first step of a given length; "
            "leave one of them out"
        )
    tolerance = TOLERANCE if settings.tolerance is None else settings.tolerance
    if not 0 < tolerance < math.inf:
        raise UsageError(f"tolerance {tolerance}: give a number above 0 (1e-3 is usual)")
    return AdaptiveSteps(pair, tolerance, spec.grid, spec.steps, spec.sigma_min)


def _check_first_step(steps: int, tuned: LearnedSampler | None) -> None:
    if tuned is not None:
        raise UsageError(
            "analytic first step with sampler 'learned', which was learned without it: "
            "leave one of them out"
        )
    if steps == 1:
        raise UsageError(
            "analytic first step with 1 step: nothing would be left to the network; give 2 or more"
        )


def _learned(
    learned: Learned,
    steps: int | None,
    guidance: float | tuple[float, ...],
    settings: DiffusionSettings,
) -> LearnedSampler | None:
    """The learned sampler that is named, or that fits the defaults of everything else."""
    if settings.sampler is None and settings.grid is None:
        others = (settings.threshold, settings.guide_with, settings.guidance_interval)
        others += (settings.guidance_rescale,)
        unlike = settings.analytic_first_step or settings.classified
        if unlike or any(one is not None for one in others):
            return None
        found = None if steps is None else learned.get(steps)
        return found if found is not None and found.facts.guidance == guidance else None
    if settings.sampler != Tabled.name:
        return None
    if settings.grid is not None:
        raise UsageError("sampler 'learned' brings its own grid: leave grid out")
    if steps is None or steps not in learned:
        known = ", ".join(map(str, sorted(learned))) or "none"
        raise UsageError(
            f"sampler 'learned' of {steps} steps: this pipeline has {known}; "
            "`undrift tune-sampler` learns one"
        )
    return learned[steps]


def _spacing(
    spec: SampleSpec, steps: int | None, grid: Grid
) -> tuple[int, str | tuple[float, ...]]:
    """The number of steps and the grid, each from the other or the spec where it is not given."""
    if grid is None or isinstance(grid, str):
        name = spec.grid if grid is None else grid
        if name in (*SAMPLERS, *ADAPTIVE):
            raise UsageError(
                f"unknown grid {name!r}: that is a sampler, give it as {named('sampler')}; "
                "choose from "
                f"{', '.join(GRIDS)}"
            )
        parse_grid(name)
        return spec.steps if steps is None else steps, name
    times = from_times(grid)
    if steps is not None and steps != len(times) - 1:
        raise UsageError(
            f"steps {steps}, grid of {len(times)} times: give {len(times) - 1}, or leave steps out"
        )
    return len(times) - 1, tuple(times.tolist())
