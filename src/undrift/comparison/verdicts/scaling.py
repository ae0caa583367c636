r"""Claim: a diffusion model gains more from a larger network and from more images than a GAN.

With :math:`E(P)` the Frechet distance above that of real images at size :math:`P`, a run of each
size gives one slope per seed by least squares,

.. math:: \log E(P) = a - b \log_2 P,                                                      \quad (1)

so that the distance falls by the share :math:`1 - e^{-b}` with every doubling. Contrast:
:math:`b` of the diffusion model less the GAN's, within each seed; more means by more than 0.05,
over at least three seeds; both were fixed before anything was measured. The same of images seen.
Exhibits: every run on logarithmic axes; failed runs are drawn, and are in no slope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log, log2

from undrift.comparison.verdicts.finding import Finding, found
from undrift.comparison.verdicts.part import Part, absent, paired

NAME = "scaling"
QUESTION = "Does the diffusion model gain more from size and from images than the GAN?"
UNIT = "fall of log distance per doubling, diffusion less GAN"
MARGIN = 0.05
SEEDS = 3

LEAST = 0.05
"""Share of real images' own distance that a distance above it counts as at least: near the floor
a logarithm would be all noise."""

Slopes = Mapping[int, float]


def scaling(diffusion: Mapping[str, Slopes], gans: Mapping[str, Slopes], along: str) -> list[Part]:
    """Parts of the claim: each diffusion network against each GAN.

    Args:
        diffusion: network -> slopes by seed.
        gans: the same of each GAN.
        along: what grows: "parameters" or "images seen".
    """
    return [
        paired(f"{ours} against {gan}, {along}", UNIT, b, other, margin=MARGIN, needed=SEEDS)
        for ours, b in diffusion.items()
        for gan, other in gans.items()
    ]


def scaling_unmeasured(reason: str) -> Part:
    """The part that is left where distances have nothing to be counted from."""
    return absent("every size", UNIT, MARGIN, SEEDS, reason)


def scaling_finding(parts: Sequence[Part]) -> Finding:
    """The verdict from all parts."""
    return found(NAME, QUESTION, UNIT, parts, "no two sizes of both families were measured")


def slope(points: Sequence[tuple[float, float]], floor: float) -> float | None:
    """Equation (1)'s b by least squares; None of fewer than two sizes.

    Args:
        points: size, and distance at it.
        floor: what real images score; distances count from there.
    """
    above = [(size, max(value - floor, LEAST * floor)) for size, value in points]
    known = [(log2(size), log(excess)) for size, excess in above if excess > 0]
    if len({x for x, _ in known}) < 2:
        return None
    middle = sum(x for x, _ in known) / len(known)
    spread = sum((x - middle) ** 2 for x, _ in known)
    return -sum((x - middle) * y for x, y in known) / spread  # (1)
