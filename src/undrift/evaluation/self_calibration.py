"""Whether a method of restoring or filling in images is right, tested on images of the model.

See `undrift.sampling.inverse.self_calibration` for the test. The numbers of an image whose ranks
are tested are its mean, its mean square, its product with a random pattern of signs, and, of a
noisy measurement, how far the image is from it.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.errors import UsageError
from undrift.evaluation.target import Target, open_target
from undrift.pipelines import DiffusionPipeline, Labels, Pipeline
from undrift.pipelines.numbers import GivenNumbers
from undrift.pipelines.prompts import Prompts
from undrift.pipelines.whole_number import within
from undrift.randomness import generator
from undrift.results import SelfCalibrationResult
from undrift.sampling.inverse import measured, parse_operator, ranks, uniformity
from undrift.version import __version__

FEWEST_IMAGES, FEWEST_VARIANTS = 20, 3
"""Of a test; see `undrift.sampling.inverse.uniformity`."""


def self_calibrate(
    target: str | Pipeline | Target,
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
) -> SelfCalibrationResult:
    """Draw images of the model, measure them, restore them, and test the ranks.

    Args:
        target: a diffusion model, or the path of a run or of a pipeline.
        operator: as in `Pipeline.edit`; or
        mask: as in `Pipeline.inpaint`.
        noise: of the operator: standard deviation of the measurement's error, in pixel values from
            0 to 255.
        n: images, at least 20.
        variants: results of each, at least 3.
        seed: of images, errors and results.
        batch_size: images computed at once.
        labels: of images and results; None leaves the class open in both, as `Pipeline.edit` does.
        prompts: likewise.
        numbers: likewise.
        settings: of `Pipeline.edit` or `Pipeline.inpaint`.

    Raises:
        UsageError: unless one of operator and mask is given, for numbers that are too small, or for
            a model that cannot edit images.
        ModelFileError: a damaged run or pipeline, or nothing there.
    """
    if (operator is None) == (mask is None):
        raise UsageError("self-calibration: give one of operator, as blur:2, and mask")
    opened = open_target(target)
    if opened.pipeline is None:
        raise UsageError(f"{opened.name}: these are samples; name a run or a pipeline")
    if opened.pipeline.editing is None:
        raise UsageError(f"self-calibration: {opened.pipeline.noun} cannot edit images")
    pipeline = DiffusionPipeline.of(opened.pipeline, "self-calibration restores images by steps")
    within("n", n, FEWEST_IMAGES)
    within("variants", variants, FEWEST_VARIANTS)
    began = time.perf_counter()
    given = {"labels": labels, "prompts": prompts, "numbers": numbers, "batch_size": batch_size}
    given["guidance"] = settings.pop("guidance", None)
    steps = 2 * pipeline.spec.steps  # what is tested is the method, not the drawing of images
    latent_shape = pipeline.codec.latent_shape(pipeline.spec.image_shape)
    blank = pipeline.codec.decode(torch.zeros(n, *latent_shape, device=pipeline.device))
    blank = blank.permute(0, 2, 3, 1).cpu().numpy()
    # from pure noise, under the results' very condition: sampling would draw classes
    truth = pipeline.edit(blank, strength=1.0, seed=seed, steps=steps, **given).images
    clipped = 0.0
    shared = {"variants": variants, "seed": seed + 1, **given, **settings}
    y: Tensor | None = None
    if mask is not None:
        made = pipeline.inpaint(truth, mask, **shared)
    else:
        rule = parse_operator(operator or "")
        rule.measurement_shape(pipeline.spec.image_shape)
        draws = generator(seed, "measurement error")
        y = measured(rule, torch.from_numpy(truth).permute(0, 3, 1, 2).double())
        y = y + noise * torch.randn(y.shape, generator=draws, dtype=torch.float64)
        clipped = float(((y < -0.5) | (y > 255.5)).double().mean())
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
    return SelfCalibrationResult(
        version=__version__,
        target=opened.name,
        images=n,
        variants=variants,
        seed=seed,
        p_value=min(1.0, len(parts) * least),
        parts=parts,
        clipped=round(clipped, 4),
        settings=made.settings,
        nfe=made.nfe,
        seconds=round(time.perf_counter() - began, 3),
    )
