"""The points of a curve: samplers with the number of steps that costs the requested evaluations.

What a number of steps costs is counted, not declared: the sampler runs on a network that returns
zero, on images of one value, along the same grid. Heun's last step costs one evaluation instead of
two, so N steps are 2 N - 1 and even numbers are impossible; a guided evaluation costs two forwards.

Measured points are files in ``curve/<key>/`` beside the result: a curve that was interrupted goes
on after the last of them. The key is a hash of all that the numbers depend on but the sampler and
its steps, so that a second curve takes over what the first has measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from undrift.codec import IdentityConfig, build_codec
from undrift.diffusion import Denoiser
from undrift.errors import ModelFileError, UsageError
from undrift.files.durable import write_output
from undrift.files.reading import read_mapping
from undrift.metrics.results import read_measurements
from undrift.pipelines import DiffusionPipeline
from undrift.results.curve import MeasuredPoint, Point, SkippedPoint
from undrift.schema import to_plain
from undrift.wording import plural

LEARNED = "learned"
"""Name of the samplers that were optimised for a model, one for each number of steps."""


class _Silent(nn.Module):
    """A network that returns zero."""

    def forward(self, x: Tensor, c_noise: Tensor, context: object = None) -> Tensor:
        return torch.zeros_like(x)


def points_of(
    pipeline: DiffusionPipeline,
    samplers: Sequence[str],
    budgets: Sequence[int],
    *,
    guidance: float | None,
    grid: str | None,
) -> tuple[list[Point], list[SkippedPoint]]:
    """The points of a curve, cheapest first, and those that are impossible.

    Args:
        pipeline: the model.
        samplers: names of samplers, or ``learned``.
        budgets: network forwards per image.
        guidance: guidance scale; None is the pipeline's own.
        grid: how the steps are spaced; learned samplers have their own.

    Raises:
        UsageError: an unknown sampler or grid.
    """
    scale = pipeline.spec.guidance if guidance is None else guidance
    forwards = _forwards(scale)
    points: list[Point] = []
    skipped: list[SkippedPoint] = []
    for sampler in samplers:
        cost = _Cost(pipeline, sampler, scale, grid)
        for nfe in sorted(budgets):
            found = cost.steps_for(nfe, forwards)
            if isinstance(found, int):
                points.append(Point(sampler, nfe, found))
            else:
                skipped.append(SkippedPoint(sampler, nfe, found))
    return sorted(points, key=lambda point: point.nfe), skipped


def guided_points(
    pipeline: DiffusionPipeline, sampler: str | None, scales: Sequence[float], *, grid: str | None
) -> list[tuple[float, Point]]:
    """The points along guidance: one sampler at the model's own steps, at every scale.

    Args:
        pipeline: the model.
        sampler: its name; None is the model's own.
        scales: of guidance.
        grid: how the steps are spaced.

    Raises:
        UsageError: an unknown sampler or grid, or learned samplers, which have one scale each.
    """
    name, steps = sampler or pipeline.spec.sampler, pipeline.spec.steps
    if name == LEARNED:
        raise UsageError("sampler 'learned' was learned at one guidance scale; name another")
    evaluations = _Cost(pipeline, name, 1.0, grid).evaluations(steps)
    ordered = sorted(scales)
    return [(one, Point(name, round(evaluations * _forwards(one)), steps)) for one in ordered]


def _forwards(scale: float) -> int:
    """Network forwards of an evaluation under guidance."""
    return 1 if scale in (0, 1) else 2


class _Cost:
    """Cost of one sampler at any number of steps."""

    def __init__(
        self, pipeline: DiffusionPipeline, sampler: str, guidance: float, grid: str | None
    ) -> None:
        self._sampler = sampler
        self._grid = grid
        self._learned = [
            steps for steps, one in pipeline.learned.items() if one.facts.guidance == guidance
        ]
        spec = replace(
            pipeline.spec,
            image_shape=(1, 1, 1),
            class_names=(),
            class_frequencies=(),
            guidance=1.0,
            text=None,
            numbers=(),
            maps=(),
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
        first, second = self.evaluations(1), self.evaluations(2)
        each = second - first
        if each <= 0:
            return "its cost does not follow from the number of steps"
        steps = 1 + round((wanted - first) / each)
        if steps < 1 or self.evaluations(steps) != wanted:
            near = max(1, 1 + int((wanted - first) // each))
            below, above = (self.evaluations(k) * forwards for k in (near, near + 1))
            return f"{plural(near, 'step')} cost {below:g}, {near + 1} cost {above:g}"
        return steps

    def evaluations(self, steps: int) -> float:
        """Evaluations of the network that a number of steps costs, without guidance."""
        if steps not in self._counted:
            made = self._probe(1, steps=steps, sampler=self._sampler, grid=self._grid)
            self._counted[steps] = made.nfe
        return self._counted[steps]


class Journal:
    """The measured points of one model under one protocol.

    Args:
        folder: of the result; ``curve/<key>/`` is made in it.
        depends_on: plain data that identifies the model, the reference and the protocol.
    """

    def __init__(self, folder: Path, depends_on: Mapping[str, object]) -> None:
        text = json.dumps(dict(depends_on), sort_keys=True)
        self._folder = folder / "curve" / hashlib.sha256(text.encode()).hexdigest()[:16]

    def read(self, point: Point) -> MeasuredPoint | None:
        """The measured ``point``; None where it was not measured, or its file is damaged."""
        path = self._path(point)
        try:
            plain = read_mapping(path, ModelFileError, "")
            found = read_measurements(MeasuredPoint, plain, str(path))
        except (ModelFileError, UsageError):
            return None
        return found if (found.name, found.steps) == (point.name, point.steps) else None

    def write(self, measured: MeasuredPoint) -> None:
        """Store a point.

        Raises:
            UsageError: if it cannot be written.
        """
        data = json.dumps(to_plain(measured), indent=1, allow_nan=False)
        write_output(self._path(measured), data.encode() + b"\n", durable=False, owned=True)

    def _path(self, point: Point) -> Path:
        return self._folder / f"{point.name}.json"
