"""Claim: a diffusion model has a likelihood, and one that says something; a GAN has none.

Contrast: bits per dimension of held-out images under the best model without a network (pixel
histograms) less those under the diffusion model, by its variational bound and by its ODE, seed by
seed: fewer bits by more than 0.05, over at least three seeds. A third part holds it against having
learnt its images by heart: bits of held-out images less those of training images, as many, are
below 0.2. All were fixed before anything was measured. Every GAN is asked too; its answer stands
in the exhibit, and no number is put in its place.
"""

from __future__ import annotations

from collections.abc import Mapping

from undrift.comparison.verdicts.finding import Finding, found
from undrift.comparison.verdicts.part import Part, absent, paired
from undrift.comparison.verdicts.verdict import Verdict, judge
from undrift.metrics.seeds import paired_over_seeds

NAME = "likelihood"
QUESTION = "Does the diffusion model give held-out images a likelihood that says something?"
UNIT = "bits per dimension saved"
MARGIN = 0.05
GAP = 0.2
SEEDS = 3

Bits = Mapping[int, float]


def likelihood(
    baseline: Mapping[int, float], methods: Mapping[str, Bits], training: Mapping[str, Bits]
) -> Finding:
    """The verdict.

    Args:
        baseline: seed -> bits of held-out images under the model without a network.
        methods: "bound" and "ODE" -> bits of the same images under the diffusion model.
        training: the same of training images.
    """
    parts: list[Part] = []
    for name, bits in methods.items():
        parts.append(
            paired(
                f"{name}, against pixel histograms",
                UNIT,
                baseline,
                bits,
                margin=MARGIN,
                needed=SEEDS,
            )
        )
    for name, bits in methods.items():
        if name in training:
            parts.append(_gap(name, bits, training[name]))
    return found(NAME, QUESTION, UNIT, parts, "no likelihood was measured")


def _gap(name: str, held_out: Bits, training: Bits) -> Part:
    """Bits of held-out images less those of training images, which have to stay below `GAP`."""
    words = f"{name}, held-out less training images"
    gap = paired_over_seeds(held_out, training)
    if gap is None:
        return absent(words, "bits per dimension", GAP, SEEDS, "both are known for no seed")
    verdict: Verdict = "inconclusive"
    if gap.n >= SEEDS and gap.low is not None and gap.high is not None:
        verdict = judge(GAP - gap.high, GAP - gap.low, 0.0)
    ends = (gap.value, gap.low, gap.high)
    unit = "bits per dimension"
    return Part(words, unit, verdict, *ends, GAP, gap.n, SEEDS, less=True, condition=True)
