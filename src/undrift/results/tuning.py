"""The result of ``undrift tune-sampler``."""

from __future__ import annotations

from dataclasses import dataclass

from undrift.results.curve import Interval
from undrift.results.result import Result
from undrift.schema import stored_as


@dataclass(frozen=True)
class StageError:
    """The error of a stage of the optimisation.

    Attributes:
        error: mean over images of the root mean square difference from the fine solution.
    """

    error: float


@dataclass(frozen=True)
class SamplerError(StageError):
    """The error of a sampler.

    Attributes:
        sampler: its name.
    """

    sampler: str


@dataclass(frozen=True)
class DataDistance:
    """Frechet distance to training images, in random features.

    Attributes:
        before: of the sampler as it was optimised.
        after: with its last step fitted to the training images.
    """

    before: float
    after: float


@dataclass(frozen=True, kw_only=True)
class TunedSampler:
    """The sampler of one number of steps, with errors on images of its own.

    Attributes:
        steps: number of steps.
        kept: name of the best candidate.
        fixed: the best classical sampler on the best fixed grid.
        searched: the best classical sampler on the grid found by dynamic programming.
        regressed: that one, coefficients by regression.
        refined: that one, refined by gradient.
        error: of the one that is kept.
        reduction: share of the error of ``fixed`` that is gone.
        tested_on: images that the errors are means of.
        times: of the steps, from noise to data.
        model_times: times passed to the network.
        distance: to training images; None where the last step was not fitted to them.
    """

    steps: int
    kept: str
    fixed: SamplerError
    searched: SamplerError
    regressed: StageError
    refined: StageError
    error: float
    reduction: Interval
    tested_on: int = stored_as("judged_on")
    times: tuple[float, ...]
    model_times: tuple[float, ...] = stored_as("asked")
    distance: DataDistance | None


@dataclass(frozen=True, kw_only=True)
class TuningResult(Result):
    """Few-step samplers optimised for one model.

    Attributes:
        samples: images tuned on.
        seed: of their initial noise.
        guidance: guidance scale.
        fine: evaluations of the fine solution.
        error: what the errors are, as a sentence.
        aim: "images" or "solution".
        distance: what the distances are, as a sentence.
        seconds: of wall-clock time.
        threads: CPU threads.
        rows: one sampler per number of steps.
    """

    samples: int
    seed: int
    guidance: float
    fine: int
    error: str
    aim: str
    distance: str
    seconds: float
    threads: int
    rows: tuple[TunedSampler, ...]
