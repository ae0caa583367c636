"""What a comparison shows, by rules that were fixed before anything was measured."""

from undrift.comparison.verdicts.control import control
from undrift.comparison.verdicts.coverage import STACKED_SEEDS, World, coverage
from undrift.comparison.verdicts.finding import Finding
from undrift.comparison.verdicts.inference import inference
from undrift.comparison.verdicts.likelihood import likelihood
from undrift.comparison.verdicts.margin import MARGINS, Margin
from undrift.comparison.verdicts.part import Part, paired
from undrift.comparison.verdicts.scaling import scaling, scaling_finding, scaling_unmeasured, slope
from undrift.comparison.verdicts.stability import newcombe, stability
from undrift.comparison.verdicts.verdict import Verdict, combined, judge, standing

__all__ = [
    "MARGINS",
    "STACKED_SEEDS",
    "Finding",
    "Margin",
    "Part",
    "Verdict",
    "World",
    "combined",
    "control",
    "coverage",
    "inference",
    "judge",
    "likelihood",
    "newcombe",
    "paired",
    "scaling",
    "scaling_finding",
    "scaling_unmeasured",
    "slope",
    "stability",
    "standing",
]
