"""What a comparison shows, by rules that were fixed before anything was measured."""

from undrift.experiments.claims.control import control
from undrift.experiments.claims.coverage import STACKED_SEEDS, World, coverage
from undrift.experiments.claims.finding import Finding
from undrift.experiments.claims.inference import inference
from undrift.experiments.claims.likelihood import likelihood
from undrift.experiments.claims.margin import MARGINS, Margin
from undrift.experiments.claims.part import Part, paired
from undrift.experiments.claims.scaling import scaling, scaling_finding, scaling_unmeasured, slope
from undrift.experiments.claims.seeds import OverSeeds, over_seeds, paired_over_seeds
from undrift.experiments.claims.stability import newcombe, stability
from undrift.experiments.claims.verdict import Verdict, combined, judge, standing

__all__ = [
    "MARGINS",
    "STACKED_SEEDS",
    "Finding",
    "Margin",
    "OverSeeds",
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
    "over_seeds",
    "paired",
    "paired_over_seeds",
    "scaling",
    "scaling_finding",
    "scaling_unmeasured",
    "slope",
    "stability",
    "standing",
]
