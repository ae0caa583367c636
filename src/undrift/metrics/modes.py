r"""What a classifier sees in generated images: the inception score, and which modes were reached.

With class probabilities p(c|x) of n images, their mean p(c), and K classes,

.. math:: IS = \exp \mathrm{mean}_x\, KL\big(p(c|x) \,\|\, p(c)\big)                             (1)

in [1, K]: K if every image is surely of one class and all classes are alike frequent, 1 if all
images look the same to the classifier. One more image moves the exponent by
``(KL(p(.|x) || p) - log IS) / n``.

With predicted classes alone, p their shares among n images and q the frequencies that are wanted,

    KL(p || q) = sum_c p_c log(p_c / q_c)                                                        (2)

A perfect sampler does not score 0 but, for n q_c well above 1, about ``(K - 1) / 2n``: 2n times
(2) is chi-squared with K - 1 degrees of freedom. One more image of class c moves (2) by

    (log(p_c / q_c) - KL) / n                                                                    (3)

whose sample variance counts the noise of p twice where p is near q: there the interval is wider
than it needs to be. It is zero where all p_c / q_c are equal, of images of one class or by chance;
so the variance is taken as not below that of a perfect sampler, (K - 1) / 2n^2.

References: Salimans et al., "Improved techniques for training GANs" (2016), for (1); Metz et al.,
"Unrolled generative adversarial networks" (2017), for (2) and stacked MNIST; Wilks, "The
large-sample distribution of the likelihood ratio for testing composite hypotheses" (1938), for the
floor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.estimate import Estimate
from undrift.randomness import generator


@dataclass(frozen=True)
class ModeCoverage:
    """Which classes were reached, and how evenly.

    Attributes:
        count: classes with at least one image; an error of the classifier counts as well.
        kl: equation (2), in nats, with a 95 % interval about its expectation at this n.
        floor_kl: what a perfect sampler scores on average at this n.
    """

    count: int
    kl: Estimate
    floor_kl: float


def inception_score(
    probabilities: NDArray[np.floating], splits: int = 10, seed: int = 0
) -> Estimate:
    """The mean of equation (1) over random ``splits`` of equal size, with a 95 % interval.

    A score depends on the images per split (biased upwards for few), so it is compared at equal
    numbers only; the interval is about its expectation at this number.

    Args:
        probabilities: (n, K), rows sum to one, n >= 2 for each split.
        splits: how many.
        seed: of the splitting.

    Raises:
        UsageError: no probabilities, or fewer than 2 images per split.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or not np.isfinite(p).all() or (p < 0).any():
        raise UsageError(f"probabilities of shape {p.shape}: wanted numbers in [0, 1], (n, K)")
    if not np.allclose(p.sum(axis=1), 1.0, atol=1e-4):
        raise UsageError("probabilities do not sum to one over the classes: give softmax outputs")
    if splits < 1 or len(p) < 2 * splits:
        raise UsageError(f"{len(p)} images in {splits} splits: needs at least 2 in each")
    order = torch.randperm(len(p), generator=generator(seed, "inception score")).numpy()
    scores, variances = [], []
    for part in np.array_split(order, splits):
        divergence = _divergences(p[part])
        scores.append(float(np.exp(divergence.mean())))  # equation (1)
        variances.append(scores[-1] ** 2 * float(divergence.var(ddof=1)) / len(part))
    return Estimate.normal(
        float(np.clip(np.mean(scores), 1.0, p.shape[1])),  # rounding
        float(np.sqrt(np.sum(variances))) / splits,
        f"influence function over samples, {splits} splits; classifier fixed; bias not removed",
        lowest=1.0,
        highest=float(p.shape[1]),
    )


def mode_coverage(
    predicted: NDArray[np.integer],
    classes: int,
    frequencies: NDArray[np.floating] | None = None,
) -> ModeCoverage:
    """Classes reached, and equation (2) with its floor.

    Args:
        predicted: (n,) classes that a classifier gives the images, in [0, classes).
        classes: K.
        frequencies: (K,) wanted, in any unit; None for all alike.

    Raises:
        UsageError: labels or frequencies that do not fit, or an image of a class that is not wanted
            at all, which makes (2) infinite.
    """
    labels = np.asarray(predicted)
    if labels.ndim != 1 or len(labels) == 0 or labels.min() < 0 or labels.max() >= classes:
        raise UsageError(
            f"predicted classes of shape {labels.shape}: wanted (n,) in 0..{classes - 1}"
        )
    q = np.ones(classes) if frequencies is None else np.asarray(frequencies, dtype=np.float64)
    if q.shape != (classes,) or not np.isfinite(q).all() or (q < 0).any() or q.sum() == 0:
        raise UsageError(f"frequencies of shape {q.shape}: wanted {classes} numbers, none negative")
    q = q / q.sum()
    n = len(labels)
    counts = np.bincount(labels, minlength=classes)
    hit = counts > 0
    if (q[hit] == 0).any():
        raise UsageError(
            f"class {int(np.flatnonzero(hit & (q == 0))[0])} was generated and has frequency 0: "
            "the divergence is infinite; leave it out or give it a frequency"
        )
    p = counts / n
    logs = np.log(np.where(hit, p, 1.0) / np.where(hit, q, 1.0))
    value = float(p @ logs)  # equation (2)
    freedom = int((q > 0).sum()) - 1
    estimate = Estimate.normal(
        max(0.0, value),
        float(np.sqrt(max(p @ (logs - value) ** 2 / n, freedom / (2 * n * n)))),  # equation (3)
        "influence function over samples; classifier and frequencies fixed; bias not removed",
        lowest=0.0,
        highest=max(value, float(-np.log(q[q > 0].min()))),
    )
    return ModeCoverage(int(hit.sum()), estimate, freedom / (2 * n))


def _divergences(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """KL(p(c|x) || p(c)) of each row; 0 log 0 = 0."""
    mean = p.mean(axis=0)
    logs = np.log(np.where(p > 0, p, 1.0)) - np.log(np.where(mean > 0, mean, 1.0))
    return (p * logs).sum(axis=1)
