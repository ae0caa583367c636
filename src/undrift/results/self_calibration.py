"""The result of ``undrift edit --self-check``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from undrift.advice import named
from undrift.json_types import JsonValue
from undrift.results.result import Result
from undrift.sampling.inverse import Uniformity
from undrift.schema import optional

UNLIKELY = 0.01
"""The p-value below which a method is called wrong."""

CLIPPED = 0.01
"""The share of clipped values above which there is a warning."""


@dataclass(frozen=True, kw_only=True)
class SelfCalibrationResult(Result):
    """The test of one method of restoring or inpainting images.

    Attributes:
        images: drawn from the model and measured.
        variants: results of each.
        seed: of images and errors; results have the next one.
        p_value: of ranks as uneven as the least likely part's, times the number of parts.
        parts: number of an image -> its test.
        clipped: share of the measured values, from 0 to 1, that lay outside of 0 to 255.
        settings: of the results, defaults included.
        nfe: network forwards of each result.
        seconds: of all.
        weights: which weights of a run; from the command line, as all below.
        mask: the mask as it was named; None without.
        command: that repeats it.
    """

    images: int
    variants: int
    seed: int
    p_value: float
    parts: Mapping[str, Uniformity]
    clipped: float
    settings: Mapping[str, JsonValue]
    nfe: float
    seconds: float
    weights: str | None = optional()
    mask: str | None = optional()
    command: str | None = optional()

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        counts = f"{self.images} images of the model, {self.variants} results of each"
        found = f"self-calibration of {self.settings['method']}: p = {self.p_value:.2g} ({counts})"
        if self.p_value >= UNLIKELY:
            return f"{found}; nothing shows that results are spread wrongly"
        spread = max((one.spread for one in self.parts.values()), key=abs)
        shift = max((one.shift for one in self.parts.values()), key=abs)
        if abs(shift) > abs(spread):
            return f"{found}; results are biased: they are no samples of the model's posterior"
        which = "too little" if spread > 0 else "too much"
        return f"{found}; results vary {which}: they are no samples of the model's posterior"

    @property
    def warning(self) -> str | None:
        """What may reject a right method; None for nothing."""
        if self.clipped <= CLIPPED:
            return None
        return (
            f"{self.clipped:.0%} of the measured values are clipped to 0 to 255, where methods "
            f"expect Gaussian errors: a right one may be rejected; give less {named('noise')}"
        )
