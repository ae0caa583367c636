r"""Claim: slow sampling is cured: a diffusion model comes near a GAN's speed at a GAN's quality.

For each seed, take the fewest steps, of those tried from 1 up, at which the diffusion model's
Frechet distance is no worse than the GAN's, and :math:`r` = its time per image there, in batches,
over the GAN's. Both were trained for equal seconds, or on equally many images.
Contrast: the geometric mean of :math:`r` over seeds,

.. math:: \exp\bigl(\overline{\log r} \pm t_{0.975, n-1}\, s / \sqrt n\bigr);              \quad (1)

cured means below ten times, over at least three seeds; both were fixed before anything was
measured. A diffusion model that does not reach the GAN's distance at any number of steps has no
:math:`r`. Where none of the seeds reaches it, the claim is not supported against that GAN; where
some do and others do not there is no mean, and it is open. Exhibits: distance and coverage
against evaluations and against milliseconds, alone and in batches, and the memory each takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log

from undrift.comparison.verdicts.finding import Finding, found
from undrift.comparison.verdicts.part import Part, absent
from undrift.comparison.verdicts.verdict import Verdict, judge
from undrift.metrics.seeds import over_seeds
from undrift.wording import plural

NAME = "inference"
QUESTION = "Does the diffusion model reach the GAN's quality within ten times its time?"
UNIT = "times the GAN's time per image, at the GAN's distance"
LIMIT = 10.0
SEEDS = 3


def inference(ratios: Mapping[str, Mapping[int, float | None]]) -> Finding:
    """The verdict.

    Args:
        ratios: contrast -> seed -> r; None where the GAN's distance was reached by no number of
            steps.
    """
    parts = [_part(name, by_seed) for name, by_seed in ratios.items()]
    return found(NAME, QUESTION, UNIT, parts, "no speeds of both families were measured")


def _part(name: str, by_seed: Mapping[int, float | None]) -> Part:
    reached = {seed: log(r) for seed, r in by_seed.items() if r is not None}
    never, n = len(by_seed) - len(reached), len(by_seed)
    mean = over_seeds(reached)
    if never:
        lost: Verdict = "inconclusive" if reached or n < SEEDS else "not supported"
        note = f"the GAN's distance was never reached with {never} of {plural(n, 'seed')}"
        return Part(name, UNIT, lost, None, None, None, LIMIT, n, SEEDS, note, less=True)
    if mean is None:
        return absent(name, UNIT, LIMIT, SEEDS, "its speed was not measured")
    value, low, high = (
        None if x is None else exp(x)  # (1)
        for x in (mean.value, mean.low, mean.high)
    )
    verdict: Verdict = "inconclusive"
    if n >= SEEDS and low is not None and high is not None:
        verdict = judge(log(LIMIT / high), log(LIMIT / low), 0.0)
    return Part(name, UNIT, verdict, value, low, high, LIMIT, n, SEEDS, less=True)
