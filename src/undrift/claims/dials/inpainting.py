r"""How well holes are painted: nearness to what was there, variety, plausibility, cost.

With fills :math:`f_{iv}` of the hidden pixels of N images, V each, and the truth :math:`x_i` there,
both in levels, per pixel,

.. math:: e_i = \frac1V \sum_v |f_{iv} - x_i|^2, \qquad
          d_i = \frac{1}{V (V - 1)} \sum_{v \ne v'} |f_{iv} - f_{iv'}|^2                 \quad (1)

.. math:: \mathrm{PSNR} = 10 \log_{10} \frac{255^2}{\bar e}, \qquad
          \text{calibration} = \frac{\bar d}{\bar e},                                     \quad (2)

a bar being the mean over images. Fills that are drawn from the posterior are exchangeable with the
truth, so that calibration is 1; below it a model is surer than it should be, above it less sure.
The PSNR of such fills is 3 dB below that of their mean, which is as near as one can come: read it
beside the calibration, since a model that paints one blurred mean does well by it alone.

Intervals are over images, whose means are about normal; those of (2) come from the means' by the
delta method. Models that painted the same holes are compared image by image (`per_image`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.evaluation.reference import Reference
from undrift.metrics.bounded import bounded_interval
from undrift.metrics.classification import label_accuracy
from undrift.metrics.estimate import Estimate, student_quantile
from undrift.metrics.frechet_estimate import frechet_estimate
from undrift.metrics.moments import Moments
from undrift.pipelines import Labels, Pipeline, Samples

_WHITE = 255.0
_OVER = "Student's t, over images"


@dataclass(frozen=True, eq=False)
class InpaintingQuality:
    """What was found of one model.

    Attributes:
        n: images.
        variants: fills of each.
        rmse: root of the mean squared error of a hidden value, in levels.
        psnr: the same in decibels, (2); None of no error at all, as the next ones.
        psnr_of_mean: of the mean of an image's fills; None of one fill.
        calibration: (2); None of one fill, or of no error.
        diversity: root of the mean squared difference of two fills, in levels; None of one fill.
        distance: mean Euclidean distance of a painted image from the true one, in features.
        accuracy: share of painted images in which the classifier sees the true class.
        fd: Frechet distance of painted images to real ones, in features: of one fill of each, as
            those of one image are not independent.
        features: name of the space; empty where nothing was measured in one.
        nfe: network forwards per fill, passes back not counted.
        seconds_per_fill: wall clock.
        per_image: ``e_i`` and, of several fills, ``d_i`` of (1), (N,) each.
        settings: what repeats the fills.
    """

    n: int
    variants: int
    rmse: Estimate
    psnr: Estimate | None
    psnr_of_mean: Estimate | None
    calibration: Estimate | None
    diversity: Estimate | None
    distance: Estimate | None
    accuracy: Estimate | None
    fd: Estimate | None
    features: str
    nfe: float
    seconds_per_fill: float
    per_image: dict[str, NDArray[np.float64]]
    settings: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As plain data, without ``per_image``; an interval's end that is infinite is None."""
        plain: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, Estimate):
                ends = (end if math.isfinite(end) else None for end in (value.low, value.high))
                value = dict(zip(("value", "low", "high"), (value.value, *ends), strict=True))
            if name != "per_image":
                plain[name] = value
        return plain


def inpainting_quality(
    pipeline: Pipeline,
    images: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    *,
    variants: int = 4,
    labels: Labels = None,
    seed: int = 0,
    seconds: float | None = None,
    bench: Reference | None = None,
    truth: NDArray[np.int64] | None = None,
) -> InpaintingQuality:
    """Let ``pipeline`` paint the holes of images that it has not seen, and measure what it painted.

    Args:
        pipeline: with an `inpaint` of its own.
        images: uint8 (N, H, W, C), at least 2.
        mask: bool (H, W) or (N, H, W), True where paint is wanted.
        variants: fills of each image.
        labels: what the model is told of the classes.
        seed: names the noise.
        seconds: of a GAN: the time it has for all of them; None is its default effort.
        bench: the feature space, classifier and real images; without one, nothing that needs them
            is measured.
        truth: class of each image as the bench numbers them, for ``accuracy``.

    Raises:
        UsageError: for a pipeline that cannot paint, seconds of one that is no GAN, or arrays that
            do not fit.
    """
    painted = pipeline.inpaint(
        images, mask, variants=variants, labels=labels, seed=seed, seconds=seconds
    )
    return measured(painted, images, mask, variants, bench, truth)


def painted_at_equal_time(
    diffusion: Pipeline,
    gans: Mapping[str, Pipeline],
    images: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    *,
    variants: int = 4,
    seed: int = 0,
) -> dict[str, Samples]:
    """What a diffusion model paints, as ``diffusion``, and GANs in the time that it took.

    Args:
        diffusion: paints at its defaults.
        gans: by name; ``diffusion`` is none.
        images: see `inpainting_quality`, as all others.
        mask: as there.
        variants: as there.
        seed: as there.

    Raises:
        UsageError: for a pipeline whose inpainting takes no seconds, or is called diffusion.
    """
    if "diffusion" in gans:
        raise UsageError("a GAN is called 'diffusion': give it another name")
    painted = {"diffusion": diffusion.inpaint(images, mask, variants=variants, seed=seed)}
    for name, gan in gans.items():
        painted[name] = gan.inpaint(
            images, mask, variants=variants, seed=seed, seconds=painted["diffusion"].seconds
        )
    return painted


def measured(
    painted: Samples,
    images: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    variants: int,
    bench: Reference | None = None,
    truth: NDArray[np.int64] | None = None,
) -> InpaintingQuality:
    """What was painted beside what was there; see `inpainting_quality`.

    Raises:
        UsageError: for fewer than two images, one of which nothing is hidden, or arrays that do
            not fit.
    """
    n = len(images)
    fills = painted.images
    if n < 2 or len(fills) != n * variants or fills.shape[1:] != images.shape[1:]:
        raise UsageError(
            f"{fills.shape} painted of {images.shape}: wanted {variants} of each of 2 or more"
        )
    hidden = np.broadcast_to(mask, images.shape[:3])
    counts = hidden.sum(axis=(1, 2)) * images.shape[3]
    if not counts.all():
        raise UsageError("the mask hides nothing of some images: there is nothing to measure")
    if truth is not None and truth.shape != (n,):
        raise UsageError(f"truth of shape {truth.shape}, wanted ({n},)")
    each = fills.reshape(n, variants, *images.shape[1:]).astype(np.float64)

    def squared(of: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over the hidden values of each image, of differences (N, ..., H, W, C)."""
        where = hidden.reshape(n, *[1] * (of.ndim - 4), *hidden.shape[1:], 1)
        return (of**2 * where).sum(axis=(-3, -2, -1)) / counts.reshape(n, *[1] * (of.ndim - 4))

    error = squared(each - images[:, None]).mean(axis=1)  # (1)
    per_image = {"error": error}
    psnr_of_mean = diversity = calibration = None
    if variants > 1:
        middle = each.mean(axis=1)
        # the mean of |f - f'|^2 over pairs is twice the variance with V - 1
        spread = 2 * squared(each - middle[:, None]).sum(axis=1) / (variants - 1)  # (1)
        per_image["difference"] = spread
        psnr_of_mean = _decibels(squared(middle - images))
        diversity = _root(spread)
        calibration = _ratio(spread, error) if error.any() else None
    shown = {"distance": None, "accuracy": None, "fd": None}
    if bench is not None:
        shown |= _shown(fills, images, variants, bench, truth)
    return InpaintingQuality(
        n=n,
        variants=variants,
        rmse=_root(error),
        psnr=_decibels(error),
        psnr_of_mean=psnr_of_mean,
        calibration=calibration,
        diversity=diversity,
        **shown,
        features="" if bench is None else bench.extractor.name,
        nfe=painted.nfe,
        seconds_per_fill=painted.seconds / len(fills),
        per_image=per_image,
        settings=painted.settings,
    )


def _shown(
    fills: NDArray[np.uint8],
    images: NDArray[np.uint8],
    variants: int,
    bench: Reference,
    truth: NDArray[np.int64] | None,
) -> dict[str, Estimate | None]:
    """What painted images show, in features and to the classifier."""
    made = bench.extractor.features(fills)
    there = np.repeat(bench.extractor.features(images), variants, axis=0)
    apart = np.sqrt(((made - there) ** 2).sum(axis=1)).reshape(-1, variants).mean(axis=1)
    accuracy = None
    if truth is not None and bench.classifier is not None:
        right = bench.classifier.predict(fills) == np.repeat(truth, variants)
        if variants == 1:
            accuracy = label_accuracy(right.astype(np.int64), np.ones(len(right), np.int64))
        else:
            shares = right.reshape(-1, variants).mean(axis=1)
            accuracy = _mean(shares, highest=1.0)
    return {
        "distance": _mean(apart),
        "accuracy": accuracy,
        "fd": frechet_estimate(made[::variants], Moments.of(bench.features)),
    }


def _deviation(of_images: NDArray[np.float64]) -> float:
    """Standard error of a mean over images."""
    return float(of_images.std(ddof=1) / math.sqrt(len(of_images)))


def _mean(of_images: NDArray[np.float64], highest: float = math.inf) -> Estimate:
    """A mean over images of what is not negative, and ``highest`` at most."""
    half = student_quantile(len(of_images)) * _deviation(of_images)
    value = float(of_images.mean())
    return Estimate(value, *bounded_interval(value, half, (0.0, highest)), _OVER)


def _root(squares: NDArray[np.float64]) -> Estimate:
    """Root of a mean, its ends those of the mean."""
    mean = _mean(squares)
    return Estimate(math.sqrt(mean.value), math.sqrt(mean.low), math.sqrt(mean.high), _OVER)


def _decibels(squares: NDArray[np.float64]) -> Estimate | None:
    """PSNR of a mean squared error, by (2)."""
    root = _root(squares)
    if root.value == 0:
        return None
    best = math.inf if root.low == 0 else 20 * math.log10(_WHITE / root.low)
    value, worst = (20 * math.log10(_WHITE / error) for error in (root.value, root.high))
    return Estimate(value, worst, best, _OVER)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> Estimate:
    """Ratio of two means over the same images, by the delta method."""
    ratio = float(above.mean() / below.mean())
    error = _deviation((above - ratio * below) / below.mean())
    quantile = student_quantile(len(above))
    return Estimate.normal(ratio, error, "delta method, over images", lowest=0, quantile=quantile)
