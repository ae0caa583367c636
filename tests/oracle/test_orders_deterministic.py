"""Deterministic solvers converge at the orders they declare, and a mutant of any of them does not.

Rules that interpolate in the log-SNR or in sigma / alpha claim their order on grids that are short
in it: it is measured there, on steps of alternating lengths, with exact states for a history, and
as they start by themselves. All of them are measured from alpha = 0 as well, where such steps are
long at first and what they keep is the second order.
"""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracle import order
from tests.oracle.mutation import mutated

from undrift.diffusion import VE, Flow, Prediction, VPCosine, VPLinear
from undrift.sampling.solvers import (
    DEIS,
    DPM2,
    IPNDM,
    LMS,
    DEISLogRho,
    DPMpp2M,
    DPMpp2S,
    DPMpp3M,
    DPMpp3MKD,
    HeunEDM,
    UniPC2,
    UniPC3,
    deis,
    dpm_2,
    dpmpp_2s,
    dpmpp_3m,
    heun,
    lms,
    multistep,
    quadrature,
    unipc,
)
from undrift.sampling.solvers.multistep import History
from undrift.sampling.solvers.point import Point

MARGIN = 0.2
ONE_STEP = [HeunEDM(), DPM2(), DPMpp2S()]
MULTISTEP = [
    DPMpp3M(),
    DPMpp3MKD(),
    UniPC2("bh2"),
    UniPC2("bh1"),
    UniPC3("bh2"),
    UniPC3("bh1"),
    DEIS(),
    DEISLogRho(),
    LMS(),
]
KNOWN_LOW = [DPMpp3MKD(), IPNDM()]
"""Rules whose low order is a finding: they are held to it from above as well."""


@pytest.mark.parametrize("solver", [*ONE_STEP, *MULTISTEP], ids=repr)
def test_order_of_the_rule_itself(solver):
    """On rough grids: a rule that takes a step's length for its neighbour's is found out."""
    assert order.measured(solver, VPLinear(), rough=True, history=3) > solver.order - MARGIN


@pytest.mark.parametrize("solver", [*ONE_STEP, *MULTISTEP, IPNDM()], ids=repr)
def test_order_as_started(solver):
    measured = order.measured(solver, VE())
    assert measured > solver.order_as_started - MARGIN
    if solver.order_as_started < solver.order:
        assert measured < solver.order - 3 * MARGIN  # its start does cost an order


@pytest.mark.parametrize("solver", KNOWN_LOW, ids=repr)
def test_low_orders_are_as_low_as_declared(solver):
    """Half the curvature in 3M, and the coefficients of equal steps in iPNDM, cost orders."""
    measured = order.measured(solver, VPLinear(), history=3)
    assert solver.order - MARGIN < measured < solver.order + 2 * MARGIN


def test_ipndm_is_of_first_order_on_steps_that_jump():
    assert 1 - MARGIN < order.measured(IPNDM(), VE(), rough=True, history=3) < 1 + MARGIN


@pytest.mark.parametrize("schedule", [Flow(), VPCosine()], ids=order.kind)
def test_tab3_keeps_its_order_from_pure_noise(schedule):
    measured = order.measured(DEIS(), schedule, order.grid, rough=True, history=3)
    assert measured > DEIS.order - MARGIN


@pytest.mark.parametrize("schedule", [Flow(), VPCosine()], ids=order.kind)
@pytest.mark.parametrize("solver", [*ONE_STEP, *MULTISTEP, IPNDM()], ids=repr)
def test_second_order_from_pure_noise(solver, schedule):
    """Up to a logarithm of the number of steps, which takes up to a third of an order off here."""
    assert order.measured(solver, schedule, order.grid, steps=(32, 128)) > 1.6


def test_unipc_keeps_more_from_pure_noise():
    assert order.measured(UniPC2(), Flow(), order.grid) > 3 - MARGIN


def of_multistep(module, rule):
    """LMS or DPM-Solver++(3M) on a mutant of its base class."""
    base = {LMS: "NoiseMultistep", DPMpp3M: "DataMultistep"}[rule]
    parts = {name: vars(rule)[name] for name in ("terms", "weights")}
    return type("Mutant", (getattr(module, base),), {**parts, "curvature": 1.0})


MUTANTS = [
    (heun, "HeunEDM", "landed.epsilon - prediction.epsilon", "landed.epsilon + prediction.epsilon"),
    (heun, "HeunEDM", "- level_s.alpha * level_t.ratio", "- level_t.alpha * level_t.ratio"),
    (heun, "HeunEDM", "length / 2 * turn", "length * turn"),
    (heun, "HeunEDM", "length = level_s.sigma -", "length = level_t.sigma -"),
    (dpm_2, "DPM2", "level_t.log_snr + level_s.log_snr) / 2", "level_t.log_snr)"),
    (dpm_2, "DPM2", "carry(x, x0, level_t, level_m)", "carry(x, x0, level_t, level_s)"),
    (dpm_2, "DPM2", "denoise(x_m, level_m.t)", "denoise(x_m, level_t.t)"),
    (dpm_2, "DPM2", "torch.sub(x, x0", "torch.add(x, x0"),
    (
        dpm_2,
        "DPM2",
        "ahead, alpha=point_m.alpha) / point_m",
        "ahead, alpha=point_m.alpha) / point_s",
    ),
    (dpm_2, "DPM2", "ahead, alpha=point_m.alpha", "ahead, alpha=point_s.alpha"),
    (dpm_2, "DPM2", "torch.add(x0, noise_t", "torch.add(ahead, noise_t"),
    (dpm_2, "DPM2", "point_s.ratio - point_t.ratio", "point_t.ratio - point_s.ratio"),
    (dpm_2, "DPM2", "return point_s.alpha * x_s", "return point_t.alpha * x_s"),
    (dpmpp_2s, "DPMpp2S", "prediction.x0, level_t, level_m", "prediction.x0, level_t, level_s"),
    (dpmpp_2s, "DPMpp2S", "denoise(x_m, level_m.t)", "denoise(x_m, level_s.t)"),
    (dpmpp_2s, "DPMpp2S", "carry(x, ahead.x0, level_t", "carry(x_m, ahead.x0, level_t"),
    (dpmpp_2s, "DPMpp2S", "carry(x, ahead.x0,", "carry(x, prediction.x0,"),
    (dpmpp_3m, "DPMpp3M", "1 - gain / q", "1 + gain / q"),
    (dpmpp_3m, "DPMpp3M", "1 - gain / q", "1 - gain / h**2"),
    (dpmpp_3m, "DPMpp3M", "curvature: ClassVar[float] = 1.0", "curvature: ClassVar[float] = 0.5"),
    (dpmpp_3m, "DPMpp3M", "(1 - 2 * phi / q)", "(1 + 2 * phi / q)"),
    (dpmpp_3m, "DPMpp3M", "(r_1 * phi + psi)", "(r_1 * phi - psi)"),
    (dpmpp_3m, "DPMpp3M", "(r_1 * phi + psi)", "(r_2 * phi + psi)"),
    (dpmpp_3m, "DPMpp3M", "/ (r_1 + r_2)  #", "/ (r_1 - 3 * r_2)  #"),
    (dpmpp_3m, "DPMpp3M", "-slope / r_1 - bend / r_2, bend", "bend / r_2, -slope / r_1 - bend"),
    (dpmpp_3m, "DPMpp3M", "known[0] - known[1]) / h", "known[1] - known[2]) / h"),
    (dpmpp_3m, "DPMpp3M", "r_2 = (known[1] - known[2])", "r_2 = (known[0] - known[2])"),
    (unipc, "UniPC2", "alpha * newest", "alpha * -newest"),
    (unipc, "UniPC2", "corrected - weight", "corrected + weight"),
    (unipc, "UniPC2", "corrected - weight", "weight - corrected"),
    (unipc, "UniPC2", "return [gain + slope, -slope]", "return [gain - slope, slope]"),
    (unipc, "UniPC2", "point_t.alpha * (corrected", "0.9 * (corrected"),
    (unipc, "UniPC2", "self._b(h) / (2 * r_1)", "self._b(h) * r_1 / 2"),
    (unipc, "UniPC2", "-math.expm1(-h)", "math.expm1(-h)"),
    (unipc, "UniPC2", "(point_s, *points)", "(*points, point_s)"),
    (unipc, "UniPC3", "math.exp(place - point_s", "math.exp(point_s.half_log_snr - point_s"),
    (unipc, "UniPC3", "(point_t.half_log_snr, point_s", "(-point_t.half_log_snr, point_s"),
    (unipc, "UniPC3", "if len(points) > 2:", "if len(points) > 3:"),
    (unipc, "UniPC3", "terms: ClassVar[int] = 3", "terms: ClassVar[int] = 2"),
    (deis, "DEIS", "-2 * torch", "-torch"),
    (deis, "DEIS", "mass * math.exp(place)", "mass * math.exp(-place)"),
    (deis, "DEIS", "legendre(-point_t.half_log_snr, -p", "legendre(-point_t.half_log_snr, -2 * p"),
    (deis, "DEISLogRho", "[-point.half_log_snr for", "[point.half_log_snr for"),
    (deis, "DEISLogRho", "_along(points[0], point_s))", "_along(point_s, points[0]))"),
    (lms, "LMS", "legendre(nodes[0], point_s.ratio,", "legendre(point_s.ratio, nodes[0],"),
    (lms, "LMS", "legendre(nodes[0], point_s", "legendre(nodes[-1], point_s"),
    (lms, "LMS", "[point.ratio for", "[point.sigma for"),
    (multistep, LMS, "(x, prediction.x0, alpha=point_t", "(x, prediction.x0, alpha=point_s"),
    (multistep, LMS, "torch.sub(x,", "torch.add(x,"),
    (multistep, LMS, ".alpha) / point_t.sigma", ".alpha) / point_s.sigma"),
    (multistep, LMS, "(noise, *memory.values)", "(noise, *memory.values[::-1])"),
    (multistep, LMS, "point_t.ratio + newest", "point_s.ratio + newest"),
    (multistep, LMS, "point_t.ratio + newest", "point_t.ratio - newest"),
    (multistep, LMS, "point_s.alpha * prediction.x0", "point_t.alpha * prediction.x0"),
    (multistep, LMS, "alpha=point_s.alpha * weight", "alpha=point_t.alpha * weight"),
    (multistep, LMS, "History(noises, points", "History((), ()"),
    (multistep, DPMpp3M, "alpha=float(kept.alpha)", "alpha=float(level_t.alpha)"),
    (multistep, DPMpp3M, "x0, *memory.values[:known])", "x0, *memory.values[:known][::-1])"),
    (multistep, DPMpp3M, "(prediction.x0, *memory", "(x, *memory"),
    (multistep, DPMpp3M, "(point_t, *memory.points[:known])", "(point_s, *memory.points[:known])"),
    (multistep, DPMpp3M, "History(data, points, memory.schedule, weights)", "memory"),
    (multistep, DPMpp3M, "/ float(level_t.sigma)) * x", "/ float(kept.sigma)) * x"),
    (multistep, DPMpp3M, "-math.expm1(-q)", "math.expm1(-q)"),
    (multistep, DPMpp3M, "-math.expm1(-q)", "-math.expm1(q)"),
    (multistep, DPMpp3M, "- points[0].half_log_snr", "- points[-1].half_log_snr"),
]


@pytest.mark.parametrize(("module", "name", "old", "new"), MUTANTS, ids=lambda v: str(v)[-40:])
def test_mutants_lose_their_order(module, name, old, new):
    mutant = mutated(module, old, new)
    shared = not isinstance(name, str)
    rule = of_multistep(mutant, name)() if shared else getattr(mutant, name)()
    wanted = name.order if shared else getattr(module, name).order
    try:
        measured = order.measured(rule, VPLinear(), rough=True, history=3, steps=(32, 128))
    except (ZeroDivisionError, IndexError, ValueError):
        return  # it does not even run
    assert not measured > wanted - 2 * MARGIN


@pytest.mark.parametrize("name", ["HeunEDM", "DPM2", "DPMpp2S", "DPMpp3M", "UniPC2", "UniPC3"])
def test_the_mutants_measure_passes_what_is_right(name):
    """The shorter measurement that condemns the mutants finds the genuine rules good."""
    module = next(module for module, rule, _, _ in MUTANTS if rule == name)
    rule = getattr(module, name)()
    measured = order.measured(rule, VPLinear(), rough=True, history=3, steps=(32, 128))
    assert measured > rule.order - 2 * MARGIN


@pytest.mark.parametrize("rule", [LMS(), DEIS(), DEISLogRho()], ids=repr)
def test_the_mutants_measure_passes_what_is_right_in_the_noise(rule):
    measured = order.measured(rule, VPLinear(), rough=True, history=3, steps=(32, 128))
    assert measured > rule.order - 2 * MARGIN


def moments(module):
    """Integrals of 1, xi, xi^2 by the weights of three nodes, less the exact ones."""
    nodes = [2.0, 3.5, 4.0]
    weights = module.lagrange_integrals(nodes, *module.legendre(2.0, 1.0))
    return [
        sum(w * node**k for w, node in zip(weights, nodes, strict=True))
        - (1.0 ** (k + 1) - 2.0 ** (k + 1)) / (k + 1)
        for k in range(3)
    ]


def test_lagrange_weights_integrate_polynomials_exactly():
    assert moments(quadrature) == pytest.approx([0, 0, 0], abs=1e-12)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("prod(place - other", "prod(place + other"),
        ("prod(node - other", "prod(other - node - 1"),
        ("half * mass", "mass"),
        ("(high - low) / 2", "(low - high) / 2"),
        ("if k != j", "if k > j"),
        ("total / scale", "total * scale"),
    ],
)
def test_mutants_of_the_quadrature_do_not(old, new):
    assert moments(mutated(quadrature, old, new)) != pytest.approx([0, 0, 0], abs=1e-6)


def test_unip_2_with_bh2_is_dpmpp_2m():
    """Every B of that order would do for the rate of convergence; only this one is bh2."""
    schedule = VPLinear()
    levels = [schedule(t) for t in (0.7, 0.6, 0.3)]
    before, point_t, point_s = (Point.of(level) for level in levels)
    weights = UniPC2("bh2").weights([point_t, before], point_s, schedule)
    x, d_t, d_1 = torch.tensor([0.4, 1.5, -0.7], dtype=torch.float64)
    prediction = Prediction(x, levels[1], d_t)
    memory = History((d_1,), (before,), schedule)
    wanted, _, _ = DPMpp2M().step(lambda x, t: prediction, x, levels[1], levels[2], memory, None)
    ours = point_s.sigma / point_t.sigma * x
    ours = ours + point_s.alpha * (weights[0] * d_t + weights[1] * d_1)
    torch.testing.assert_close(ours, wanted)
    bh1 = UniPC2("bh1").weights([point_t, before], point_s, schedule)
    h = point_s.half_log_snr - point_t.half_log_snr
    assert bh1[1] / weights[1] == pytest.approx(h / -math.expm1(-h))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_ipndm_has_the_coefficients_of_equal_steps(count):
    """All of them, those of its first steps too, whose slips an order would not show."""
    points = [Point(0.5, 1.0, 2.0 + k) for k in range(count)]
    end = Point(0.4, 1.0, 1.0)
    ours, exact = (rule.weights(points, end, VE()) for rule in (IPNDM(), LMS()))
    assert ours == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize(
    "solver", [*ONE_STEP, *(s for s in MULTISTEP if s.name != "deis"), IPNDM()], ids=repr
)
def test_schedules_with_the_same_noise_levels_end_in_the_same_point(solver):
    """Of all rules only tAB3 knows the path's time."""
    ends = []
    for schedule in (VE(), VPCosine(), Flow()):
        levels = [schedule(t) for t in order.log_grid(schedule, 12, rough=True)]
        x = levels[0].alpha * torch.linspace(-3, 3, 9, dtype=torch.float64)
        memory = solver.start(x, schedule)
        for level_t, level_s in zip(levels, levels[1:], strict=False):
            x, memory, _ = solver.step(
                order.MIXTURE.denoiser(schedule), x, level_t, level_s, memory, None
            )
        ends.append(x / levels[-1].alpha)
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=0, atol=1e-9)
