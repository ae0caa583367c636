"""Adaptive sampling: the pairs' orders, tolerances kept, images on their own, costs counted."""

from __future__ import annotations

import math

import pytest
import torch
from tests.oracle import order
from tests.oracle.mutation import mutated
from torchdiffeq import odeint

from undrift.diffusion import VE, Flow, Prediction, VPCosine
from undrift.errors import DivergedError, UsageError
from undrift.sampling import embedded, solver
from undrift.sampling.adaptive import PAIRS, adaptive_name, integrate_adaptive

START = math.atan(2.0)
END = math.atan(0.1)


def on_circle(y, phi):
    """The mixture's D at angles: the path of VP, whatever its times."""
    schedule = VE()
    level = schedule(schedule.time_at(-2 * phi.tan().log()))
    size = torch.hypot(level.alpha, level.sigma)
    return order.MIXTURE.posterior_mean(size * y, level)


def orders(pair, counts):
    """Orders of the state and of its error estimate, in equal steps of the pair's coordinate."""
    schedule = VE()
    source, target = (schedule(schedule.time_at(-2 * math.log(r))) for r in (2.0, 0.1))
    y_0 = torch.linspace(-2, 2, 9, dtype=torch.float64)
    size = float(torch.hypot(source.alpha, source.sigma))
    exact = order.MIXTURE.flow(size * y_0, source, target) / torch.hypot(target.alpha, target.sigma)
    errors, gaps = [], []
    for count in counts:
        y, phi = y_0, torch.full((9,), START, dtype=torch.float64)
        whole = pair.length(phi, torch.full_like(phi, END))
        for k in range(count):
            last = k == count - 1
            goal = torch.full_like(phi, END) if last else pair.ahead(phi, whole / count)
            tried = pair.attempt(on_circle, y, phi, goal, on_circle(y, phi))
            if k == 0:
                gaps.append(float(tried.error.square().mean().sqrt()))
            y, phi = tried.y, goal
        errors.append(float((y - exact).square().mean().sqrt()))
    return order.slope(errors, counts), order.slope(gaps, counts)


COUNTS = {"dopri5": (16, 64), "dpmpp_adaptive": (32, 128)}


@pytest.mark.parametrize("name", PAIRS)
def test_orders_of_the_pairs(name):
    """The estimate is of one step, so it falls one power faster than the lower order."""
    state, estimate = orders(PAIRS[name], COUNTS[name])
    assert state > PAIRS[name].order - 0.3
    assert PAIRS[name].exponent - 0.5 < estimate < PAIRS[name].exponent + 1


@pytest.mark.parametrize(
    ("pair", "old", "new"),
    [
        ("DormandPrince", "(3 / 40, 9 / 40)", "(9 / 40, 3 / 40)"),
        ("DormandPrince", "32 / 9", "31 / 9"),
        ("DormandPrince", "64448 / 6561, -212 / 729", "64448 / 6561, 212 / 729"),
        ("DormandPrince", "-5103 / 18656", "5103 / 18656"),
        ("DormandPrince", "-2187 / 6784, 11 / 84", "11 / 84, -2187 / 6784"),
        ("DormandPrince", "-92097 / 339200", "92097 / 339200"),
        ("DormandPrince", "(1 / 5, 3 / 10, 4 / 5,", "(1 / 5, 2 / 5, 4 / 5,"),
        ("DormandPrince", "cosine / sine, y) * y -", "cosine / sine, y) * y +"),
        ("DormandPrince", "phi + node * (target - phi)", "phi - node * (target - phi)"),
        ("Exponential", "3 / 2 * bend_2,  #", "3 / 4 * bend_2,  #"),
        ("Exponential", "2 * bend_1  #", "-2 * bend_1  #"),
        ("Exponential", "angles[1].cos() * _phi", "angles[1].sin() * _phi"),
        ("Exponential", "_phi(2 * h / 3)", "_phi(h / 3)"),
        ("Exponential", "evaluate(two, angles[1])", "evaluate(two, angles[0])"),
        ("Exponential", "- 3 * bend_1)", "+ 3 * bend_1)"),
        ("Exponential", "target.cos() - shrink", "target.cos() + shrink"),
        ("Exponential", "h / 2 - h**2 / 6", "h / 2 + h**2 / 6"),
    ],
)
def test_mutants_of_the_pairs_lose_them(pair, old, new):
    name = "dopri5" if pair == "DormandPrince" else "dpmpp_adaptive"
    # the series of Phi only counts where steps are short
    counts = (8, 1500) if "h**2" in old else COUNTS[name]
    if "h**2" in old:
        h = torch.tensor(9e-4, dtype=torch.float64)
        mutant, genuine = mutated(embedded, old, new)._phi(h), embedded._phi(h)
        closed = 1 + torch.expm1(-h) / h
        assert abs(genuine - closed) < 1e-12 < abs(mutant - closed)
        return
    rule = getattr(mutated(embedded, old, new), pair)()
    state, estimate = orders(rule, counts)
    kept = state > rule.order - 0.3 and rule.exponent - 0.5 < estimate < rule.exponent + 1
    assert not kept


@pytest.mark.parametrize("schedule", order.SCHEDULES, ids=order.kind)
@pytest.mark.parametrize("method", PAIRS)
def test_a_tighter_tolerance_comes_nearer(method, schedule):
    """Down to what the last step from sigma_min to 0 costs, which is not under its control."""
    x = order.starts(schedule, torch.tensor(1.0, dtype=torch.float64))
    exact = order.MIXTURE.flow(x, schedule(1.0), schedule(0.0))
    errors = []
    for tolerance in (1e-2, 1e-5):
        result = integrate_adaptive(
            order.MIXTURE.denoiser(schedule),
            x,
            schedule,
            method=method,
            rtol=tolerance,
            atol=tolerance,
        )
        errors.append(float((result.x - exact).abs().max()))
    assert errors[0] < 0.05
    assert errors[1] < 1e-4


@pytest.mark.parametrize("method", PAIRS)
def test_an_image_does_not_depend_on_its_batch_mates(method):
    schedule = Flow()
    denoise = order.MIXTURE.denoiser(schedule)
    x = torch.tensor([-2.0, 0.1, 0.5, 3.0], dtype=torch.float64)
    tolerance = 1e-6 if method == "dopri5" else 1e-3
    settings = {"method": method, "rtol": tolerance, "atol": tolerance}
    together = integrate_adaptive(denoise, x, schedule, **settings)
    assert together.evaluations.unique().numel() > 1  # they do differ in what they take
    for i in range(4):
        alone = integrate_adaptive(denoise, x[i : i + 1], schedule, **settings)
        torch.testing.assert_close(alone.x[0], together.x[i], rtol=0, atol=1e-12)
        assert alone.evaluations[0] == together.evaluations[i]
        assert (alone.accepted[0], alone.rejected[0]) == (
            together.accepted[i],
            together.rejected[i],
        )


@pytest.mark.parametrize("method", PAIRS)
def test_steps_and_ends_are_those_of_every_schedule(method):
    """From the same angle, on the circle, schedules differ by rounding alone."""
    y, ends = torch.linspace(-2, 2, 5, dtype=torch.float64), []
    for schedule in (VE(), VPCosine(), Flow()):
        start = float(schedule.time_at(-2 * math.log(40.0)))
        level = schedule(start)
        x = y * torch.hypot(level.alpha, level.sigma)
        result = integrate_adaptive(
            order.MIXTURE.denoiser(schedule), x, schedule, method=method, start=start
        )
        ends.append(result)
    for end in ends[1:]:
        torch.testing.assert_close(end.x, ends[0].x, rtol=0, atol=1e-9)
        assert torch.equal(end.evaluations, ends[0].evaluations)


def test_dopri5_agrees_with_torchdiffeq():
    """The same equation in the same coordinate, both far below the tolerance compared at."""
    schedule = VE()
    x = torch.tensor([-30.0, 5.0, 60.0], dtype=torch.float64)
    size = math.hypot(1, 80)

    def slope(minus_phi, y):
        phi = -minus_phi
        data = on_circle(y, phi)
        return -((phi.cos() * y - data) / phi.sin())

    angles = torch.tensor([-math.atan(80.0), -math.atan(0.5)], dtype=torch.float64)
    theirs = odeint(slope, x / size, angles, method="dopri5", rtol=1e-9, atol=1e-10)[-1]
    end = float(schedule.time_at(-2 * math.log(0.5)))
    ours = integrate_adaptive(
        order.MIXTURE.denoiser(schedule), x, schedule, rtol=1e-9, atol=1e-10, end=end
    )
    torch.testing.assert_close(ours.x, theirs * math.hypot(1, 0.5), rtol=0, atol=1e-7)


@pytest.mark.parametrize("method", PAIRS)
def test_evaluations_are_counted(method):
    """Of one image alone: each call of the denoiser, except those of the step that failed."""
    schedule, calls = VPCosine(), []

    def denoise(x, t):
        calls.append(t)
        return order.MIXTURE.denoiser(schedule)(x, t)

    x = torch.tensor([0.7], dtype=torch.float64)
    result = integrate_adaptive(denoise, x, schedule, method=method, rtol=1e-4, atol=1e-4)
    assert result.forwards == len(calls)
    unused = int(result.rejected[0]) if method == "dpmpp_adaptive" else 0
    assert int(result.evaluations[0]) == len(calls) - unused
    assert all(t.shape == (1,) and t.dtype == torch.float64 for t in calls)


@pytest.mark.parametrize("method", PAIRS)
def test_images_in_float32_land_on_the_denoised_image(method):
    schedule, seen = Flow(), []

    def denoise(x, t):
        x0 = torch.tanh(x)
        seen.append(x0)
        return Prediction(x, schedule(t), x0)

    x = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    end = integrate_adaptive(denoise, x, schedule, method=method).x
    assert end.dtype == torch.float32
    assert end.shape == x.shape
    assert torch.isfinite(end).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "rk45"}, "choose from dopri5, dpmpp_adaptive"),
        ({"rtol": 0.0}, "above 0"),
        ({"atol": float("nan")}, "above 0"),
        ({"start": 0.5, "end": 0.6}, "end < start"),
        ({"sigma_min": -1.0}, "sigma_min"),
        ({"start": 1e-5}, "above the noise at start"),
        ({"most_evaluations": 3}, "at least 10"),
        ({"rtol": 1e-12, "atol": 1e-12, "most_evaluations": 50}, "larger tolerance"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        integrate_adaptive(order.MIXTURE.denoiser(VE()), torch.ones(2), VE(), **settings)


def test_a_denoiser_that_fails_is_named():
    def denoise(x, t):
        return Prediction(x, VE()(t), x * torch.tensor([1.0, float("nan")]))

    with pytest.raises(DivergedError, match="image 1 of the batch is not finite"):
        integrate_adaptive(denoise, torch.ones(2), VE())


@pytest.mark.parametrize("method", PAIRS)
def test_progress_is_told_in_thousandths_up_to_the_end(method):
    told = []
    integrate_adaptive(
        order.MIXTURE.denoiser(Flow()), torch.tensor([-2.0, 3.0]), Flow(), method=method,
        on_progress=lambda step: told.append((step.done, step.total, step.x0.shape)),
    )  # fmt: skip
    done = [entry[0] for entry in told]
    assert done == sorted(done) and done[-1] == 1000
    assert 0 <= done[0] < 500
    assert {entry[1:] for entry in told} == {(1000, (2,))}


def test_names_of_the_field_are_understood():
    assert [adaptive_name(n) for n in ("DOPRI5", "dpm_adaptive", "sample_dpm_adaptive")] == [
        "dopri5", "dpmpp_adaptive", "dpmpp_adaptive"
    ]  # fmt: skip
    assert adaptive_name("DPM++ adaptive") == "dpmpp_adaptive"
    assert adaptive_name("heun") is None
    with pytest.raises(UsageError, match="'dopri5' is adaptive"):
        solver("dopri5")
