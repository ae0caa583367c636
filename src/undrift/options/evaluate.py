"""Options of ``undrift evaluate``."""

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
)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(WeightsOptions, FeatureOptions):
    """How samples are drawn and measured.

    Attributes:
        label_column: column of the reference's metadata.csv or metadata.jsonl that holds the
            labels; `label` by default.
        save_reference: write the reference's features into this .safetensors file, which needs no
            data afterwards.
        n: samples, and reference images, at most; fewer where there are fewer.
        reference_n: reference images at most, where that is to be another number; where none are
            held out, as many as the samples are otherwise left for the value of real images.
        metrics: names, `quick`, or `all` (the default): fd fd_infinity kid texture_fd mind
            precision recall density coverage vendi inception_score modes label_accuracy class_fd
            cas memorization c_t authenticity cmmd. Of models of captions prompt_top1,
            prompt_top5 and prompt_swap, of numbers number_error, of masks mask_iou and of other
            maps map_error are always measured, too.
        seed: seed of the samples' initial noise and of every random choice.
        steps: sampler steps.
        sampler: how to step.
        grid: how to space the noise levels; see `undrift sample --help`.
        guidance: classifier-free guidance scale; 1 is off.
        out: also write the result into this JSON file; a run keeps its own in evaluation/.
    """

    label_column: str | None = None
    save_reference: PathLike | None = None
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 10_000
    reference_n: int | None = None
    metrics: Annotated[
        Sequence[str], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ("all",)
    seed: int = 0
    steps: int | None = None
    sampler: str | None = None
    grid: str | None = None
    guidance: float | None = None
    out: PathLike | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("n", self.n, 1, MOST_IMAGES)
        at_least("reference_n", self.reference_n, 1, MOST_IMAGES)
        at_least("seed", self.seed, 0)
        at_least("steps", self.steps, 1)
        finite("guidance", self.guidance)
        if not self.metrics:
            raise UsageError(f"{named('metrics')}: wanted one name or more, quick or all")

    @property
    def most_real(self) -> int:
        """Reference images at most."""
        return self.n if self.reference_n is None else self.reference_n


@dataclass(frozen=True, kw_only=True)
class EvaluateSources(Options):
    """What is evaluated, named by its path.

    Attributes:
        target: a run, a pipeline, an .npz with images uint8 (N, H, W[, C]) and perhaps labels, or
            a folder of images.
        reference: real images to compare with: any DATA that `undrift train` takes, or a file that
            --save-reference wrote; by default the held-out images of the run's own data.
        against: a second run, pipeline or set of samples: also measure the differences.
    """

    target: Annotated[
        tyro.conf.Positional[str],
        tyro.conf.arg(name="RUN|PIPELINE|SAMPLES", metavar="RUN|PIPELINE|SAMPLES"),
    ]
    reference: str | None = None
    against: str | None = None
