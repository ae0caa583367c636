"""Sampling, editing and inpainting settings of a diffusion model, beside those of every family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from undrift.errors import UsageError
from undrift.pipelines.pipeline import Pipeline
from undrift.pipelines.whole_number import within
from undrift.sampling.inverse import Rule

Grid = str | Sequence[float] | Tensor | None
"""A grid's name, or its times: falling, in [0, 1], the last exactly 0."""

Precision = Literal["float32", "bfloat16"]

RESAMPLE, JUMP = 5, 1
"""Of repaint: with the few steps of today's grids short jumps converge fastest."""


@dataclass(frozen=True, eq=False)
class DiffusionSettings:
    """How a diffusion model draws; None is the pipeline's own default.

    Attributes:
        steps: steps of the sampler, at least 1.
        sampler: one of `undrift.sampling.SAMPLERS` or an alias; one of `undrift.sampling.ADAPTIVE`,
            which takes no steps; or ``"learned"``. None is the learned one of these steps, if there
            is any, else the spec's default.
        guidance: guidance scale, or several of which image i gets entry i modulo their number; 1 is
            off, other scales need conditions, or ``guide_with``.
        grid: how the steps are spaced: one of `undrift.sampling.GRIDS`, perhaps with numbers as in
            ``"shifted:5"``, or the times themselves.
        precision: of the network's matrix products; all else is float32.
        threshold: keeps every denoised image in the range of bytes: ``"static"`` clips,
            ``"dynamic"`` or ``"dynamic:QUANTILE"`` scales down what strays far; see
            `undrift.sampling.thresholding`.
        tolerance: of an adaptive sampler: the error of a step in units of the data's spread; 1e-3
            by default.
        analytic_first_step: compute the first evaluation without the network, for Gaussian data of
            the codec's spread; see `undrift.sampling.AnalyticFirstStep`.
        negative: a prompt to guide away from, in place of an empty one.
        guide_with: a weaker pipeline of the same data to guide away from, in place of this one
            without conditions (autoguidance), such as ``undrift.load(run, at=0.25)``. It is moved
            to this one's device, and its evaluations count.
        guidance_interval: noise levels sigma / alpha with guidance, as ``(0.3, 5)``; outside of
            them there is none.
        guidance_rescale: share, from 0 to 1, of each guided image that is scaled back to the
            standard deviation without guidance.
        classifier: a classifier of the same data, of ``undrift.train(data, method="classifier")``,
            whose gradient leads towards the labels; the model itself needs no classes. It is moved
            to this one's device, and its evaluations count.
        classifier_scale: weight of that gradient, or several of which image i gets entry i modulo
            their number; 0 is off, 1, the default, is Bayes' rule.
    """

    steps: int | None = None
    sampler: str | None = None
    guidance: float | Sequence[float] | None = None
    grid: Grid = None
    precision: Precision = "float32"
    threshold: str | None = None
    tolerance: float | None = None
    analytic_first_step: bool = False
    negative: str | None = None
    guide_with: Pipeline | None = None
    guidance_interval: Sequence[float] | None = None
    guidance_rescale: float | None = None
    classifier: Pipeline | None = None
    classifier_scale: float | Sequence[float] | None = None

    @property
    def classified(self) -> bool:
        """Whether a classifier leads the images: there is one, and its scale is not 0."""
        return self.classifier is not None and self.classifier_scale != 0


@dataclass(frozen=True, eq=False)
class DiffusionEditing:
    """How a diffusion model makes images from images; one of the first three is needed.

    Attributes:
        operator: the images are measurements by it: ``"blur:WIDTH"``, ``"downsample:FACTOR"``,
            ``"quantise:LEVELS"`` or ``"grey"``; what was measured is sampled.
        strength: share of the trajectory to noise that an image is taken back before it is sampled
            anew, from 0 (it stays) to 1 (nothing is left of it).
        like: variations near an image: the image is taken back to the noise that it would be drawn
            from (`undrift.sampling.inverse.invert`), of which this share is replaced by new noise,
            from 0 (it stays) to 1. Steps are Euler's.
        noise: of the operator: standard deviation of the measurement's error, in pixel values
            from 0 to 255.
        method: of the operator: ``"moments"``, ``"pigdm"``, ``"dps"``, ``"ddnm"`` or
            ``"diffpir"``; see `undrift.sampling.inverse.posterior`.
        iterations: of moments: passes back through the network for each evaluation.
        steps: as in sampling; by default twice the spec's steps.
        sampler: as in sampling, but neither adaptive nor learned; of the operator ``"ddpm"``.
        guidance: as in sampling; without labels there is none.
        grid: as in sampling.
    """

    operator: str | None = None
    strength: float | None = None
    like: float | None = None
    noise: float = 0.0
    method: Rule = "moments"
    iterations: int = 4
    steps: int | None = None
    sampler: str | None = None
    guidance: float | None = None
    grid: Grid = None

    def __post_init__(self) -> None:
        if sum(task is not None for task in (self.operator, self.strength, self.like)) != 1:
            raise UsageError(
                "edit: give one of operator, as blur:2, strength, as 0.6, and like, as 0.3"
            )
        for name, share in (("strength", self.strength), ("like", self.like)):
            if share is not None and not 0 <= share <= 1:
                raise UsageError(f"{name} {share}: give a share from 0 to 1")
        if self.like is not None and self.sampler is not None:
            raise UsageError(f"sampler {self.sampler!r} with like: its steps are Euler's")
        if not 0 <= self.noise <= 255:
            raise UsageError(f"noise {self.noise}: give pixel values from 0 to 255")
        within("iterations", self.iterations, 1, 1000)

    def own(self) -> dict[str, object]:
        """What repeats it beside sampling settings; None is not used."""
        if self.operator is None:
            return {"strength": self.strength, "like": self.like}
        return {
            "operator": self.operator,
            "noise": self.noise,
            "method": self.method,
            "iterations": self.iterations if self.method == "moments" else None,
        }


@dataclass(frozen=True, eq=False)
class DiffusionInpainting:
    """How a diffusion model inpaints; None is the default.

    Attributes:
        method: ``"moments"`` (`undrift.sampling.inverse.MomentMatched`: for each evaluation one
            pass back through the network, which ``nfe`` does not count), ``"repaint"``
            (`undrift.sampling.inverse.RePaint`), or one of the others of
            `undrift.sampling.inverse.posterior`.
        steps: as in sampling; by default twice the spec's steps.
        sampler: as in sampling, ``"ddpm"`` by default; neither adaptive nor learned.
        guidance: as in sampling; without labels there is none.
        grid: as in sampling.
        resample: of repaint: how often each run of steps is made, 5 by default.
        jump: of repaint: the steps of a run, 1 by default.
    """

    method: Literal["moments", "repaint", "pigdm", "dps", "ddnm", "diffpir"] = "moments"
    steps: int | None = None
    sampler: str | None = None
    guidance: float | None = None
    grid: Grid = None
    resample: int | None = None
    jump: int | None = None

    def __post_init__(self) -> None:
        for name in ("resample", "jump"):
            value = getattr(self, name)
            if self.method != "repaint" and value is not None:
                raise UsageError(
                    f"{name} {value!r} with method {self.method!r}: only repaint has it"
                )

    @property
    def travel(self) -> tuple[int, int]:
        """``jump`` and ``resample`` of repaint, with their defaults."""
        jump = JUMP if self.jump is None else self.jump
        return jump, RESAMPLE if self.resample is None else self.resample
