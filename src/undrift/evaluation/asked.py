"""What ``undrift evaluate`` was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from undrift.evaluation.drawing import Sampling
from undrift.evaluation.reference import Split
from undrift.evaluation.subject import Subject


@dataclass(frozen=True)
class Evaluate:
    """What to evaluate, and how.

    Attributes:
        target: run, pipeline, ``.npz`` or folder of images; or a subject that is open already.
        against: another one, to compare with.
        reference: real images, or a file of ``save_reference``; None is the run's own data.
        label_column: column of the reference's metadata that holds the labels; None is ``label``,
            of the run's own data what it was trained with.
        n: samples at most.
        reference_n: reference images at most; None is ``n``, or fewer where no images are held out,
            so that as many as the samples are left to be measured in their place.
        metrics: names, ``quick`` or ``all``.
        features: feature space, see `undrift.metrics.features.open_extractor`; None is ``domain``,
            or what a stored reference holds.
        weights_file: file with that space's weights, where it needs one.
        download: fetch such a file.
        split: part of the reference.
        seed: of the samples and of every random choice.
        sampling: how a pipeline is sampled.
        ema: length of the weight average, of a run.
        weights: averaged or raw, of a run.
        device: where to compute.
        out: JSON file to write, beside the run's own.
        save_reference: file to store the reference's features in, to be used without the data.
    """

    target: str | Subject
    against: str | Subject | None = None
    reference: str | Subject | None = None
    label_column: str | None = None
    n: int = 10_000
    reference_n: int | None = None
    metrics: tuple[str, ...] = ("all",)
    features: str | None = None
    weights_file: str | None = None
    download: bool = False
    split: Split | None = None
    seed: int = 0
    sampling: Sampling = Sampling()
    ema: float | None = None
    weights: Literal["ema", "raw"] = "ema"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    out: str | None = None
    save_reference: str | None = None

    @property
    def most_real(self) -> int:
        """Reference images at most."""
        return self.n if self.reference_n is None else self.reference_n
