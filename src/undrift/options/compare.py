"""Options of ``undrift compare``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from undrift.advice import named
from undrift.errors import UsageError
from undrift.limits import MOST_IMAGES
from undrift.options.maps import MapRequest, map_words
from undrift.options.options import FeatureOptions, Options, PathLike, at_least
from undrift.options.train import (
    BYTE,
    TrainOptions,
    number_names,
    parameter_count,
    stored_size,
)

RECIPE = "recipe"
"""Of ``parameters``: leave every recipe its own."""

FEWEST, MOST_SEEDS = 10, 1000

SHARED = (
    *("size", "channels", "label_column", "batch_size", "flip", "conditional", "holdout"),
    *("text", "text_encoder", "caption_column", "numbers", "maps"),
    *("evaluate_every", "evaluate_samples", "bare", "device"),
)
"""Training settings that are the same for all runs."""


@dataclass(frozen=True, kw_only=True)
class CompareOptions(FeatureOptions):
    """How long methods are trained, on which images, and how they are measured.

    Attributes:
        out: folder of the comparison: report.json, report.html and the runs themselves.
        seeds: runs of each method.
        budget: the same wall-clock time for every run: 60s, 30m, 2h.
        images: the same number of real images for every run; with --budget both are made.
        metrics: names as in `undrift evaluate`; the first one is printed first. Whether captions,
            numbers and maps are followed is measured whatever they say.
        n: samples of each run, and reference images, at most.
        reference: real images to compare with; by default the held-out images of the data.
        seed: of the first run, the next ones follow it; also of the samples' initial noise.
        parameters: of the denoiser or generator, for every method, within a tenth: a number such as
            0.5M, or `recipe`, each recipe's own; by default those of the first method.
        trials: settings to try for each method before its runs, the recipe first; the best on
            validation images is used. 0 leaves every recipe as it is.
        trial_share: length of a trial, as a share of a run's.
        size: of the images to train on, in pixels: 64 for squares, or width x height, as 64x48.
        channels: 1 grayscale, 3 colour, 4 colour and alpha.
        label_column: column of metadata.csv, metadata.jsonl or a Hugging Face data set that holds
            the labels; `label` by default.
        batch_size: images of a batch, for every method; by default each recipe's own.
        flip: mirror images left to right at random.
        conditional: condition on the labels where the data has them.
        text: condition on the captions; a GAN takes their pooled encoding.
        text_encoder: as of `undrift train`, for every method.
        caption_column: columns that hold captions, as of `undrift train`.
        numbers: columns that hold numbers to condition on, as of `undrift train`.
        maps: maps to condition on, as of `undrift train`.
        holdout: share of the training images held out, in [0, 1).
        evaluate_every: steps between evaluations while training: a curve of quality in the report.
        evaluate_samples: samples of each of these evaluations.
        bare: leave out every run's own first metrics and report; the comparison's are computed.
        workers: runs at a time.
        threads: CPU threads of each run; by default the cores divided by the workers.
        device: where to compute.
        slurm_partition: partition of the jobs.
        slurm_minutes: time limit of a job; a run that was cut off is resumed by the next command.
    """

    out: PathLike
    seeds: int = 5
    budget: str | None = None
    images: int | None = None
    metrics: Annotated[
        Sequence[str], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ("fd", "kid", "coverage", "label_accuracy", "memorization")
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 2000
    reference: PathLike | None = None
    seed: int = 0
    parameters: int | str | None = None
    trials: int = 0
    trial_share: float = 1.0
    size: int | str | None = None
    channels: Literal[1, 3, 4] | None = None
    label_column: str | None = None
    batch_size: int | None = None
    flip: bool = False
    conditional: tyro.conf.Suppress[tyro.conf.Fixed[bool]] = True
    text: bool = False
    text_encoder: Annotated[str, tyro.conf.arg(metavar="byte|DIR|ID", help_behavior_hint="")] = BYTE
    caption_column: str | None = None
    numbers: Annotated[
        Sequence[str], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ()
    maps: Annotated[
        Sequence[str],
        tyro.conf.arg(name="map", metavar="NAME [NAME ...]", help_behavior_hint=""),
    ] = ()
    holdout: float = 0.05
    evaluate_every: int | None = None
    evaluate_samples: int = 1000
    bare: bool = False
    workers: int = 1
    threads: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    slurm_partition: str | None = None
    slurm_minutes: int = 120

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("seeds", self.seeds, 1, MOST_SEEDS)
        at_least("n", self.n, FEWEST, MOST_IMAGES)
        at_least("workers", self.workers, 1)
        at_least("threads", self.threads, 1)
        at_least("slurm_minutes", self.slurm_minutes, 1)
        if self.budget is None and self.images is None:
            raise UsageError(
                f"{named('budget')} 2m (equal seconds) or {named('images')} 200000 (equal images): "
                "give one, or both"
            )
        if not self.metrics:
            raise UsageError(f"{named('metrics')}: wanted one or more")
        if self.parameters is not None:
            if self.parameters != RECIPE:
                parameter_count(self.parameters, f", or {RECIPE}")
            object.__setattr__(self, "parameters", str(self.parameters))
        if self.trials < 0 or self.trials == 1:
            raise UsageError(
                f"{named('trials')} {self.trials}: wanted 0, which tunes nothing, or 2 and more, "
                "the recipe itself among them"
            )
        if not 0 < self.trial_share <= 1:
            raise UsageError(
                f"{named('trial_share')} {self.trial_share}: wanted a share above 0, up to 1"
            )
        if self.trials and self.split == "validation":
            raise UsageError(
                f"{named('split')} validation: {named('trials')} tunes on these images; report on "
                "others"
            )
        object.__setattr__(self, "numbers", number_names(self.numbers))
        object.__setattr__(self, "maps", map_words(self.maps))
        obeyed = [name for name in self.obedience if name not in self.metrics]
        object.__setattr__(self, "metrics", (*self.metrics, *obeyed))
        for length in self.lengths:
            TrainOptions.from_settings({"seed": self.seed, **length, **self.alike})
        object.__setattr__(self, "size", stored_size(self.size))

    @property
    def obedience(self) -> list[str]:
        """Metrics that say whether the conditions are followed, but for classes."""
        found = ["prompt_top1", "prompt_top5", "prompt_swap"] if self.text else []
        found += ["number_error"] if self.numbers else []
        derived = [MapRequest.parse(word).derived is not None for word in self.maps]
        found += [] if all(derived) else ["mask_iou"]
        return found + (["map_error"] if any(derived) else [])

    @property
    def lengths(self) -> list[Mapping[str, str | int]]:
        """The settings by which runs are equally long: in time, in images, or one after another."""
        found: list[Mapping[str, str | int]] = []
        if self.budget is not None:
            found.append({"budget": self.budget})
        if self.images is not None:
            found.append({"images": self.images})
        return found

    @property
    def alike(self) -> dict[str, str | int | float | bool | tuple[str, ...] | None]:
        """The training settings that all runs share, unless a method has its own."""
        return {name: getattr(self, name) for name in SHARED}

    @property
    def space(self) -> str:
        """The feature space."""
        return self.features or "domain"


@dataclass(frozen=True, kw_only=True)
class CompareSources(Options):
    """The data, the methods and where runs are made, as text.

    Attributes:
        data: what `undrift train` takes.
        methods: names as in `undrift train --method`; all are contrasted with the first. Also
            consistency, distribution-matching, reflow and progressive, students of diffusion, which
            has to be named, too: trained half as long, on top of their teacher.
        executor: where runs are made: `local`, processes here, or `slurm`, jobs of the cluster
            that this machine belongs to, --workers at a time.
    """

    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(name="DATA", metavar="DATA")]
    methods: Annotated[
        Sequence[str], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ("diffusion", "r3gan")
    executor: Literal["local", "slurm"] = "local"
