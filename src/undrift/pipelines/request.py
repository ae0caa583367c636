"""A sampling request, checked and with the defaults filled in."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from undrift.diffusion import Denoiser
from undrift.errors import UsageError
from undrift.pipelines.labels import Labels
from undrift.pipelines.learned import Learned, LearnedSampler
from undrift.pipelines.spec import SampleSpec
from undrift.sampling import Solver, from_times, parse_grid, solver
from undrift.sampling import grid as make_grid
from undrift.sampling.learned import Tabled

Grid = str | Sequence[float] | Tensor | None
"""A grid's name, or its times: falling, in [0, 1], the last exactly 0."""

_PRECISIONS = ("float32", "bfloat16")
_BATCHES = (8, 256)  # smallest and largest default batch
_BATCH_VALUES_CPU = 1 << 16  # image values per batch: more falls out of the caches
_BATCH_VALUES = 1 << 22  # elsewhere: more only fills memory


@dataclass(frozen=True)
class Request:
    """What a diffusion pipeline was asked for.

    Attributes:
        n: number of images.
        seed: names the noise.
        steps: steps of the sampler.
        solver: the sampler.
        sampler: its name.
        guidance: guidance scale; 1 is off.
        grid: name of the grid, or its times.
        rho: of a karras grid.
        sigma_min: smallest noise of a karras or log_snr grid.
        batch_size: images drawn at once.
        first: number of the first image.
        precision: of the network.
    """

    n: int
    seed: int
    steps: int
    solver: Solver[Any]
    sampler: str
    guidance: float
    grid: str | tuple[float, ...]
    rho: float
    sigma_min: float
    batch_size: int
    first: int
    precision: str

    @classmethod
    def checked(
        cls,
        spec: SampleSpec,
        n: int,
        seed: int,
        steps: int | None,
        sampler: str | None,
        guidance: float | None,
        grid: Grid,
        batch_size: int | None,
        first: int,
        precision: str,
        device: torch.device,
        learned: Learned,
    ) -> Request:
        """Fill in the spec's defaults and check every value.

        A sampler out of ``learned`` is taken if its steps are asked for at its guidance, and
        neither a sampler nor a grid are.

        Raises:
            UsageError: for a value that cannot be used.
        """
        guidance = _scale(spec.guidance if guidance is None else guidance, spec)
        steps = spec.steps if steps is None and (grid is None or isinstance(grid, str)) else steps
        tuned = _learned(learned, steps, sampler, guidance, grid)
        steps, spacing = _spacing(spec, steps, grid)
        if precision not in _PRECISIONS:
            raise UsageError(
                f"unknown precision {precision!r}: choose from {', '.join(_PRECISIONS)}"
            )
        if batch_size is None:
            batch_size = suitable_batch(spec.shape, device)
        sampler = spec.sampler if sampler is None else sampler
        return cls(
            n=at_least("n", n, 1),
            seed=at_least("seed", seed, 0),
            steps=at_least("steps", steps, 1),
            solver=solver(sampler) if tuned is None else Tabled(tuned.table),
            sampler=sampler if tuned is None else Tabled.name,
            guidance=guidance,
            grid=spacing if tuned is None else tuple(tuned.table.times.tolist()),
            rho=spec.rho,
            sigma_min=spec.sigma_min,
            batch_size=at_least("batch_size", batch_size, 1),
            first=at_least("first", first, 0),
            precision=precision,
        )

    @property
    def batches(self) -> list[range]:
        """Which images are drawn together."""
        end = self.first + self.n
        return [
            range(start, min(start + self.batch_size, end))
            for start in range(self.first, end, self.batch_size)
        ]

    def times(self, denoiser: Denoiser) -> Tensor:
        """Return the grid, (steps + 1,) float64.

        Raises:
            UsageError: if it begins where the network's output says nothing of the image.
        """
        if isinstance(self.grid, tuple):
            times = from_times(self.grid)
        else:
            times = make_grid(
                self.grid, denoiser.schedule, self.steps, rho=self.rho, sigma_min=self.sigma_min
            )
        if not denoiser.parameterization.well_posed_at(denoiser.schedule(times[0])):
            name = self.grid if isinstance(self.grid, str) else "given"
            raise UsageError(
                f"grid {name!r} begins in pure noise, where a network that predicts "
                f"{denoiser.parameterization.kind} says nothing: use grid 'karras'"
            )
        return times

    def _spacing(self) -> str | list[float]:
        if self.sampler == Tabled.name:
            return Tabled.name
        return self.grid if isinstance(self.grid, str) else list(self.grid)

    def settings(self, labels: Labels) -> dict[str, Any]:
        """Return what repeats the request, as plain data."""
        if isinstance(labels, np.ndarray | list | tuple):
            labels = [label if isinstance(label, str) else int(label) for label in labels]
        return {
            "n": self.n,
            "first": self.first,
            "labels": labels,
            "seed": self.seed,
            "sampler": self.sampler,
            "steps": self.steps,
            "grid": self._spacing(),
            "guidance": self.guidance,
            "batch_size": self.batch_size,
            "precision": self.precision,
        }


def _learned(
    learned: Learned, steps: int | None, sampler: str | None, guidance: float, grid: Grid
) -> LearnedSampler | None:
    """The learned sampler that is asked for by name, or by leaving everything else to us."""
    named = sampler == Tabled.name
    if sampler is None and grid is None:
        found = learned.get(steps) if isinstance(steps, int) else None
        return found if found is not None and found.facts.guidance == guidance else None
    if not named:
        return None
    if grid is not None:
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
        parse_grid(name)
        return spec.steps if steps is None else steps, name
    times = from_times(grid)
    if steps is not None and steps != len(times) - 1:
        raise UsageError(
            f"steps {steps}, grid of {len(times)} times: give {len(times) - 1}, or leave steps out"
        )
    return len(times) - 1, tuple(times.tolist())


def suitable_batch(shape: tuple[int, int, int], device: torch.device) -> int:
    """How many images of ``shape`` (C, H, W) are best drawn at once on ``device``."""
    values = _BATCH_VALUES_CPU if device.type == "cpu" else _BATCH_VALUES
    least, most = _BATCHES
    return max(least, min(most, values // math.prod(shape)))


def at_least(name: str, value: int, least: int) -> int:
    """``value`` as a plain whole number.

    Raises:
        UsageError: if it is none, or below ``least``.
    """
    try:
        whole = operator.index(value)
    except TypeError:
        whole = None
    if whole is None or isinstance(value, bool) or whole < least:
        raise UsageError(f"{name} {value!r}: give a whole number of at least {least}")
    return whole


def _scale(guidance: float, spec: SampleSpec) -> float:
    if isinstance(guidance, bool) or not isinstance(guidance, int | float | np.number):
        raise UsageError(f"guidance {guidance!r}: give a number (1 is off)")
    if not math.isfinite(guidance):
        raise UsageError(f"guidance {guidance}: give a finite number (1 is off)")
    if guidance != 1 and not spec.class_names:
        raise UsageError(f"guidance {guidance}: this model has no classes to guide towards; give 1")
    return float(guidance)
