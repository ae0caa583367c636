"""Claim: a diffusion model covers more of the data than a GAN.

Contrast: coverage of the diffusion model less the GAN's, within each seed, at the same cost. More
means by more than 0.02, the margin of all shares, over at least five seeds; both were fixed before
anything was measured. Exhibit: coverage of every run, in the comparison's report.
"""

from __future__ import annotations

from collections.abc import Mapping

from undrift.experiments.claims.margin import MARGINS
from undrift.experiments.claims.seeds import OverSeeds, paired_over_seeds
from undrift.experiments.claims.verdict import Finding, Verdict, combined, judge

NAME = "coverage"
QUESTION = "Does the diffusion model cover more of the data than the GAN?"
UNIT = "share of held-out images, diffusion less GAN"
SEEDS = 5


def coverage(diffusion: Mapping[int, float], gans: Mapping[str, Mapping[int, float]]) -> Finding:
    """The verdict from coverages by seed.

    The number is that of the GAN that comes nearest to contradicting the claim.

    Args:
        diffusion: seed -> coverage.
        gans: name -> the same of each GAN.
    """
    effects: dict[str, OverSeeds] = {}
    for name, values in gans.items():
        found = paired_over_seeds(diffusion, values)
        if found is not None:
            effects[name] = found
    if not effects:
        reason = "coverage of both families is known for no seed"
        return Finding(NAME, QUESTION, "inconclusive", None, None, None, UNIT, reason)
    margin = MARGINS["coverage"].of(0.0)
    verdict = combined([_verdict(effect, margin) for effect in effects.values()])
    name, least = min(effects.items(), key=lambda entry: entry[1].value)
    reason = f"against {name}, {least.n} seeds, margin {100 * margin:g} points"
    if min(effect.n for effect in effects.values()) < SEEDS:
        reason += f"; fewer than the {SEEDS} seeds that were fixed decide nothing"
    return Finding(NAME, QUESTION, verdict, least.value, least.low, least.high, UNIT, reason)


def _verdict(effect: OverSeeds, margin: float) -> Verdict:
    return "inconclusive" if effect.n < SEEDS else judge(effect.low, effect.high, margin)
