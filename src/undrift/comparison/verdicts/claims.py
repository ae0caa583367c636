r"""The six claims about diffusion models and GANs: contrasts, margins and numbers of seeds.

All were fixed before anything was measured, unless a claim says otherwise.

**Stability.** Share of failed runs of the GAN less the diffusion model's, over seeds and the same
multiples of each method's own learning rate. 35 runs of each: seven seeds at five rates, since of
fewer runs none of which fails the interval (1) is wider than the margin, so that no difference
could never be found (the first studies needed 5, later ones 25). A run fails that diverges,
or whose periodic evaluations say diverged, collapsed or not finite, by one rule for all methods
(`undrift.runs.collapse`); one that was lost to something else counts neither way. With failed
shares ``p1, p2`` and their Wilson intervals ``[l1, u1], [l2, u2]``, the difference ``d = p1 - p2``
has the interval, over runs taken as independent, though those of one seed begin alike,

    [d - sqrt((p1 - l1)^2 + (u2 - p2)^2),  d + sqrt((u1 - p1)^2 + (p2 - l2)^2)]                  (1)

**Coverage.** The share that the diffusion model covers less the GAN's, within each seed, at the
same cost: of held-out images, the modes of rings and grids of Gaussians, the thousand classes of
stacked digits, the rare classes of long-tailed data. Of stacked digits, whose runs are long, three
seeds are enough: a number of after the first study, which had three and could decide nothing by
them.

**Scaling.** With :math:`E(P)` the Frechet distance above that of real images at size :math:`P`, a
run of each size gives one slope per seed by least squares,

.. math:: \log E(P) = a - b \log_2 P,                                                      \quad (2)

so that the distance falls by the share :math:`1 - e^{-b}` with every doubling. Contrast:
:math:`b` of the diffusion model less the GAN's, within each seed. The same of images seen.

**Control.** Two contrasts, each within a seed: the share of samples that a classifier takes for the
requested class, at equal seconds and at equal images; and, for unconditional models, the fidelity
of inpainted halves of held-out images (peak signal to noise ratio of the hidden pixels) when the
diffusion model samples them and the GAN is inverted for the same time. That is of the mean of four
completions, since one that is drawn from the posterior lies 3 dB below the mean, which a blurred
guess attains. The second of the equals came later: the first studies had equal seconds alone.

**Likelihood.** Bits per dimension of held-out images under the best model without a network (pixel
histograms) less those under the diffusion model, by its variational bound and by its ODE, seed by
seed. A condition is that it has not memorized its images: bits of held-out images less those of as
many training images are below 0.2. Every GAN is called too; its error stands in the report.

**Inference.** For each seed, take the fewest steps, of those tried from 1 up, at which the
diffusion model's Frechet distance is no worse than the GAN's, and :math:`r` = its time per image
there, in batches, over the GAN's. Both were trained for equal seconds, or on equally many images.
Contrast: the geometric mean of :math:`r` over seeds,

.. math:: \exp\bigl(\overline{\log r} \pm t_{0.975, n-1}\, s / \sqrt n\bigr);              \quad (3)

below ten times supports the claim. A diffusion model that does not reach the GAN's distance at any
number of steps has no :math:`r`. Where none of the seeds reaches it, the claim is not supported
against that GAN; where some do and others do not there is no mean, and it is inconclusive.

Reference for (1): Newcombe, "Interval estimation for the difference between independent
proportions: comparison of eleven methods" (1998), method 10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, log, log2, sqrt

from undrift.comparison.verdicts.contrasts import Claim, Values
from undrift.comparison.verdicts.margin import MARGINS
from undrift.comparison.verdicts.verdict import verdict_of
from undrift.metrics.bounded import ANY, SHARE
from undrift.metrics.seeds import over_seeds, paired_over_seeds
from undrift.metrics.wilson import wilson_interval
from undrift.results.verdict import ClaimResult, Contrast, Verdict
from undrift.wording import plural

STABILITY = Claim(
    "stability",
    "Do runs of the GAN fail more often than those of the diffusion model?",
    "share of failed runs, GAN less diffusion",
    margin=0.1,
    needed=35,
    lacking="there are no runs of a GAN",
)
"""Runs of a GAN fail more often."""
COVERAGE = Claim(
    "coverage",
    "Does the diffusion model cover more of the data than the GAN?",
    "share covered, diffusion less GAN",
    margin=MARGINS["coverage"].of(0.0),
    needed=5,
    lacking="no runs of both families were measured",
    within=SHARE,
)
"""A diffusion model covers more of the data."""
SCALING = Claim(
    "scaling",
    "Does the diffusion model gain more from size and from images than the GAN?",
    "fall of log distance per doubling, diffusion less GAN",
    margin=0.05,
    needed=3,
    lacking="no two sizes of both families were measured",
)
"""A diffusion model gains more from size and from images."""
CONTROL = Claim(
    "control",
    "Does the diffusion model follow labels and known pixels better than the GAN?",
    "label accuracy, diffusion less GAN",
    margin=0.02,
    needed=3,
    lacking="neither label accuracy nor masked halves were measured",
    within=SHARE,
)
"""A diffusion model follows labels and known pixels better."""
LIKELIHOOD = Claim(
    "likelihood",
    "Does the diffusion model give held-out images a useful likelihood?",
    "bits per dimension saved",
    margin=0.05,
    needed=3,
    lacking="no likelihood was measured",
)
"""A diffusion model has a useful likelihood."""
INFERENCE = Claim(
    "inference",
    "Does the diffusion model reach the GAN's quality within ten times its time?",
    "times the GAN's time per image, at the GAN's distance",
    margin=10.0,
    needed=3,
    lacking="no speeds of both families were measured",
)
"""A diffusion model reaches a GAN's quality within ten times its time."""

STACKED_SEEDS = 3
"""Seeds that are enough for stacked digits."""

_FILLING = replace(CONTROL, unit="dB on hidden pixels, diffusion less GAN", margin=0.5, within=ANY)
_MEMORIZED = replace(LIKELIHOOD, unit="bits per dimension", margin=0.2)
"""Contrasts with a unit of their own."""

LEAST = 0.05
"""Share of real images' own distance that a distance above it counts as at least: near the floor a
logarithm would be all noise."""

Failures = tuple[int, int]
"""Failed runs, and all runs."""


def stability(diffusion: Failures, gans: Mapping[str, Failures]) -> ClaimResult:
    """The verdict on `STABILITY`.

    Args:
        diffusion: failed and all runs.
        gans: name -> the same of each GAN.

    Raises:
        UsageError: more failures than runs.
    """
    return STABILITY.result([_failing(name, counts, diffusion) for name, counts in gans.items()])


def _failing(name: str, gan: Failures, diffusion: Failures) -> Contrast:
    if not gan[1] or not diffusion[1]:
        return STABILITY.absent(name, "there are no runs of both families")
    value, low, high = newcombe(gan, diffusion)
    n, needed, margin = min(gan[1], diffusion[1]), STABILITY.needed, STABILITY.margin
    verdict: Verdict = "inconclusive" if n < needed else verdict_of(low, high, margin)
    words = (
        f"{gan[0]} of {plural(gan[1], 'run')} of {name} failed, {diffusion[0]} of "
        f"{diffusion[1]} of diffusion"
    )
    unit = STABILITY.unit
    return Contrast(f"against {name}", unit, verdict, value, low, high, margin, n, needed, words)


def newcombe(first: Failures, second: Failures) -> tuple[float, float, float]:
    """Difference of two shares and equation (1): value, low, high.

    Raises:
        UsageError: a share of nothing, or more failures than runs.
    """
    (low1, high1), (low2, high2) = (wilson_interval(*pair) for pair in (first, second))
    p1, p2 = first[0] / first[1], second[0] / second[1]
    d = p1 - p2
    below = sqrt((p1 - low1) ** 2 + (high2 - p2) ** 2)  # (1)
    above = sqrt((high1 - p1) ** 2 + (p2 - low2) ** 2)  # (1)
    return d, d - below, d + above


@dataclass(frozen=True)
class Covered:
    """Shares that were covered of something.

    Attributes:
        diffusion: seed -> share that the diffusion model covers.
        gans: the same of each GAN, by name.
        needed: seeds; fewer are inconclusive.
    """

    diffusion: Values
    gans: Mapping[str, Values]
    needed: int = COVERAGE.needed


def coverage(covered: Mapping[str, Covered]) -> ClaimResult:
    """The verdict on `COVERAGE`.

    Args:
        covered: what is covered -> how much of it each method covers.
    """
    return COVERAGE.result(
        [
            replace(COVERAGE, needed=one.needed).paired(
                f"{name}, against {gan}", one.diffusion, values
            )
            for name, one in covered.items()
            for gan, values in one.gans.items()
        ]
    )


def scaling(
    diffusion: Mapping[str, Values], gans: Mapping[str, Values], along: str
) -> list[Contrast]:
    """Contrasts of `SCALING`: each diffusion network against each GAN.

    Args:
        diffusion: network -> slopes by seed.
        gans: the same of each GAN.
        along: what grows: "parameters" or "images seen".
    """
    return [
        SCALING.paired(f"{ours} against {gan}, {along}", slopes, others)
        for ours, slopes in diffusion.items()
        for gan, others in gans.items()
    ]


def slope(points: Sequence[tuple[float, float]], floor: float) -> float | None:
    """Equation (2)'s b by least squares; None of fewer than two sizes.

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
    return -sum((x - middle) * y for x, y in known) / spread  # (2)


Sides = tuple[Values, Mapping[str, Values]]
"""Numbers by seed of the diffusion model, and of each GAN by name."""


def control(accuracy: Mapping[str, Sides], filling: Sides) -> ClaimResult:
    """The verdict on `CONTROL`.

    Args:
        accuracy: what is equal -> label accuracy.
        filling: decibels on the hidden pixels of inpainted images.
    """
    ours, others = filling
    return CONTROL.result(
        [
            CONTROL.paired(f"classes at equal {equal}, against {gan}", diffusion, values)
            for equal, (diffusion, gans) in accuracy.items()
            for gan, values in gans.items()
        ]
        + [
            _FILLING.paired(
                f"masked halves, against {gan} inverted for the same time", ours, values
            )
            for gan, values in others.items()
        ]
    )


def likelihood(
    baseline: Values, methods: Mapping[str, Values], training: Mapping[str, Values]
) -> ClaimResult:
    """The verdict on `LIKELIHOOD`.

    Args:
        baseline: seed -> bits of held-out images under the model without a network.
        methods: "bound" and "ODE" -> bits of the same images under the diffusion model.
        training: the same of training images.
    """
    saved = [
        LIKELIHOOD.paired(f"{name}, against pixel histograms", baseline, bits)
        for name, bits in methods.items()
    ]
    gaps = [_gap(name, bits, training[name]) for name, bits in methods.items() if name in training]
    return LIKELIHOOD.result(saved + gaps)


def _gap(name: str, held_out: Values, training: Values) -> Contrast:
    """Bits of held-out images less those of training images, to stay below the margin."""
    words, margin, needed = (
        f"{name}, held-out less training images",
        _MEMORIZED.margin,
        _MEMORIZED.needed,
    )
    gap = paired_over_seeds(held_out, training)
    if gap is None:
        return _MEMORIZED.absent(words, "both are known for no seed")
    verdict: Verdict = "inconclusive"
    if gap.n >= needed and gap.low is not None and gap.high is not None:
        verdict = verdict_of(margin - gap.high, margin - gap.low, 0.0)
    numbers = (gap.value, gap.low, gap.high, margin, gap.n, needed)
    return Contrast(words, _MEMORIZED.unit, verdict, *numbers, less=True, condition=True)


def inference(ratios: Mapping[str, Mapping[int, float | None]]) -> ClaimResult:
    """The verdict on `INFERENCE`.

    Args:
        ratios: contrast -> seed -> r; None where no number of steps reaches the GAN's distance.
    """
    return INFERENCE.result([_ratio(name, by_seed) for name, by_seed in ratios.items()])


def _ratio(name: str, by_seed: Mapping[int, float | None]) -> Contrast:
    unit, limit, needed = INFERENCE.unit, INFERENCE.margin, INFERENCE.needed
    reached = {seed: log(r) for seed, r in by_seed.items() if r is not None}
    never, n = len(by_seed) - len(reached), len(by_seed)
    mean = over_seeds(reached)
    verdict: Verdict = "inconclusive"
    if never:
        verdict = "inconclusive" if reached or n < needed else "not supported"
        note = f"the GAN's distance was never reached with {never} of {plural(n, 'seed')}"
        return Contrast(name, unit, verdict, None, None, None, limit, n, needed, note, less=True)
    if mean is None:
        return INFERENCE.absent(name, "its speed was not measured")
    value, low, high = (
        None if x is None else exp(x)  # (3)
        for x in (mean.value, mean.low, mean.high)
    )
    if n >= needed and low is not None and high is not None:
        verdict = verdict_of(log(limit / high), log(limit / low), 0.0)
    return Contrast(name, unit, verdict, value, low, high, limit, n, needed, less=True)
