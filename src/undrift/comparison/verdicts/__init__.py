"""What a comparison shows, by rules that were fixed before anything was measured."""

from undrift.comparison.verdicts.claims import (
    COVERAGE,
    INFERENCE,
    LIKELIHOOD,
    SCALING,
    STACKED_SEEDS,
    Covered,
    control,
    coverage,
    inference,
    likelihood,
    newcombe,
    scaling,
    slope,
    stability,
)
from undrift.comparison.verdicts.margin import MARGINS, Margin
from undrift.comparison.verdicts.verdict import combined, standing, verdict_of

__all__ = [
    "COVERAGE",
    "INFERENCE",
    "LIKELIHOOD",
    "MARGINS",
    "SCALING",
    "STACKED_SEEDS",
    "Covered",
    "Margin",
    "combined",
    "control",
    "coverage",
    "inference",
    "verdict_of",
    "likelihood",
    "newcombe",
    "scaling",
    "slope",
    "stability",
    "standing",
]
