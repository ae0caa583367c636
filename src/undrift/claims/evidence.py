"""What a study has found before its verdicts: comparisons, measurements and training histories."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from undrift.claims.comparisons import DIFFUSION, MAIN
from undrift.claims.preset import Preset
from undrift.report.history import History
from undrift.results.claims import AnyMeasurement, Measurement
from undrift.results.comparison import BudgetKind, ComparisonResult

Found = TypeVar("Found", bound=Measurement)

Values = dict[int, float]
"""Seed -> number."""

Comparisons = Mapping[str, ComparisonResult]

TIMED: BudgetKind = "seconds"
"""The budget of the runs whose trade-offs and times are measured."""


@dataclass(frozen=True)
class Evidence:
    """All that the verdicts and figures of a study rest on.

    Attributes:
        preset: of the study.
        comparisons: by name.
        measurements: by name.
        histories: name of a run of the sweep -> its training.
    """

    preset: Preset
    comparisons: Comparisons
    measurements: Mapping[str, AnyMeasurement]
    histories: Mapping[str, History] = field(default_factory=dict)

    def of(self, kind: type[Found]) -> list[Found]:
        """The measurements of a type."""
        return [one for one in self.measurements.values() if isinstance(one, kind)]

    @property
    def budgets(self) -> list[BudgetKind]:
        """What is equal among the runs of the main comparison: seconds, and images."""
        return [table.kind for table in self.comparisons[MAIN].budgets] if self.comparisons else []

    def values(self, budget: BudgetKind, metric: str) -> tuple[Values, dict[str, Values]]:
        """A metric by seed in the main comparison: of the diffusion model, and of each GAN."""
        by_method = {
            row.method: dict(row.values(metric))
            for table in self.comparisons[MAIN].budgets
            if table.kind == budget
            for row in table.methods
        }
        return by_method.pop(DIFFUSION, {}), by_method


def sides_of(
    found: Sequence[Found], value: Callable[[Found], float]
) -> tuple[Values, dict[str, Values]]:
    """A number of measurements by seed: of the diffusion model, and of each GAN."""
    values: dict[str, Values] = {}
    for one in found:
        values.setdefault(one.method, {})[one.seed] = value(one)
    return values.pop(DIFFUSION, {}), values
