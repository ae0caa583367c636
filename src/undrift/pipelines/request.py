"""A sampling request, checked and with the defaults filled in."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from undrift.diffusion import Denoiser
from undrift.errors import UsageError
from undrift.pipelines.labels import Labels
from undrift.pipelines.spec import SampleSpec
from undrift.sampling import GRIDS, Solver, solver
from undrift.sampling import grid as make_grid

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
        grid: name of the grid.
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
    grid: str
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
        grid: str | None,
        batch_size: int | None,
        first: int,
        precision: str,
        device: torch.device,
    ) -> Request:
        """Fill in the spec's defaults and check every value.

        Raises:
            UsageError: for a value that cannot be used.
        """
        sampler = spec.sampler if sampler is None else sampler
        grid = spec.grid if grid is None else grid
        if grid not in GRIDS:
            raise UsageError(f"unknown grid {grid!r}: choose from {', '.join(GRIDS)}")
        if precision not in _PRECISIONS:
            raise UsageError(
                f"unknown precision {precision!r}: choose from {', '.join(_PRECISIONS)}"
            )
        if batch_size is None:
            values = _BATCH_VALUES_CPU if device.type == "cpu" else _BATCH_VALUES
            least, most = _BATCHES
            batch_size = max(least, min(most, values // math.prod(spec.shape)))
        rule = solver(sampler)
        return cls(
            n=_at_least("n", n, 1),
            seed=_at_least("seed", seed, 0),
            steps=_at_least("steps", spec.steps if steps is None else steps, 1),
            solver=rule,
            sampler=sampler,
            guidance=_scale(spec.guidance if guidance is None else guidance, spec),
            grid=grid,
            rho=spec.rho,
            sigma_min=spec.sigma_min,
            batch_size=_at_least("batch_size", batch_size, 1),
            first=_at_least("first", first, 0),
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
        times = make_grid(
            self.grid, denoiser.schedule, self.steps, rho=self.rho, sigma_min=self.sigma_min
        )
        if not denoiser.parameterization.well_posed_at(denoiser.schedule(times[0])):
            raise UsageError(
                f"grid {self.grid!r} begins in pure noise, where a network that predicts "
                f"{denoiser.parameterization.kind} says nothing: use grid 'karras'"
            )
        return times

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
            "grid": self.grid,
            "guidance": self.guidance,
            "batch_size": self.batch_size,
            "precision": self.precision,
        }


def _at_least(name: str, value: int, least: int) -> int:
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
