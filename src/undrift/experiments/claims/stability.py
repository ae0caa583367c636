"""Claim: runs of a GAN fail more often than those of a diffusion model.

Contrast: share of failed runs of the GAN less the diffusion model's. More means by more than 0.1,
over at least five runs of each; both were fixed before anything was measured. Exhibit: the table of
every run. With failed shares ``p1, p2`` and their Wilson intervals ``[l1, u1], [l2, u2]``, the
difference ``d = p1 - p2`` has the interval

    [d - sqrt((p1 - l1)^2 + (u2 - p2)^2),  d + sqrt((u1 - p1)^2 + (p2 - l2)^2)]                  (1)

Reference: Newcombe, "Interval estimation for the difference between independent proportions:
comparison of eleven methods" (1998), method 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

from undrift.experiments.claims.verdict import Finding, Verdict, combined, judge
from undrift.metrics.wilson import wilson_interval

NAME = "stability"
QUESTION = "Do runs of the GAN fail more often than those of the diffusion model?"
UNIT = "share of failed runs, GAN less diffusion"
MARGIN = 0.1
RUNS = 5

Failures = tuple[int, int]
"""Failed runs, and all runs."""


def stability(diffusion: Failures, gans: Mapping[str, Failures]) -> Finding:
    """The verdict from numbers of failed runs.

    The number is that of the GAN that comes nearest to contradicting the claim.

    Args:
        diffusion: failed and all runs.
        gans: name -> the same of each GAN.

    Raises:
        UsageError: more failures than runs.
    """
    if not gans or not diffusion[1] or not all(runs for _, runs in gans.values()):
        reason = "there are no runs of both families"
        return Finding(NAME, QUESTION, "inconclusive", None, None, None, UNIT, reason)
    effects = {name: newcombe(failures, diffusion) for name, failures in gans.items()}
    few = min(diffusion[1], *(runs for _, runs in gans.values())) < RUNS
    verdicts: list[Verdict] = [
        "inconclusive" if few else judge(low, high, MARGIN) for _, low, high in effects.values()
    ]
    name, (value, low, high) = min(effects.items(), key=lambda entry: entry[1][0])
    failed, runs = gans[name]
    reason = f"{failed} of {runs} runs of {name}, {diffusion[0]} of {diffusion[1]} of diffusion"
    if few:
        reason += f"; fewer than the {RUNS} runs that were fixed decide nothing"
    return Finding(NAME, QUESTION, combined(verdicts), value, low, high, UNIT, reason)


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
