"""What a curve is asked for, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from undrift.errors import UsageError
from undrift.evaluation.curve.cells import LEARNED
from undrift.metrics import chosen_metrics
from undrift.metrics.catalogue import METRICS
from undrift.options import Split
from undrift.sampling import solver

FEWEST = 10
"""Samples of a point below which it says nothing."""

NFES = (4, 5, 6, 8, 10, 15, 20, 35, 50)


@dataclass(frozen=True)
class Curve:
    """What to draw and how to measure it.

    Attributes:
        target: run or pipeline.
        samplers: their names; ``learned`` are those that were learned for the model.
        nfe: network forwards per image.
        n: samples of each point, and reference images, at most.
        metrics: names; the first one decides what is called best.
        reference: real images, or a file of their features; None is the run's own data.
        features: feature space, see `undrift.metrics.features.open_extractor`; None is that of
            the file, else the domain's own.
        weights_file: file with that space's weights, where it needs one.
        download: fetch such a file.
        split: part of the reference.
        seed: of the samples, of all points the same, and of every random choice.
        guidance: guidance scale; None is the pipeline's own.
        grid: how the steps are spaced; None is the pipeline's own.
        ema: length of the weight average, of a run.
        weights: averaged or raw, of a run.
        device: where to compute.
        out: folder for ``curve.json`` and ``curve.png``; None is the run's ``evaluation/``.
    """

    target: str
    samplers: tuple[str, ...] = ("dpmpp_2m", "heun", "euler", LEARNED)
    nfe: tuple[int, ...] = NFES
    n: int = 2000
    metrics: tuple[str, ...] = ("fd", "kid", "coverage")
    reference: str | None = None
    features: str | None = None
    weights_file: str | None = None
    download: bool = False
    split: Split | None = None
    seed: int = 0
    guidance: float | None = None
    grid: str | None = None
    ema: float | None = None
    weights: Literal["ema", "raw"] = "ema"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    out: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn; see `run_curve`."""
        for what, entries in (
            ("samplers", self.samplers),
            ("nfe", self.nfe),
            ("metrics", self.metrics),
        ):
            if not entries:
                raise UsageError(f"--{what}: wanted one or more")
        for count in self.nfe:
            if count < 1:
                raise UsageError(f"--nfe {count}: wanted whole numbers of at least 1")
        if self.n < FEWEST:
            raise UsageError(f"--n {self.n}: wanted at least {FEWEST} samples")
        rules = [name if name == LEARNED else solver(name) for name in self.samplers]
        for what, names, entries in (
            ("samplers", self.samplers, rules),
            ("nfe", self.nfe, self.nfe),
        ):
            for place, name in enumerate(names):
                if entries[place] in entries[:place]:
                    raise UsageError(f"--{what}: {name} is there twice; name each once")
        for name in chosen_metrics(self.metrics):
            if METRICS[name].better == "neither":
                raise UsageError(
                    f"--metrics {name}: it has no better and worse; choose among "
                    + ", ".join(n for n, one in METRICS.items() if one.better != "neither")
                )
