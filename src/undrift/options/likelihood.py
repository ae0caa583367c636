"""Options of ``undrift likelihood``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from undrift.advice import named
from undrift.errors import UsageError
from undrift.limits import MOST_IMAGES
from undrift.options.options import Options, PathLike, Split, WeightsOptions, at_least, finite

MOST_LEVELS = 256
"""The most values that a pixel of 8 bits can take."""


@dataclass(frozen=True, kw_only=True)
class LikelihoodOptions(WeightsOptions):
    """Which images are scored, and how.

    Attributes:
        method: the variational bound (elbo), the density of the probability-flow ODE (ode), or
            both: they are likelihoods of two models that share a network.
        n: images to score at most, drawn by the seed; 0 is all of the split.
        split: part of the data; test, else validation, else all of it.
        points: noise levels per image of the bound; points of the ODE's rk4.
        chain: make the bound that of a discrete chain of this many steps, all of them evaluated.
        solver: of the ODE; dopri5 controls its steps.
        trace: of the ODE: exact, by random probes (hutchinson), or exact up to 64 dimensions.
        probes: random probes per image.
        dequantization: of the ODE: how whole levels become numbers.
        samples: dequantised samples per image, importance-weighted; more tighten the bound.
        classes: score given each image's label, summed over all classes (marginal), or without
            one (none).
        levels: values that a pixel can take; by default the data's own count: 17 for the digits,
            256 for bytes.
        log_snr_max: cleanest noise level; by default six standard deviations between levels.
        per_image: write a CSV with every image's score and rank, the least likely first in rank.
        seed: seed of every random choice.
        batch_size: images scored at once.
        out: also write the result into this JSON file; a run keeps its own in evaluation/.
    """

    method: Literal["elbo", "ode", "both"] = "elbo"
    n: Annotated[int | None, tyro.conf.arg(aliases=["-n"], metavar="N")] = 1000
    split: Split | None = None
    points: int = 64
    chain: int | None = None
    solver: Literal["rk4", "dopri5"] = "rk4"
    trace: Literal["auto", "exact", "hutchinson"] = "auto"
    probes: int = 1
    dequantization: Literal["truncated_normal", "uniform"] = "truncated_normal"
    samples: int = 1
    classes: Literal["given", "marginal", "none"] | None = None
    levels: int | None = None
    log_snr_max: float | None = None
    per_image: PathLike | None = None
    seed: int = 0
    batch_size: int | None = None
    out: PathLike | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("n", self.n, 0, MOST_IMAGES)
        at_least("points", self.points, 2)
        at_least("chain", self.chain, 1)
        at_least("probes", self.probes, 1)
        at_least("samples", self.samples, 1)
        at_least("levels", self.levels, 2)
        at_least("seed", self.seed, 0)
        at_least("batch_size", self.batch_size, 1)
        finite("log_snr_max", self.log_snr_max)
        if self.levels is not None and self.levels > MOST_LEVELS:
            raise UsageError(
                f"{named('levels')} {self.levels}: images here have {MOST_LEVELS} at most"
            )


@dataclass(frozen=True, kw_only=True)
class LikelihoodSources(Options):
    """The model and the images, named by their paths.

    Attributes:
        target: a run or a pipeline.
        data: images to score: any DATA that `undrift train` takes; by default the held-out images
            of the run's own data.
    """

    target: Annotated[
        tyro.conf.Positional[str],
        tyro.conf.arg(name="RUN|PIPELINE", metavar="RUN|PIPELINE"),
    ]
    data: Annotated[
        tyro.conf.Positional[str | None],
        tyro.conf.arg(name="DATA", metavar="DATA", help_behavior_hint=""),
    ] = None
