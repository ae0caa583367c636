"""Whether a way to restore or fill in images is right for a model, tested on its own images.

See `undrift.sampling.inverse.self_calibration` for the test. The numbers of an image whose ranks
are tested are its mean, its mean square, its product with a random pattern of signs, and, of a
noisy measurement, how far the image is from it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.errors import UsageError
from undrift.pipelines import Labels, Pipeline
from undrift.pipelines.numbers import GivenNumbers
from undrift.pipelines.prompts import Prompts
from undrift.pipelines.whole_number import within
from undrift.randomness import generator
from undrift.sampling.inverse import Uniformity, measured, parse_operator, ranks, uniformity

FEWEST_IMAGES, FEWEST_VARIANTS = 20, 3
"""Of a test; see `undrift.sampling.inverse.uniformity`."""

UNLIKELY = 0.01
"""The p-value below which a method is called wrong."""


@dataclass(frozen=True, kw_only=True)
class SelfCalibration:
    """The test of one method.

    Attributes:
        images: drawn from the model and measured.
        variants: results of each.
        p_value: of ranks as uneven as the least likely part's, times the number of parts.
        parts: number of an image -> its test.
        settings: of the method, every default filled in.
        nfe: network forwards of each result.
        seconds: of all.
    """

    images: int
    variants: int
    p_value: float
    parts: Mapping[str, Uniformity]
    settings: Mapping[str, Any]
    nfe: float
    seconds: float

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


def self_calibrate(
    pipeline: Pipeline,
    *,
    operator: str | None = None,
    mask: NDArray[np.bool_] | None = None,
    noise: float = 0.0,
    n: int = 40,
    variants: int = 19,
    seed: int = 0,
    batch_size: int | None = None,
    labels: Labels = None,
    prompts: Prompts = None,
    numbers: GivenNumbers = None,
    **settings: Any,  # noqa: ANN401 - those of editing or inpainting
) -> SelfCalibration:
    """Draw images of the model, measure them, restore them, and test the ranks.

    Args:
        pipeline: a diffusion model.
        operator: as in `Pipeline.edit`; or
        mask: as in `Pipeline.inpaint`.
        noise: of the operator: standard deviation of the measurement's error, in levels.
        n: images, at least 20.
        variants: results of each, at least 3.
        seed: of images, errors and results.
        batch_size: images computed at once.
        labels: of images and results; None leaves the class open, as for the other two.
        prompts: likewise.
        numbers: likewise.
        settings: of `Pipeline.edit` or `Pipeline.inpaint`.

    Raises:
        UsageError: unless one of operator and mask is given, or for numbers that are too small.
    """
    if (operator is None) == (mask is None):
        raise UsageError("self-calibration: give one of operator, as blur:2, and mask")
    if pipeline.editing is None:
        raise UsageError(f"self-calibration: {pipeline.noun} cannot edit images")
    within("n", n, FEWEST_IMAGES)
    within("variants", variants, FEWEST_VARIANTS)
    began = time.perf_counter()
    given = {"labels": labels, "prompts": prompts, "numbers": numbers, "batch_size": batch_size}
    steps = 2 * pipeline.spec.steps  # what is tested is the method, not the drawing of images
    truth = pipeline(n, seed=seed, steps=steps, guidance=settings.get("guidance"), **given).images
    shared = {"variants": variants, "seed": seed + 1, **given, **settings}
    y: Tensor | None = None
    if mask is not None:
        made = pipeline.inpaint(truth, mask, **shared)
    else:
        rule = parse_operator(operator or "")
        rule.shape(pipeline.spec.shape)
        draws = generator(seed, "measurement error")
        y = measured(rule, torch.from_numpy(truth).permute(0, 3, 1, 2).double())
        y = y + noise * torch.randn(y.shape, generator=draws, dtype=torch.float64)
        y = y.round().clamp(0, 255)
        bytes_of = y.to(torch.uint8).permute(0, 2, 3, 1).numpy()
        made = pipeline.edit(bytes_of, operator=operator, noise=noise, **shared)
    images = torch.from_numpy(made.images).permute(0, 3, 1, 2).double()
    whole = torch.from_numpy(truth).permute(0, 3, 1, 2).double()
    draws = generator(seed, "pattern")
    signs = torch.randint(0, 2, whole.shape[1:], generator=draws, device="cpu") * 2 - 1

    def summaries(x: Tensor) -> dict[str, Tensor]:
        flat = x.flatten(1)
        found = {"mean": flat.mean(1), "square": flat.square().mean(1)}
        found["pattern"] = (x * signs).flatten(1).sum(1)
        if y is not None and noise > 0:
            apart = measured(parse_operator(operator or ""), x)
            apart = apart - y.repeat_interleave(len(x) // n, 0)
            found["residual"] = apart.square().flatten(1).sum(1)
        return found

    drawn, restored = summaries(whole), summaries(images)
    parts = {
        name: uniformity(ranks(drawn[name], restored[name].reshape(n, variants), seed), variants)
        for name in drawn
    }
    least = min(one.p_value for one in parts.values())
    return SelfCalibration(
        images=n,
        variants=variants,
        p_value=min(1.0, len(parts) * least),
        parts=parts,
        settings=made.settings,
        nfe=made.nfe,
        seconds=round(time.perf_counter() - began, 3),
    )
