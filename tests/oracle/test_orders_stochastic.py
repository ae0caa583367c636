"""Stochastic solvers: their order in law, their ODE twins, their strong convergence, their mutants.

In law, mean and variance on Gaussian data are computed without sampling. Image by image, the ends
of finer and finer steps along one Brownian path come to one point, the same for every rule, which
noise drawn per step does not allow.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch
from tests.oracle import order
from tests.oracle.mutation import mutated

from undrift.diffusion import VE, Prediction, VPCosine, VPLinear
from undrift.sampling import DDPM, DPMpp2M, Euler, integrate, karras, solvers, uniform
from undrift.sampling.solvers import (
    DDIM,
    DPM2,
    DPM2Ancestral,
    DPMpp2MSDE,
    DPMpp2S,
    DPMpp2SAncestral,
    DPMpp3M,
    DPMpp3MSDE,
    DPMppSDE,
    EulerMaruyama,
    HeunChurn,
    HeunEDM,
    PredictorCorrector,
    ddim,
    dpmpp_2m,
    dpmpp_3m,
    dpmpp_sde,
    euler_maruyama,
    multistep,
    predictor_corrector,
    renewal,
    singlestep_ancestral,
)

MARGIN = 0.2
FEW = (48, 144)
PREDICTOR = PredictorCorrector(corrections=0)
IN_LAW = [
    DDIM(),
    DDIM(eta=0.5),
    DPM2Ancestral(),
    DPM2Ancestral(eta=0.5),
    DPMpp2SAncestral(),
    DPMppSDE(),
    DPMppSDE(eta=0.5),
    DPMpp2MSDE(),
    DPMpp2MSDE(eta=0.5),
    DPMpp2MSDE(mean="heun"),
    DPMpp3MSDE(),
    EulerMaruyama(),
    PREDICTOR,
]


@pytest.mark.parametrize("schedule", order.SCHEDULES, ids=order.kind)
@pytest.mark.parametrize("solver", IN_LAW, ids=repr)
def test_order_in_law(solver, schedule):
    assert order.in_law(solver, schedule, FEW) > solver.order - MARGIN
    assert solver.order_as_started == solver.order


@pytest.mark.parametrize("schedule", [VE(), VPLinear()], ids=order.kind)
def test_order_in_law_of_euler_maruyama_with_less_noise(schedule):
    """Where alpha is never 0: from there on its first steps are wrong by a fixed amount.

    Near alpha = 0 the drift grows like 1 / alpha, so those steps are long however many there are,
    and the new noise that makes up for it takes the longer, the smaller eta is.
    """
    assert order.in_law(EulerMaruyama(eta=0.5), schedule, FEW) > EulerMaruyama.order - MARGIN
    assert order.in_law(EulerMaruyama(eta=0.5), VPCosine(), FEW) < EulerMaruyama.order - MARGIN


@pytest.mark.parametrize("schedule", order.SCHEDULES, ids=order.kind)
@pytest.mark.parametrize(
    ("solver", "twin", "exactly"),
    [
        (DDIM(eta=0.0), Euler(), True),
        (DPM2Ancestral(eta=0.0), DPM2(), True),
        (DPMpp2SAncestral(eta=0.0), DPMpp2S(), True),
        (DPMppSDE(eta=0.0), DPMpp2S(), True),
        (DPMpp2MSDE(eta=0.0), DPMpp2M(), True),
        (DPMpp3MSDE(eta=0.0), DPMpp3M(), False),  # the same sums in another order
        (HeunChurn(gamma=0.0), HeunEDM(), True),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_without_noise_a_solver_is_its_twin(solver, twin, exactly, schedule):
    x = torch.linspace(-2, 2, 9, dtype=torch.float64) * schedule(1.0).sigma
    denoise = order.MIXTURE.denoiser(schedule)
    for times in (karras(schedule, 9), uniform(schedule, 7)):
        end = integrate(denoise, x, times, solver, schedule=schedule)  # no noise to be had
        wanted = integrate(denoise, x, times, twin, schedule=schedule)
        torch.testing.assert_close(end, wanted, rtol=0, atol=0 if exactly else 1e-11)


@pytest.mark.parametrize("schedule", order.SCHEDULES, ids=order.kind)
def test_euler_maruyama_without_noise_follows_the_velocity(schedule):
    """Its twin is Euler's method in t on the probability-flow ODE."""
    denoise = order.MIXTURE.denoiser(schedule)
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    level_t, level_s = schedule(0.7), schedule(0.6)
    rule = EulerMaruyama(eta=0.0)
    x_s = rule.step(denoise, x, level_t, level_s, rule.start(x, schedule), None)[0]
    wanted = x + denoise(x, level_t.t).velocity * (level_s.t - level_t.t)
    torch.testing.assert_close(x_s, wanted)


@pytest.mark.parametrize("schedule", order.SCHEDULES, ids=order.kind)
def test_ddim_with_all_noise_new_is_the_chains_posterior(schedule):
    x = torch.linspace(-2, 2, 9, dtype=torch.float64) * schedule(1.0).sigma
    denoise = order.MIXTURE.denoiser(schedule)
    noise = torch.linspace(-1, 1, 9, dtype=torch.float64)

    class Same:
        def step(self, k, shape, purpose):
            return noise.roll(k)

        def brownian(self, level_t, level_s, shape, device):
            self.k = getattr(self, "k", -1) + 1
            return noise.roll(self.k)

    ends = [
        integrate(denoise, x, karras(schedule, 9), rule, schedule=schedule, noise=Same())
        for rule in (DDIM(), DDPM(), DDIM(eta=0.5))
    ]
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-9, atol=1e-12)
    assert (ends[2] - ends[1]).abs().max() > 0.01  # and with half of it is not


# ------------------------------------------------------------------------ image by image


@cache
def fine(schedule):
    return order.on_path(DPMpp2MSDE(), schedule, 1024)


STRONG = [
    DDIM(),
    DPM2Ancestral(),
    DPMppSDE(),
    DPMpp2MSDE(),
    DPMpp3MSDE(),
    EulerMaruyama(),
    PREDICTOR,
]
COARSE = (32, 192)


@pytest.mark.parametrize("schedule", [VPCosine(), VE()], ids=order.kind)
@pytest.mark.parametrize("solver", STRONG, ids=lambda rule: rule.name)
def test_finer_steps_come_to_one_point_on_each_path(solver, schedule):
    """Strong order 1, towards the fine solution of one of the rules."""
    assert order.strong(solver, schedule, fine(schedule), COARSE) > 1 - MARGIN


@pytest.mark.parametrize("solver", STRONG, ids=lambda rule: rule.name)
def test_with_noise_drawn_per_step_they_do_not(solver):
    schedule = VPCosine()
    assert order.strong(solver, schedule, fine(schedule), COARSE, per_step=True) < 0.3


@pytest.mark.slow
def test_strong_order_down_to_2048_steps():
    schedule = VPCosine()
    reference = order.on_path(DPMpp2MSDE(), schedule, 2048)
    for solver in (DDIM(), DPMpp2MSDE(), EulerMaruyama()):
        assert order.strong(solver, schedule, reference, (32, 512)) > 1 - MARGIN


# ------------------------------------------------------------------------------- mutants


@cache
def genuine_keeps_its_order(name, settings):
    genuine = getattr(solvers, name)(**dict(settings))
    return order.in_law(genuine, VPLinear(), FEW) > genuine.order - MARGIN


def keeps_its_order(module, name, settings=()):
    mutant = getattr(module, name)(**dict(settings))
    return order.in_law(mutant, VPLinear(), FEW) > mutant.order - MARGIN


GAP = "(level_t.log_snr - level_s.log_snr)  #"
FRESH = "eta * level_s.sigma * torch.sqrt(share)"


@pytest.mark.parametrize(
    ("law", "old", "new"),
    [
        ("diffused", GAP, "(level_s.log_snr - level_t.log_snr)  #"),  # sign
        ("diffused", "level_s.sigma * torch.exp(gap / 2)", "level_t.sigma * torch.exp(gap / 2)"),
        ("diffused", "level_s.sigma * torch.exp(gap / 2)", "level_s.sigma * torch.exp(gap)"),
        ("diffused", "level_s.sigma * torch.sqrt(-torch", "level_t.sigma * torch.sqrt(-torch"),
        (
            "diffused",
            "level_s.sigma * torch.sqrt(-torch",
            "0.5 * level_s.sigma * torch.sqrt(-torch",
        ),
        ("diffused", "x + s_noise", "x + 0.9 * s_noise"),
        ("ancestral", "level_s.sigma * torch.sqrt(1 -", "level_t.sigma * torch.sqrt(1 -"),
        ("ancestral", "eta**2 * share)", "eta * share)"),
        ("ancestral", FRESH, FRESH.replace("level_s", "level_t")),
        ("ancestral", FRESH, "eta * level_s.sigma * share"),
        ("ancestral", "x + s_noise", "x + 0.9 * s_noise"),
    ],
)
def test_mutants_of_the_renewal_lose_their_order(law, old, new, monkeypatch):
    user, module, name = {
        "diffused": (multistep, dpmpp_2m, "DPMpp2MSDE"),
        "ancestral": (dpmpp_sde, dpmpp_sde, "DPMppSDE"),
    }[law]
    settings = (("eta", 0.5),)
    assert genuine_keeps_its_order(name, settings)
    monkeypatch.setattr(user, law, getattr(mutated(renewal, old, new), law))
    assert not keeps_its_order(module, name, settings)


@pytest.mark.parametrize(
    ("module", "name", "old", "new"),
    [
        (ddim, "DDIM", "level_t, renewal.kept", "level_t, level_s"),  # keeps all the old noise
        (ddim, "DDIM", "x, prediction.x0, level_t", "x, x, level_t"),
        (ddim, "DDIM", "renewal.onto(x_s,", "renewal.onto(x,"),
        (ddim, "DDIM", "ancestral(level_t, level_s", "ancestral(level_s, level_t"),
        (singlestep_ancestral, "DPM2Ancestral", "renewal.kept, memory", "level_s, memory"),
        (singlestep_ancestral, "DPM2Ancestral", "renewal.onto(x_d,", "renewal.onto(x,"),
        (
            singlestep_ancestral,
            "DPMpp2SAncestral",
            "(level_t, level_s, self.eta)",
            "(level_s, level_t, self.eta)",
        ),
        (dpmpp_sde, "DPMppSDE", "denoise(x_m, level_m.t)", "denoise(x_m, level_t.t)"),  # index
        (dpmpp_sde, "DPMppSDE", "x0 = denoise(x_m, level_m.t).x0", "denoise(x_m, level_m.t)"),
        (dpmpp_sde, "DPMppSDE", "x0, level_t, level_m, draw", "x0, level_t, level_s, draw"),
        (dpmpp_sde, "DPMppSDE", "x0, level_t, renewal.kept", "x0, level_t, level_s"),
        (dpmpp_2m, "DPMpp2MSDE", "1 + lead), -gain * lead", "1 - lead), gain * lead"),  # history
        (dpmpp_2m, "DPMpp2MSDE", "(points[0].half_log_snr", "(point_s.half_log_snr"),
        (dpmpp_2m, "DPMpp2MSDE", "if len(points) < 2", "if len(points) < 3"),
        (dpmpp_3m, "DPMpp3MSDE", "phi + bend", "psi + bend"),
        (
            dpmpp_3m,
            "DPMpp3MSDE",
            "gain + slope / r_1, -slope / r_1",
            "gain - slope / r_1, slope / r_1",
        ),
        (dpmpp_3m, "DPMpp3MSDE", "1 - gain / q", "1 + gain / q"),
        (euler_maruyama, "EulerMaruyama", "x - memory", "x + memory"),  # sign
        (euler_maruyama, "EulerMaruyama", "(prediction, self.eta)", "(prediction, 0.0)"),
        (euler_maruyama, "EulerMaruyama", "diffusion(level_t.t)", "diffusion(level_t.t) ** 2"),
        (euler_maruyama, "EulerMaruyama", "* torch.sqrt(step)", "* step"),
        (predictor_corrector, "PredictorCorrector", "spread**2 *", "spread *"),
        (predictor_corrector, "PredictorCorrector", "(2 - back)", "back"),  # sign
        (predictor_corrector, "PredictorCorrector", "+ spread * noise", "+ spread / 2 * noise"),
        (predictor_corrector, "PredictorCorrector", "spread**2 *", "spread**2 / 2 *"),  # the ODE's
    ],
)
def test_mutants_lose_their_order_in_law(module, name, old, new):
    settings = (("corrections", 0),) if name == "PredictorCorrector" else ()
    assert genuine_keeps_its_order(name, settings)
    assert not keeps_its_order(mutated(module, old, new), name, settings)


def of_multistep(module, eta):
    """DPM-Solver++(3M) with new noise on a mutant of its base class."""
    parts = {name: vars(DPMpp3M)[name] for name in ("terms", "curvature", "weights")}
    return type("Mutant", (module.DataMultistep,), {**parts, "eta": eta})


def test_the_base_class_has_its_order_in_law():
    assert order.in_law(of_multistep(multistep, 1.0)(), VPLinear(), FEW) > 2 - MARGIN


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("renewal.kept if renewal else level_s", "level_s"),  # keeps all the old noise
        ("(1 + self.eta) * h", "(1 - self.eta / 2) * h"),
        ("History(data, points, memory.schedule, weights)", "memory"),
        ("renewal.onto(x_s,", "renewal.onto(x,"),
        ("diffused(level_t, level_s, self", "diffused(level_s, level_t, self"),
    ],
)
def test_mutants_of_the_base_class_lose_their_order_in_law(old, new):
    mutant = of_multistep(mutated(multistep, old, new), 1.0)()
    assert not order.in_law(mutant, VPLinear(), FEW) > 2 - MARGIN


def third_order(module):
    """Of the rule at eta = 0."""
    rule = module.DPMpp3MSDE(eta=0.0)
    return order.measured(rule, VPCosine(), rough=True, history=2) > 3 - MARGIN


def test_the_parabola_is_of_the_third_order():
    assert third_order(dpmpp_3m)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("curvature: ClassVar[float] = 1.0", "curvature: ClassVar[float] = 0.5"),  # k-diffusion's
        ("(r_1 * phi + psi)", "(r_1 * phi - psi)"),
        ("(r_1 * phi + psi)", "(r_2 * phi + psi)"),
        ("(known[1] - known[2]) / h", "(known[1] - known[2]) / h * 2"),
        ("bend / r_2, bend / r_2", "0, bend / r_2 - bend / r_2"),  # history order
        ("terms: ClassVar[int] = 3", "terms: ClassVar[int] = 2"),  # forgets one
    ],
)
def test_mutants_of_the_parabola_lose_the_third_order(old, new):
    assert not third_order(mutated(dpmpp_3m, old, new))


def line_is_averaged(module, eta):
    """Whether <D> of a D that is linear in lambda is its mean under exp((1 + eta) lambda)."""
    schedule = VPLinear()

    def denoise(x, t):
        level = schedule(t)
        return Prediction(x, level, (1 + 0.3 * level.log_snr / 2).expand_as(x))

    class NoNoise:
        def brownian(self, level_t, level_s):
            return 0.0

    rule = module.DPMpp2MSDE(eta=eta, mean="heun")
    x = torch.ones(1, dtype=torch.float64)
    levels = [schedule(t) for t in (0.7, 0.6, 0.3)]
    middle, memory, _ = rule.step(
        denoise, x, levels[0], levels[1], rule.start(x, schedule), NoNoise()
    )
    end = rule.step(denoise, middle, levels[1], levels[2], memory, NoNoise())[0]
    kept = renewal.diffused(levels[1], levels[2], eta).kept.sigma / levels[1].sigma
    mean = (end - kept * middle) / (levels[2].alpha - kept * levels[1].alpha)
    half = torch.linspace(float(levels[1].log_snr) / 2, float(levels[2].log_snr) / 2, 20_001)
    weight = torch.exp((1 + eta) * half.double())
    wanted = torch.trapezoid(weight * (1 + 0.3 * half), half) / torch.trapezoid(weight, half)
    return abs(float(mean - wanted)) < 1e-6


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_a_line_is_averaged_exactly(eta):
    assert line_is_averaged(dpmpp_2m, eta)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1 / gain - 1 / q", "-1 / gain - 1 / q"),
        ("1 / gain - 1 / q", "1 / 2"),
        ("lead = c * h /", "lead = c / h *"),
        ("1 / gain - 1 / q", "1 / gain - 1 / h"),
    ],
)
def test_mutants_of_the_lines_mean_are_caught(old, new):
    assert not line_is_averaged(mutated(dpmpp_2m, old, new), 0.4)
