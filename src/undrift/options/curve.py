"""Options of ``undrift curve``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from undrift.advice import named
from undrift.errors import UsageError
from undrift.limits import MOST_IMAGES
from undrift.options.options import (
    FeatureOptions,
    Options,
    PathLike,
    WeightsOptions,
    at_least,
    finite,
    once,
)

FEWEST = 10
"""The fewest samples of a point."""


@dataclass(frozen=True, kw_only=True)
class CurveOptions(WeightsOptions, FeatureOptions):
    """Which samplers are compared, at which cost, and how.

    Attributes:
        samplers: names of samplers; learned are those that were optimised for this model.
        nfe: budgets, in network evaluations per image; guidance costs two an evaluation.
        n: samples of each point, and reference images, at most.
        metrics: names as in undrift evaluate; the first one decides what is printed as best.
        seed: seed of the initial noise, the same for all points, and of every random choice.
        grid: how to space the noise levels; the model's own by default.
        guidance: classifier-free guidance scale; 1 is off. Of several, quality is measured along
            them, at the model's own sampler and steps or one of --samplers, in guidance.json and
            guidance.png.
        out: folder for curve.json and curve.png; RUN/evaluation by default, which the report
            shows.
    """

    samplers: Annotated[
        Sequence[str], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ("dpmpp_2m", "heun", "euler", "learned")
    nfe: Annotated[Sequence[int], tyro.conf.arg(metavar="N [N ...]", help_behavior_hint="")] = (
        *(4, 5, 6, 8, 10, 15, 20, 35, 50),
    )
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 2000
    metrics: Annotated[
        Sequence[str], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ("fd", "kid", "coverage")
    seed: int = 0
    grid: str | None = None
    guidance: Annotated[
        Sequence[float], tyro.conf.arg(metavar="X [X ...]", help_behavior_hint="")
    ] = ()
    out: PathLike | None = None

    def __post_init__(self) -> None:
        if isinstance(self.guidance, float | int):  # one scale needs no list
            object.__setattr__(self, "guidance", (self.guidance,))
        super().__post_init__()
        at_least("n", self.n, FEWEST, MOST_IMAGES)
        at_least("seed", self.seed, 0)
        for scale in self.guidance:
            finite("guidance", scale)
        once("guidance", self.guidance, self.guidance)
        if len(self.guidance) > 1:
            along = f"along several scales of {named('guidance')}"
            if self.nfe != CurveOptions.nfe:
                raise UsageError(
                    f"{named('nfe')}: {along} the steps are the model's own; leave it out"
                )
            if self.samplers != CurveOptions.samplers and len(self.samplers) > 1:
                raise UsageError(f"{named('samplers')}: {along} there is one; name one")
        for name in ("samplers", "nfe", "metrics"):
            entries = getattr(self, name)
            if not entries:
                raise UsageError(f"{named(name)}: wanted one or more")
            once(name, entries, entries)
        for count in self.nfe:
            at_least("nfe", count, 1)


@dataclass(frozen=True, kw_only=True)
class CurveSources(Options):
    """The model and the real images, named by their paths.

    Attributes:
        target: a run (runs/NAME or runs/latest), or a folder that save_pretrained wrote.
        reference: real images to compare with: any DATA that `undrift train` takes, or a file that
            `undrift evaluate --save-reference` wrote; by default the held-out images of the run's
            own data.
    """

    target: Annotated[
        tyro.conf.Positional[str], tyro.conf.arg(name="RUN|PIPELINE", metavar="RUN|PIPELINE")
    ]
    reference: str | None = None
