"""Claim: runs of a GAN fail more often than those of a diffusion model.

Contrast: share of failed runs of the GAN less the diffusion model's, over seeds and the same
multiples of each method's own learning rate. More means by more than 0.1, fixed before anything was
measured, over at least 35 runs of each: seven seeds at five rates, as of fewer runs none of which
fails the interval (1) is wider than the margin, so that no difference could never be found (the
first studies asked for 5, later ones for 25). A run fails that diverges, or whose looks at samples
say diverged, collapsed or not finite, by one rule for all methods (`undrift.runs.collapse`); one
that was lost to something else counts neither way. Exhibits: last and best distance
of every run, and how well its loss tells its quality. With failed shares ``p1, p2`` and their
Wilson intervals ``[l1, u1], [l2, u2]``, the difference ``d = p1 - p2`` has the interval, over runs
taken as independent, though those of one seed begin alike,

    [d - sqrt((p1 - l1)^2 + (u2 - p2)^2),  d + sqrt((u1 - p1)^2 + (p2 - l2)^2)]                  (1)

Reference: Newcombe, "Interval estimation for the difference between independent proportions:
comparison of eleven methods" (1998), method 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from undrift.comparison.verdicts.finding import Finding, found
from undrift.comparison.verdicts.part import Part, absent
from undrift.comparison.verdicts.verdict import Verdict, judge
from undrift.metrics.wilson import wilson_interval
from undrift.wording import plural

NAME = "stability"
QUESTION = "Do runs of the GAN fail more often than those of the diffusion model?"
UNIT = "share of failed runs, GAN less diffusion"
MARGIN = 0.1
RUNS = 35

Failures = tuple[int, int]
"""Failed runs, and all runs."""


def stability(diffusion: Failures, gans: Mapping[str, Failures]) -> Finding:
    """The verdict from numbers of failed runs.

    Args:
        diffusion: failed and all runs.
        gans: name -> the same of each GAN.

    Raises:
        UsageError: more failures than runs.
    """
    parts = [_part(name, failures, diffusion) for name, failures in gans.items()]
    return found(NAME, QUESTION, UNIT, parts, "there are no runs of a GAN")


def _part(name: str, gan: Failures, diffusion: Failures) -> Part:
    if not gan[1] or not diffusion[1]:
        return absent(name, UNIT, MARGIN, RUNS, "there are no runs of both families")
    value, low, high = newcombe(gan, diffusion)
    n = min(gan[1], diffusion[1])
    verdict: Verdict = "inconclusive" if n < RUNS else judge(low, high, MARGIN)
    words = (
        f"{gan[0]} of {plural(gan[1], 'run')} of {name} failed, {diffusion[0]} of "
        f"{diffusion[1]} of diffusion"
    )
    return Part(f"against {name}", UNIT, verdict, value, low, high, MARGIN, n, RUNS, words)


def newcombe(first: Failures, second: Failures) -> tuple[float, float, float]:
    """Difference of two shares and equation (1): value, low, high.

    Raises:
        UsageError: a share of nothing, or more failures than runs.
    """
    (low1, high1), (low2, high2) = (wilson_interval(*pair) for pair in (first, second))
    p1, p2 = first[0] / first[1], second[0] / second[1]
    d = p1 - p2
    return (
        d,
        d - sqrt((p1 - low1) ** 2 + (high2 - p2) ** 2),
        d
        + sqrt(  # (1)
            (high1 - p1) ** 2 + (p2 - low2) ** 2
        ),
    )
