r"""Claim: slow sampling is cured: a diffusion model comes near a GAN's speed at a GAN's quality.

For each seed, take the fewest evaluations at which the diffusion model's Frechet distance is no
worse than the GAN's, and :math:`r` = its time per image there, in batches, over the GAN's.
Contrast: the geometric mean of :math:`r` over seeds,

.. math:: \exp\bigl(\overline{\log r} \pm t_{0.975, n-1}\, s / \sqrt n\bigr);              \quad (1)

cured means below ten times, over at least three seeds; both were fixed before anything was
measured. A diffusion model that does not reach the GAN's distance at any number of evaluations has
no :math:`r`, and the claim is not supported against that GAN. Exhibits: distance and coverage
against evaluations and against milliseconds, alone and in batches, and the memory each takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log

from undrift.experiments.claims.finding import Finding, found
from undrift.experiments.claims.part import Part, absent
from undrift.experiments.claims.seeds import over_seeds
from undrift.experiments.claims.verdict import Verdict, judge

NAME = "inference"
QUESTION = "Does the diffusion model reach the GAN's quality within ten times its time?"
UNIT = "times the GAN's time per image, at the GAN's distance"
LIMIT = 10.0
SEEDS = 3


def inference(ratios: Mapping[str, Mapping[int, float | None]]) -> Finding:
    """The verdict.

    Args:
        ratios: GAN -> seed -> r; None where the GAN's distance was reached by no number of
            evaluations.
    """
    parts = [_part(f"against {gan}", by_seed) for gan, by_seed in ratios.items()]
    return found(NAME, QUESTION, UNIT, parts, "no speeds of both families were measured")


def _part(name: str, by_seed: Mapping[int, float | None]) -> Part:
    reached = {seed: log(r) for seed, r in by_seed.items() if r is not None}
    never = len(by_seed) - len(reached)
    mean = over_seeds(reached)
    if mean is None and not never:
        return absent(name, UNIT, LIMIT, SEEDS, "its speed was not measured")
    note = f"never reached with {never} of {len(by_seed)} seeds" if never else ""
    value, low, high = (
        None if x is None else exp(x)  # (1)
        for x in ((mean.value, mean.low, mean.high) if mean else (None, None, None))
    )
    n = len(by_seed)
    verdict: Verdict = "inconclusive"
    if n >= SEEDS and never:
        verdict = "not supported"
    elif n >= SEEDS and low is not None and high is not None:
        verdict = judge(log(LIMIT / high), log(LIMIT / low), 0.0)
    return Part(name, UNIT, verdict, value, low, high, LIMIT, n, SEEDS, note, less=True)
