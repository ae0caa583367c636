"""Claim: a diffusion model covers more of the data than a GAN.

Contrast: the share that the diffusion model covers less the GAN's, within each seed, at the same
cost. More means by more than 0.02, the margin of all shares, over at least five seeds; both were
fixed before anything was measured. Of stacked digits, whose runs are long, three decide: a number
of after the first study, which had three and could decide nothing by them. What is covered:
held-out images (coverage), the modes of rings and grids of Gaussians, the thousand classes of
stacked digits, the rare classes of long-tailed data. Exhibits: each of these run by run, and
fidelity against diversity along each method's dial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from undrift.comparison.verdicts.finding import Finding, found
from undrift.comparison.verdicts.margin import MARGINS
from undrift.comparison.verdicts.part import Part, paired
from undrift.metrics.bounded import SHARE

NAME = "coverage"
QUESTION = "Does the diffusion model cover more of the data than the GAN?"
UNIT = "share covered, diffusion less GAN"
SEEDS = 5
STACKED_SEEDS = 3
"""Seeds per method on stacked digits."""


@dataclass(frozen=True)
class World:
    """Something to cover.

    Attributes:
        diffusion: seed -> share of it that the diffusion model covers.
        gans: the same of each GAN, by name.
        needed: seeds; fewer decide nothing.
    """

    diffusion: Mapping[int, float]
    gans: Mapping[str, Mapping[int, float]]
    needed: int = SEEDS


def coverage(worlds: Mapping[str, World]) -> Finding:
    """The verdict from shares covered.

    Args:
        worlds: what is covered -> who covers how much of it.
    """
    margin = MARGINS["coverage"].of(0.0)
    parts: list[Part] = [
        paired(
            f"{name}, against {gan}",
            UNIT,
            world.diffusion,
            values,
            margin=margin,
            needed=world.needed,
            within=SHARE,
        )
        for name, world in worlds.items()
        for gan, values in world.gans.items()
    ]
    return found(NAME, QUESTION, UNIT, parts, "no runs of both families were measured")
