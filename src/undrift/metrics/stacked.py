r"""Which triples of stacked digits a model reaches, as a classifier of single digits reads them.

Each channel of an image (n, H, W, 3) is a digit. The classifier, trained on single digits, reads
the three, which is one of K^3 modes; `undrift.metrics.modes` then counts those reached and measures

    KL(p || u),   p the shares of the modes among n images, u uniform                            (1)

in nats. A perfect sampler scores (K^3 - 1) / 2n on average: 0.0192 at the usual 26,000 images.

The classifier errs. With accuracy a, about 1 - a^3 of the triples are misread, and a misread triple
counts as a mode: the count of a model of few modes is then too large. Its accuracy on held-out
digits belongs beside every count.

References: Metz et al., "Unrolled generative adversarial networks" (2017), section 3.3.1; Lin et
al., "PacGAN: the power of two samples in generative adversarial networks" (2018), for 26,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.classification import label_accuracy
from undrift.metrics.estimate import Estimate
from undrift.metrics.features import Classifier, DomainClassifier
from undrift.metrics.images import Images
from undrift.metrics.modes import mode_coverage

CHANNELS = 3


@dataclass(frozen=True)
class StackedCoverage:
    """Triples that were reached.

    Attributes:
        modes: K^3.
        found: triples with at least one image, misread ones included.
        kl: equation (1), with its interval at this n.
        floor_kl: what a perfect sampler scores on average at this n.
        accuracy: of the classifier on held-out single digits.
    """

    modes: int
    found: int
    kl: Estimate
    floor_kl: float
    accuracy: Estimate


@dataclass(frozen=True)
class DigitReader:
    """A classifier of single digits, and how often it is right.

    Attributes:
        classifier: of grey images (n, H, W, 1).
        accuracy: on held-out digits.
    """

    classifier: Classifier
    accuracy: Estimate

    @classmethod
    def fit(
        cls,
        known: Images,
        held_out: Images,
        *,
        device: torch.device | str = "cpu",
        cache_directory: Path | None = None,
    ) -> DigitReader:
        """Train `DomainClassifier` on ``known`` digits, once: it is cached.

        Raises:
            UsageError: images without labels, or labels that do not fit.
        """
        if known.labels is None or held_out.labels is None:
            raise UsageError("a reader of digits: needs labels of both sets of images")
        classifier = DomainClassifier.fit(
            known.images, known.labels, device=device, cache_directory=cache_directory
        )
        predicted = classifier.predict(held_out.images)
        return cls(classifier, label_accuracy(predicted, held_out.labels))

    def read(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The triple (n,) in [0, K^3) that ``images`` (n, H, W, 3) show.

        Raises:
            UsageError: images that are not three channels of what the classifier knows.
        """
        if images.ndim != 4 or images.shape[3] != CHANNELS:
            raise UsageError(f"stacked digits {images.shape}: wanted (n, H, W, {CHANNELS})")
        digits = [
            self.classifier.predict(np.ascontiguousarray(images[..., channel, None]))
            for channel in range(CHANNELS)
        ]
        place = self.classifier.classes ** np.arange(CHANNELS - 1, -1, -1)
        return np.stack(digits, axis=1) @ place

    def coverage(self, images: NDArray[np.uint8]) -> StackedCoverage:
        """Modes that ``images`` (n, H, W, 3) reach, and equation (1).

        Raises:
            UsageError: see `read`; or no images.
        """
        modes = self.classifier.classes**CHANNELS
        even = mode_coverage(self.read(images), modes)
        return StackedCoverage(modes, even.count, even.kl, even.floor_kl, self.accuracy)
