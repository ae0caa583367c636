"""Measures one set of samples after another against the same real images."""

from __future__ import annotations

from collections.abc import Sequence

from undrift.evaluation.curve.asked import Curve
from undrift.evaluation.reference import ReferenceImages
from undrift.evaluation.target import Target
from undrift.metrics import Comparison, Images, Measurements, measure
from undrift.options import FeatureOptions


class Measuring:
    """One feature space and one floor for all samples; opened before any of them is drawn.

    Args:
        asked: which space, which seed, how many images.
        subject: the model that draws.
        reference: the real images, or what a file holds of them.
        names: the metrics.
        device: where to compute.

    Raises:
        UndriftError: a space that cannot be opened.
    """

    def __init__(
        self,
        asked: Curve,
        subject: Target,
        reference: ReferenceImages,
        names: Sequence[str],
        device: str,
    ) -> None:
        self._subject = subject
        self._names = names
        options = FeatureOptions(
            features=asked.features, feature_weights=asked.weights_file, download=asked.download
        )
        self._bench = reference.in_space(asked.n, asked.seed, options, device)
        self._before: Comparison | None = None

    def measure(self, samples: Images) -> Measurements:
        """What `undrift.metrics.measure` finds of ``samples``.

        Raises:
            UsageError: samples that cannot be compared.
        """
        return measure(self.comparison(samples), self._names)

    def comparison(self, samples: Images) -> Comparison:
        """``samples`` beside the real images; what does not depend on them is kept.

        Raises:
            UsageError: samples that cannot be compared.
        """
        if self._before is None:
            self._before = self._bench.comparison(samples, self._subject)
        else:
            self._before = self._before.beside(self._bench.renamed(samples, self._subject))
        return self._before
