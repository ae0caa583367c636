"""A sampling request, checked and with the defaults filled in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from undrift.errors import UsageError
from undrift.pipelines.call import Call
from undrift.pipelines.labels import Labels
from undrift.pipelines.learned import Learned
from undrift.pipelines.spec import SampleSpec
from undrift.pipelines.stepping import AdaptiveSteps, Stepping, stepping_of
from undrift.pipelines.whole_number import check_images, within
from undrift.sampling.thresholding import Threshold

_BATCHES = (8, 256)  # smallest and largest default batch
_BATCH_VALUES_CPU = 1 << 16  # image values per batch: more falls out of the caches
_BATCH_VALUES = 1 << 22  # elsewhere: more only fills memory


@dataclass(frozen=True)
class Request:
    """What a diffusion pipeline was asked for.

    Attributes:
        n: number of images.
        seed: names the noise.
        stepping: the sampler and its steps.
        guidance: guidance scale; 1 is off.
        batch_size: images drawn at once.
        first: number of the first image.
        precision: of the network.
        threshold: what keeps denoised images in the data's range.
    """

    n: int
    seed: int
    stepping: Stepping
    guidance: float
    batch_size: int
    first: int
    precision: str
    threshold: Threshold | None

    @classmethod
    def checked(
        cls, call: Call, spec: SampleSpec, device: torch.device, learned: Learned
    ) -> Request:
        """Fill in the spec's defaults and check every value.

        Raises:
            UsageError: for a value that cannot be used, or two that exclude each other.
        """
        guidance = _scale(spec.guidance if call.guidance is None else call.guidance, spec)
        stepping = stepping_of(call, spec, guidance, learned)
        check_images(call.n, call.first, call.seed)
        batch_size = call.batch_size
        if batch_size is None:
            batch_size = suitable_batch(spec.shape, device)
        return cls(
            n=call.n,
            seed=call.seed,
            stepping=stepping,
            guidance=guidance,
            batch_size=within("batch_size", batch_size, 1),
            first=call.first,
            precision=call.precision,
            threshold=None if call.threshold is None else Threshold.parse(call.threshold),
        )

    @property
    def batches(self) -> list[range]:
        """Which images are drawn together."""
        end = self.first + self.n
        return [
            range(start, min(start + self.batch_size, end))
            for start in range(self.first, end, self.batch_size)
        ]

    def followed(self, trajectory: int) -> int:
        """Of how many images the way is to be kept.

        Raises:
            UsageError: for a number below 0, or a sampler whose images go different ways.
        """
        if within("trajectory", trajectory, 0) and isinstance(self.stepping, AdaptiveSteps):
            raise UsageError(
                f"trajectory with sampler {self.stepping.sampler!r}, where each image has steps of "
                "its own: name another sampler, or leave trajectory out"
            )
        return trajectory

    def settings(self, labels: Labels) -> dict[str, Any]:
        """Return what repeats the request, as plain data; what is off is left out."""
        return {
            "n": self.n,
            "first": self.first,
            "labels": labels,
            "seed": self.seed,
            **self.stepping.settings(),
            "guidance": self.guidance,
            **({} if self.threshold is None else {"threshold": str(self.threshold)}),
            "batch_size": self.batch_size,
            "precision": self.precision,
        }


def suitable_batch(shape: tuple[int, int, int], device: torch.device) -> int:
    """How many images of ``shape`` (C, H, W) are best drawn at once on ``device``."""
    values = _BATCH_VALUES_CPU if device.type == "cpu" else _BATCH_VALUES
    least, most = _BATCHES
    return max(least, min(most, values // math.prod(shape)))


def _scale(guidance: float, spec: SampleSpec) -> float:
    if not math.isfinite(guidance):
        raise UsageError(f"guidance {guidance}: give a finite number (1 is off)")
    if guidance != 1 and not spec.class_names:
        raise UsageError(
            f"guidance {guidance}: this model has no classes to guide towards; leave it out"
        )
    return float(guidance)
