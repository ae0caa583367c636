"""Measures one set of samples after another against the same real images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from undrift.evaluation.bench import Bench
from undrift.evaluation.curve.asked import Curve
from undrift.evaluation.reference import Reference
from undrift.evaluation.stored_reference import StoredReference
from undrift.evaluation.subject import Subject
from undrift.metrics import Comparison, Images, measure

FEATURES = "domain"
"""The feature space unless one is named, or the reference is features already."""


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
        subject: Subject,
        reference: Reference | StoredReference,
        names: Sequence[str],
        device: str,
    ) -> None:
        self._subject = subject
        self._names = names
        weights, download = asked.weights_file, asked.download
        if isinstance(reference, StoredReference):
            self._bench = reference.bench(
                asked.n,
                asked.seed,
                features=asked.features,
                weights=weights,
                download=download,
                device=device,
            )
        else:
            self._bench = Bench.open(
                reference,
                asked.n,
                asked.seed,
                features=asked.features or FEATURES,
                weights=weights,
                download=download,
                device=device,
            )
        self._before: Comparison | None = None

    def measure(self, samples: Images) -> dict[str, Any]:
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
