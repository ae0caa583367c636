"""The probability-flow ODE's density against exact ones, on image tensors."""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracle.mutation import mutated

import undrift.likelihood.flow as flow_module
import undrift.likelihood.trace as trace_module
from undrift.diffusion import VE, Flow, GaussianMixture, VPCosine, VPLinear
from undrift.likelihood.span import Span
from undrift.likelihood.trace import ExactTrace, HutchinsonTrace
from undrift.randomness import generator

SHAPE = (2, 2, 1)
WIDE = VE(sigma_max=200.0)
SCHEDULES = (VPLinear(), VPCosine(), WIDE, Flow())
SPAN = Span(-10.0, 12.0)
F64 = torch.float64


def mixture() -> GaussianMixture:
    means = torch.tensor([[-1.2, 0.4, 0.9, -0.3], [0.8, -0.7, -1.0, 0.6], [0.1, 1.2, -0.2, -0.9]])
    return GaussianMixture(means.reshape(3, *SHAPE), [0.25, 0.4, 0.3], [0.5, 0.3, 0.2])


def points(law: GaussianMixture, n: int = 12) -> torch.Tensor:
    return law.sample(n, generator(0, "points"))


def exact(law: GaussianMixture, u: torch.Tensor, span: Span = SPAN) -> torch.Tensor:
    """Log-density of the data with the noise of the span's cleanest level."""
    level = WIDE(WIDE.time_at(span.high))
    return law.log_density(u, level)


def solved(
    law,
    u,
    schedule=WIDE,
    *,
    module=flow_module,
    trace=None,
    points=64,
    std=1.0,
    span=SPAN,
    **options,
):
    denoiser = law.denoiser(schedule)
    return module.flow_log_density(
        lambda x, t: denoiser(x, t),
        u,
        schedule=schedule,
        span=span,
        std=std,
        trace=trace or ExactTrace(math.prod(law.shape)),
        points=points,
        dtype=F64,
        **options,
    )


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.kind)
def test_a_mixture_within_a_fiftieth_of_a_nat_per_dimension(schedule):
    law = mixture()
    u = points(law)
    found = solved(law, u, schedule)
    error = (found.log_p - exact(law, u)).abs() / math.prod(SHAPE)
    assert found.evaluations == 252
    assert float(error.max()) < 0.02
    assert float(error.mean()) < 0.005


@pytest.mark.parametrize("std", [0.3, 1.0, 2.0])
def test_a_gaussian_of_any_width(std):
    law = GaussianMixture(torch.full((1, *SHAPE), 0.2), [std])
    u = points(law)
    # the prior N(0, S^2) is not quite the law at the noisiest level: what is left of it is e^-10
    error = (solved(law, u).log_p - exact(law, u)).abs() / math.prod(SHAPE)
    assert float(error.max()) < 2e-3


def test_standard_data_is_solved_exactly_by_any_number_of_points():
    law = GaussianMixture(torch.zeros((1, *SHAPE)), [1.0])
    u = points(law)
    found = solved(law, u, points=2).log_p
    torch.testing.assert_close(found, exact(law, u), rtol=1e-10, atol=1e-10)


def test_more_points_converge_and_dopri5_agrees():
    law = mixture()
    u = points(law, 4)
    fine = solved(law, u, points=400).log_p
    coarse = solved(law, u, points=48).log_p
    finer = solved(law, u, points=96).log_p
    assert float((finer - fine).abs().max()) < float((coarse - fine).abs().max()) / 8
    adaptive = solved(law, u, solver="dopri5", tolerance=1e-7).log_p
    torch.testing.assert_close(adaptive, fine, rtol=0, atol=1e-4)


def test_the_density_sums_to_one():
    law = GaussianMixture([-0.9, 0.7], [0.2, 0.35], [0.4, 0.6])
    u = torch.linspace(-3.5, 3.5, 1401, dtype=F64).reshape(-1, 1)
    one = GaussianMixture(law.means[:, None], law.stds, law.weights)
    log_p = solved(one, u, trace=ExactTrace(1)).log_p
    assert float(torch.trapezoid(log_p.exp(), u[:, 0])) == pytest.approx(1, abs=1e-3)


def probes(count: int, shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    uniform = torch.rand((count, *shape), generator=generator(seed, "probes"), dtype=F64)
    return torch.where(uniform < 0.5, -1.0, 1.0).double()


def test_hutchinson_is_unbiased():
    law = mixture()
    u = points(law, 1).expand(300, *SHAPE).contiguous()
    estimates = solved(law, u, points=24, trace=HutchinsonTrace(probes(1, u.shape))).log_p
    whole = solved(law, u[:1], points=24).log_p
    standard_error = estimates.std() / math.sqrt(len(u))
    assert float(standard_error) > 0.01, "the probes make no difference: nothing is tested"
    assert abs(float(estimates.mean() - whole)) < 4 * float(standard_error)


def test_the_trace_of_a_linear_map_and_the_variance_of_its_estimate():
    noise = generator(1, "matrix")
    matrix = torch.randn((9, 9), generator=noise, dtype=F64)
    x = torch.randn((4, 3, 3, 1), generator=noise, dtype=F64)

    def linear(point):
        return (point.flatten(1) @ matrix.T).reshape(point.shape)

    value, trace = ExactTrace(9)(linear, x)
    torch.testing.assert_close(value, linear(x))
    torch.testing.assert_close(trace, matrix.trace().expand(4))
    many = x[:1].expand(20_000, -1, -1, -1).contiguous()
    estimate = HutchinsonTrace(probes(1, many.shape))(linear, many)[1]
    symmetric = (matrix + matrix.T) / 2
    variance = 2 * float(symmetric.square().sum() - symmetric.diagonal().square().sum())
    assert float(estimate.var()) == pytest.approx(variance, rel=0.06)
    assert abs(float(estimate.mean() - matrix.trace())) < 4 * math.sqrt(variance / len(many))
    averaged = HutchinsonTrace(probes(4, many.shape))(linear, many)[1]
    assert float(averaged.var()) == pytest.approx(variance / 4, rel=0.06)


FLOW_MUTANTS = [
    ("kept - divergence  # (2)", "kept + divergence  # (2)"),
    ("self._dimensions * kept -", "kept -"),
    ("(kept * u - x0.double()) / deviation", "(u - x0.double()) / deviation"),
    ("(kept * u - x0.double()) / deviation", "(x0.double() - kept * u) / deviation"),
    ("- d * math.log(_deviation(first, std)) + integral", "+ integral"),
    (
        "- d * math.log(_deviation(first, std)) + integral",
        "- math.log(_deviation(first, std)) + integral",
    ),
    ("_deviation(first, std)) + integral", "_deviation(first, std)) - integral"),
    ("first, last = -span.high / 2, -span.low / 2", "first, last = -span.high, -span.low"),
    ("return self._denoise(alpha * point,", "return self._denoise(point,"),
    ("d1 + 2 * d2 + 2 * d3 + d4", "d1 + d2 + d3 + d4"),
    ("d * math.log(2 * math.pi)", "math.log(2 * math.pi)"),
]


@pytest.mark.parametrize(("old", "new"), FLOW_MUTANTS)
def test_mutants_of_the_density_are_noticed(old, new):
    law = mixture()
    u = points(law, 4)
    # noise of the size of the components, and another width than the data's: no factor is near 1
    options = {"points": 32, "std": 0.6, "span": Span(-10.0, 3.0)}
    wanted = exact(law, u, Span(-10.0, 3.0))
    right = solved(law, u, VPLinear(), **options)
    assert float((right.log_p - wanted).abs().max()) / math.prod(SHAPE) < 0.01
    found = solved(law, u, VPLinear(), module=mutated(flow_module, old, new), **options)
    error = (found.log_p - wanted).abs() / math.prod(SHAPE)
    assert not float(error.max()) < 0.02


def test_a_mutant_of_the_trace_is_noticed():
    mutant = mutated(trace_module, "(row * probe).flatten", "row.flatten")
    x = torch.ones((1, 4), dtype=F64)
    signs = torch.tensor([[[1.0, -1.0, 1.0, -1.0]]], dtype=F64)
    assert float(HutchinsonTrace(signs)(lambda p: 3 * p, x)[1]) == 12
    assert float(mutant.HutchinsonTrace(signs)(lambda p: 3 * p, x)[1]) != 12
