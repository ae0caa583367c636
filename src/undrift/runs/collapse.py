r"""When a run has failed: diverged, collapsed or not finite, by periodic evaluations of samples.

Evaluation k, after so many updates, has the Frechet distance :math:`F_k` of samples to validation
images with standard error :math:`s_k`, and the coverage with upper end :math:`h_k` of its 95 %
interval. With :math:`b = \arg\min_{j<k} F_j` the best evaluation before k, it is

.. math::

    \text{worse} &: F_k - F_b > \max\bigl(\tfrac12 F_b,\ 4\sqrt{s_k^2 + s_b^2}\bigr)     \quad (1)\\
    \text{bare}  &: h_k < 0.1, \text{ and } h_j \ge 0.1 \text{ for some } j < k
                    \text{ or more than half of the run is over}                     \quad (2)

and the run *diverged* after two evaluations in a row that are worse, *collapsed* after two that
are bare, and is *not finite* at once where samples or a distance are not. One such evaluation alone
is *suspect*; a run that comes back is *healthy* again. Of several, the first named in this order
counts: not finite, collapsed, diverged, suspect.

The distance's bias at so many samples is in both :math:`F_k` and :math:`F_b`. The half is there
for how far a healthy run varies between evaluations beyond what sampling explains, the standard
errors for sampling. Evaluations use the same latents every time, so their errors are correlated,
and (1) is stricter than it says. The rule does not depend on the method: a GAN and a diffusion
model are tested alike.

The literature has no definition of this: logs of published GANs end at more than 1.5 times their
best distance in a third of runs, and their reports give the best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["healthy", "suspect", "diverged", "collapsed", "not_finite"]

RISE = 0.5
"""Share of the best distance by which an evaluation is worse, at least."""

ERRORS = 4.0
"""Standard errors of the difference by which it is worse, at least."""

FLOOR = 0.1
"""Coverage below which an evaluation is bare."""

GRACE = 0.5
"""Share of the run within which a coverage that was never above the floor may stay below it."""


@dataclass(frozen=True)
class Evaluation:
    """Samples of a run, measured while it trains.

    Attributes:
        fraction: share of the run that was done.
        fd: Frechet distance; NaN if samples or distance were not finite.
        fd_low: lower end of its 95 % interval.
        fd_high: upper end.
        coverage: NaN as above; None where too few images were held out to measure it.
        coverage_high: upper end of its 95 % interval.
    """

    fraction: float
    fd: float
    fd_low: float
    fd_high: float
    coverage: float | None = None
    coverage_high: float | None = None

    @property
    def finite(self) -> bool:
        """Whether everything that was measured is."""
        known = (self.fd, self.fd_low, self.fd_high, self.coverage, self.coverage_high)
        return all(math.isfinite(value) for value in known if value is not None)


FAILED: tuple[State, ...] = ("diverged", "collapsed", "not_finite")
"""States of a run that has failed."""


def states(evaluations: Sequence[Evaluation]) -> list[State]:
    """The state after each of ``evaluations``, oldest first; it depends on those before only."""
    found: list[State] = []
    worse, bare = [False], [False]
    best: Evaluation | None = None
    covered = False
    for one in evaluations:
        if not one.finite:
            # What comes after it is compared with what was before it.
            found.append("not_finite")
            continue
        worse.append(best is not None and one.fd - best.fd > threshold(best, one))
        below = one.coverage_high is not None and one.coverage_high < FLOOR
        bare.append(below and (covered or one.fraction > GRACE))  # (2)
        if all(bare[-2:]):
            found.append("collapsed")
        elif all(worse[-2:]):
            found.append("diverged")
        else:
            found.append("suspect" if bare[-1] or worse[-1] else "healthy")
        covered = covered or (one.coverage_high is not None and not below)
        if best is None or one.fd < best.fd:
            best = one
    return found


def threshold(best: Evaluation, one: Evaluation) -> float:
    """Right-hand side of eq. (1): the rise above ``best`` from which ``one`` is worse."""
    # Half of a 95 % interval is 1.96 standard errors, on the side where the other one lies.
    error = math.hypot(one.fd - one.fd_low, best.fd_high - best.fd) / 1.96
    return max(RISE * best.fd, ERRORS * error)  # (1)


def sentence(evaluations: Sequence[Evaluation]) -> str:
    """The state after the last of ``evaluations`` in words; empty where the run is healthy."""
    state = states(evaluations)[-1] if evaluations else "healthy"
    last = evaluations[-1] if evaluations else None
    if last is None or state == "healthy":
        return ""
    if state == "not_finite":
        return "not finite: samples or their distance are no numbers any more"
    distances = [one.fd for one in evaluations if one.finite]
    rise = (
        f"FD {last.fd:.4g}, its best {min(distances):.4g}"
        + ("" if last.coverage is None else f", coverage {last.coverage:.2f}")
        + f" at {last.fraction:.0%} of the run"
    )
    words = {
        "diverged": "diverged: twice in a row far above its best",
        "collapsed": f"collapsed: coverage twice in a row below {FLOOR:g}",
        "suspect": "suspect: one evaluation that is far worse; a second in a row is a failure",
    }
    return f"{words[state]} ({rise})"
