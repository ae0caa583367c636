r"""Masked halves of held-out images, inpainted by all methods in equal time.

With completions :math:`f_{iv}` of the masked pixels of N images, V each, and the original
:math:`x_i`, both in pixel values, per pixel,

.. math:: e_i = \frac1V \sum_v |f_{iv} - x_i|^2, \qquad
          d_i = \frac{1}{V (V - 1)} \sum_{v \ne v'} |f_{iv} - f_{iv'}|^2                 \quad (1)

.. math:: \mathrm{PSNR} = 10 \log_{10} \frac{255^2}{\bar e}, \qquad
          \text{calibration} = \frac{\bar d}{\bar e},                                     \quad (2)

a bar being the mean over images. Completions that are drawn from the posterior are exchangeable
with the original, so that calibration is 1; below it a model is too certain, above it not certain
enough. The PSNR of such completions is 3 dB below that of their mean, which is the best that is
possible: read it beside the calibration, since a model that gives one blurred mean does well by it
alone.

Intervals are over images, whose means are about normal; those of (2) come from the means' by the
delta method.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.claims.datasets import load_classes
from undrift.errors import UsageError
from undrift.metrics.bounded import bounded_interval
from undrift.metrics.estimate import Estimate, student_quantile
from undrift.pipelines import Pipeline, Samples
from undrift.randomness import generator
from undrift.results.claims import InpaintingQuality, Inpaintings, facts_of
from undrift.results.comparison import RunResult
from undrift.results.curve import Interval
from undrift.runs.loading import load_pipeline

SHOWN = 10
"""Images that the report shows."""

COMPLETIONS = 4
"""Completions of each image."""

_WHITE = 255.0


def inpaintings(
    run: RunResult, path: Path, gans: Mapping[str, Path], source: str, count: int, seed: int
) -> Inpaintings:
    """Inpaint the masked lower halves of held-out images with every method, for equal time.

    Args:
        run: of the diffusion model.
        path: its folder.
        gans: name of a GAN -> folder of its run.
        source: the data.
        count: images.
        seed: of the images and the completions.
    """
    originals = _held_out(source, count, seed)
    height, width = originals.shape[1:3]
    masked = np.zeros((height, width), dtype=bool)
    masked[height // 2 :] = True
    pipelines = {run.method: load_pipeline(path)}
    pipelines |= {name: load_pipeline(other) for name, other in gans.items()}
    inpainted = inpainted_in_equal_time(
        pipelines, originals, masked, variants=COMPLETIONS, seed=seed
    )
    visible = originals.copy()
    visible[:, masked] = 128
    return Inpaintings(
        **facts_of(run),
        methods={
            name: quality(one, originals, masked, COMPLETIONS) for name, one in inpainted.items()
        },
        originals=originals[:SHOWN].tolist(),
        visible=visible[:SHOWN].tolist(),
        count=len(originals),
    )


def _held_out(source: str, count: int, seed: int) -> NDArray[np.uint8]:
    data = load_classes(source)
    part = data.split("test")
    part = part if len(part) else data.split("validation")
    order = torch.randperm(len(part), generator=generator(seed, "hidden halves")).numpy()
    return part.take(np.sort(order[:count]))


def inpainted_in_equal_time(
    pipelines: Mapping[str, Pipeline],
    images: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    *,
    variants: int,
    seed: int = 0,
) -> dict[str, Samples]:
    """Completions by the first pipeline at its defaults, and by the others in the time it took.

    Args:
        pipelines: by name.
        images: uint8 (N, H, W, C).
        mask: bool (H, W) or (N, H, W), True where pixels are masked.
        variants: completions of each image.
        seed: of the initial noise.

    Raises:
        UsageError: for a pipeline other than the first whose inpainting takes no seconds.
    """
    inpainted: dict[str, Samples] = {}
    seconds: float | None = None
    for name, pipeline in pipelines.items():
        inpainted[name] = pipeline.inpaint(
            images, mask, variants=variants, seed=seed, seconds=seconds
        )
        seconds = inpainted[name].seconds if seconds is None else seconds
    return inpainted


def quality(
    inpainted: Samples, images: NDArray[np.uint8], mask: NDArray[np.bool_], variants: int
) -> InpaintingQuality:
    """Equations (1) and (2) of completions of ``images``.

    Raises:
        UsageError: for fewer than two images, one of which nothing is masked, or arrays that do
            not fit.
    """
    n, completions = len(images), inpainted.images
    if n < 2 or len(completions) != n * variants or completions.shape[1:] != images.shape[1:]:
        raise UsageError(
            f"completions {completions.shape} of {images.shape}: wanted {variants} of each of 2 or "
            "more"
        )
    masked = np.broadcast_to(mask, images.shape[:3])
    counts = masked.sum(axis=(1, 2)) * images.shape[3]
    if not counts.all():
        raise UsageError("the mask is empty for some images: there is nothing to measure")
    each = completions.reshape(n, variants, *images.shape[1:]).astype(np.float64)

    def squared(of: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over the masked values of each image, of differences (N, ..., H, W, C)."""
        where = masked.reshape(n, *[1] * (of.ndim - 4), *masked.shape[1:], 1)
        return (of**2 * where).sum(axis=(-3, -2, -1)) / counts.reshape(n, *[1] * (of.ndim - 4))

    error = squared(each - images[:, None]).mean(axis=1)  # (1)
    psnr_of_mean = diversity = calibration = None
    if variants > 1:
        middle = each.mean(axis=1)
        # the mean of |f - f'|^2 over pairs is twice the variance with V - 1
        spread = 2 * squared(each - middle[:, None]).sum(axis=1) / (variants - 1)  # (1)
        psnr_of_mean = _decibels(squared(middle - images))
        diversity = _root(spread)
        calibration = _ratio(spread, error) if error.any() else None
    return InpaintingQuality(
        n=n,
        variants=variants,
        rmse=_root(error),
        psnr=_decibels(error),
        psnr_of_mean=psnr_of_mean,
        calibration=calibration,
        diversity=diversity,
        nfe=inpainted.nfe,
        seconds_per_completion=inpainted.seconds / len(completions),
        settings=inpainted.settings,
        images=completions[::variants][:SHOWN].tolist(),
    )


def _deviation(of_images: NDArray[np.float64]) -> float:
    """Standard error of a mean over images."""
    return float(of_images.std(ddof=1) / math.sqrt(len(of_images)))


def _root(squares: NDArray[np.float64]) -> Interval:
    """Root of a mean over images, its ends those of the mean."""
    half = student_quantile(len(squares)) * _deviation(squares)
    value = float(squares.mean())
    low, high = bounded_interval(value, half, (0.0, math.inf))
    return Interval(math.sqrt(value), math.sqrt(low), math.sqrt(high))


def _decibels(squares: NDArray[np.float64]) -> Interval | None:
    """PSNR of a mean squared error, by (2); no upper end where the error's interval reaches 0."""
    root = _root(squares)
    if root.value == 0:
        return None
    worst, best = (20 * math.log10(_WHITE / end) if end else None for end in (root.high, root.low))
    return Interval(20 * math.log10(_WHITE / root.value), worst, best)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> Interval:
    """Ratio of two means over the same images, by the delta method."""
    ratio = float(above.mean() / below.mean())
    error = _deviation((above - ratio * below) / below.mean())
    quantile = student_quantile(len(above))
    found = Estimate.normal(ratio, error, "", lowest=0, quantile=quantile)
    return Interval(found.value, found.low, found.high)
