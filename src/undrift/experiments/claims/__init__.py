"""What a comparison shows, by rules that were fixed before anything was measured."""

from undrift.experiments.claims.coverage import coverage
from undrift.experiments.claims.margin import MARGINS, Margin
from undrift.experiments.claims.seeds import OverSeeds, over_seeds, paired_over_seeds
from undrift.experiments.claims.stability import newcombe, stability
from undrift.experiments.claims.verdict import Finding, Verdict, combined, judge, standing

__all__ = [
    "MARGINS",
    "Finding",
    "Margin",
    "OverSeeds",
    "Verdict",
    "combined",
    "coverage",
    "judge",
    "newcombe",
    "over_seeds",
    "paired_over_seeds",
    "stability",
    "standing",
]
