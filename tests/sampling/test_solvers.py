"""What single steps do, and what solvers are called."""

from __future__ import annotations

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.diffusion import VE, Flow, Prediction, VPLinear
from undrift.errors import UsageError
from undrift.sampling import DDPM, SAMPLERS, DPMpp2M, Euler, Heun, integrate, karras, solver
from undrift.sampling.solvers import dpmpp_2m


def two_steps(module, schedule):
    """Two steps, 0.7 -> 0.6 -> 0.3, of a denoiser that is linear in the half log-SNR."""

    def denoise(x, t):
        level = schedule(t)
        return Prediction(x, level, (1 + 0.3 * level.log_snr / 2).expand_as(x))

    rule = module.DPMpp2M()
    x = torch.ones(1, 1, dtype=torch.float64)
    levels = [schedule(t) for t in (0.7, 0.6, 0.3)]
    middle, memory, _ = rule.step(denoise, x, levels[0], levels[1], rule.start(x, schedule), None)
    end, _, _ = rule.step(denoise, middle, levels[1], levels[2], memory, None)
    # Solve the second step for the data it assumed, D' of the module's equation (2).
    shrink = levels[2].sigma / levels[1].sigma
    assumed = (end - shrink * middle) / (levels[2].alpha - shrink * levels[1].alpha)
    centre = (levels[1].log_snr + levels[2].log_snr) / 4
    return float(assumed), float(1 + 0.3 * centre)


@pytest.mark.parametrize("schedule", [VE(), VPLinear(), Flow()], ids=lambda s: s.kind)
def test_dpmpp_2m_extrapolates_to_the_middle_of_the_step(schedule):
    assumed, wanted = two_steps(dpmpp_2m, schedule)
    assert assumed == pytest.approx(wanted, rel=1e-12)


def test_dpmpp_2m_with_its_step_ratio_upside_down_does_not():
    """Its errors telescope over a whole path, so that the order of convergence cannot tell."""
    mutant = mutated(dpmpp_2m, "lead = c * h /", "lead = c / h *")
    assumed, wanted = two_steps(mutant, Flow())
    assert assumed != pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("rule", [Euler(), Heun(), DPMpp2M(), DDPM()], ids=lambda s: s.name)
def test_declared_facts_are_what_happens(rule):
    """Evaluations per inner step, noise drawn, and one evaluation less in Heun's last step."""
    calls, drawn = [], []

    def denoise(x, t):
        calls.append(float(t))
        return Prediction(x, Flow()(t), x * 0)

    class Noise:
        def step(self, k, shape, purpose):
            drawn.append((k, purpose))
            return torch.zeros(2, *shape)

    steps = 5
    integrate(
        denoise, torch.ones(2, 3), karras(Flow(), steps), rule, schedule=Flow(), noise=Noise()
    )
    assert len(calls) == rule.evaluations_per_step * (steps - 1) + 1
    assert bool(drawn) == rule.stochastic
    assert len(drawn) == (steps - 1 if rule.stochastic else 0)  # none in the last step


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_is_found_by_its_name(name):
    assert name.startswith(solver(name).name)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("DDIM", Euler()),
        ("EulerDiscreteScheduler", Euler()),
        ("DPM++ 2M", DPMpp2M()),
        ("DPMSolverMultistepScheduler", DPMpp2M()),
        ("sample_dpmpp_2m", DPMpp2M()),
        ("Heun", Heun()),
        ("ancestral", DDPM("small")),
        ("ddpm-large", DDPM("large")),
    ],
)
def test_names_from_elsewhere_are_understood(name, made):
    assert solver(name) == made


def test_an_unknown_sampler_gets_a_suggestion():
    with pytest.raises(UsageError, match="did you mean 'heun'.*choose from dpmpp_2m"):
        solver("huen")
    with pytest.raises(UsageError, match="unknown sampler 'zzz': choose from"):
        solver("zzz")


def test_ddpm_has_two_variances():
    with pytest.raises(UsageError, match="'small' or 'large'"):
        DDPM("huge")  # type: ignore[arg-type]
