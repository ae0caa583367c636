"""The detector fires on planted failures, stays silent on healthy noise, and is what it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.oracle.mutation import mutated

from undrift.runs import collapse
from undrift.runs.collapse import FAILED, Evaluation, sentence, states

EVALUATIONS = 20


def series(
    fd: list[float], error: float = 0.0, coverage: list[float] | None = None, halves: float = 1.96
) -> list[Evaluation]:
    """Looks at even spaces, with standard errors of ``error`` times the distance."""
    shares = coverage or [0.9] * len(fd)
    return [
        Evaluation(
            (k + 1) / len(fd), f, f * (1 - halves * error), f * (1 + halves * error), c, c + 0.02
        )
        for k, (f, c) in enumerate(zip(fd, shares, strict=True))
    ]


def test_the_rule_by_hand() -> None:
    """Best 2: the line is at 3, and two evaluations in a row have to be above it."""
    found = states(series([9, 4, 2, 3.0, 3.1, 2.9, 3.1, 3.2, 5, 2.5]))
    assert found == [
        "healthy", "healthy", "healthy", "healthy", "suspect", "healthy", "suspect", "diverged",
        "diverged", "healthy",
    ]  # fmt: skip


def test_a_rise_within_four_standard_errors_is_none() -> None:
    """At errors of 20 %: 4 sqrt((0.2 x 4)^2 + (0.2 x 2)^2) = 3.58 > 2 = 4 - 2."""
    assert states(series([2, 4, 4], error=0.2)) == ["healthy"] * 3
    assert states(series([2, 4, 4], error=0.05))[-1] == "diverged"
    assert states(series([2, 7, 7], error=0.1))[-1] == "diverged"


def test_coverage_below_the_floor() -> None:
    """After it was above, at once; if it never was, in the second half of the run."""
    fd = [5.0] * 10
    lost = states(series(fd, coverage=[0.0, 0.5, 0.05, 0.05, 0.5, 0.05, 0.05, 0.05, 0.5, 0.5]))
    assert lost[:6] == ["healthy", "healthy", "suspect", "collapsed", "healthy", "suspect"]
    never = states(series(fd, coverage=[0.0] * 10))
    assert never == ["healthy"] * 5 + ["suspect"] + ["collapsed"] * 4


def test_a_coverage_that_cannot_be_had_is_no_collapse() -> None:
    evaluations = [Evaluation(k / 4, 1.0, 0.9, 1.1) for k in range(1, 5)]
    assert states(evaluations) == ["healthy"] * 4


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_a_planted_nan_is_seen_at_once(broken: float) -> None:
    evaluations = series([5, 3, 2, 2, 2])
    evaluations[3] = Evaluation(0.8, broken, broken, broken)
    assert states(evaluations) == ["healthy"] * 3 + ["not_finite", "healthy"]
    assert "not finite" in sentence(evaluations[:4])
    evaluations[3] = Evaluation(0.8, 2.0, 1.9, 2.1, math.nan, math.nan)
    assert states(evaluations)[3] == "not_finite"


def test_a_nan_between_two_bad_looks_hides_neither() -> None:
    evaluations = series([2, 2, 4, 4])
    evaluations.insert(3, Evaluation(0.8, math.nan, math.nan, math.nan))
    assert states(evaluations) == ["healthy", "healthy", "suspect", "not_finite", "diverged"]


def test_each_state_depends_on_the_past_only() -> None:
    fd = list(np.random.default_rng(0).lognormal(1, 0.6, EVALUATIONS))
    whole = states(series(fd))
    assert [states(series(fd)[: k + 1])[-1] for k in range(EVALUATIONS)] == whole
    assert "diverged" in whole


def learning(draws: np.random.Generator, wander: float, error: float = 0.05) -> list[Evaluation]:
    """A healthy run: a power law down to 1, varying between evaluations, measured with noise."""
    k = np.arange(1, EVALUATIONS + 1)
    truth = (1 + 30 * k**-2.0) * np.exp(wander * draws.standard_normal(EVALUATIONS))
    measured = truth * (1 + error * draws.standard_normal(EVALUATIONS))
    coverage = np.clip(0.95 - k**-1.5 + 0.02 * draws.standard_normal(EVALUATIONS), 0, 1)
    return series(list(measured), error, list(coverage))


RUNS = 8000


def alarms(wander: float, runs: int = RUNS, rule=states) -> float:
    """Share of healthy runs of 20 evaluations in which the detector ever says failed."""
    draws = np.random.default_rng(1)
    fired = [any(s in FAILED for s in rule(learning(draws, wander))) for _ in range(runs)]
    return float(np.mean(fired))


@pytest.mark.parametrize(
    ("wander", "share"),
    [(0.0, 0.0), (0.05, 0.0), (0.08, 0.001), (0.10, 0.005), (0.12, 0.02), (0.15, 0.09)],
)
def test_false_alarms_on_healthy_series(wander: float, share: float) -> None:
    """The table of docs/how-to/gan.md, within 4 standard errors.

    Sampling errors of 5 % alone never fire. What costs is a run that really wanders, independently
    from evaluation to evaluation.
    """
    assert abs(alarms(wander) - share) <= 4 * math.sqrt(share * (1 - share) / RUNS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RISE * best.fd, ERRORS * error", "0.0, ERRORS * error"),
        ("all(worse[-2:])", "worse[-1]"),
    ],
)
def test_a_rule_with_a_part_left_out_alarms_falsely(old: str, new: str) -> None:
    assert alarms(0.10, 500, mutated(collapse, old, new).states) > 0.03


def collapsing(draws: np.random.Generator) -> list[Evaluation]:
    """A run that fails at its twelfth evaluation: the distance then grows by 40 % each time."""
    healthy = learning(draws, 0.05)
    after = np.maximum(0, np.arange(EVALUATIONS) - 11)
    fd = [evaluation.fd * 1.4**n for evaluation, n in zip(healthy, after, strict=True)]
    shares = [
        (evaluation.coverage or 0) * 0.6**n for evaluation, n in zip(healthy, after, strict=True)
    ]
    return series(fd, 0.05, shares)


def test_a_planted_collapse_is_seen_within_five_looks() -> None:
    draws = np.random.default_rng(2)
    for _ in range(500):
        found = states(collapsing(draws))
        assert not any(state in FAILED for state in found[:12])
        assert any(state in FAILED for state in found[12:17]) and found[-1] in FAILED


def test_the_sentence_has_the_figures() -> None:
    assert sentence([]) == "" and sentence(series([3, 2])) == ""
    assert sentence(series([2, 4])).startswith("suspect")
    told = sentence(series([2, 4, 4.5]))
    assert told.startswith("diverged") and "FD 4.5, its best 2, coverage 0.90 at 100%" in told
    assert sentence(series([2] * 4, coverage=[0.9, 0.9, 0.01, 0.01])).startswith("collapsed")


def test_twenty_silent_runs_bound_false_alarms_at_14_per_cent() -> None:
    """What 0 of 20 supports: the largest rate at which that still happens in 5 % of cases."""
    assert 1 - 0.05 ** (1 / 20) == pytest.approx(0.139, abs=5e-4)
