"""Names of samplers and grids as users of other tools know them."""

from __future__ import annotations

import pytest

from undrift.errors import UsageError
from undrift.sampling import parse_grid, solver


@pytest.mark.parametrize(
    ("name", "sampler", "grid"),
    [
        ("DPM++ 2M Karras", "dpmpp_2m", "karras"),
        ("dpmpp_2m_karras", "dpmpp_2m", "karras"),
        ("DPM++2MKarras", "dpmpp_2m", "karras"),
        ("DPM++ 2M Kerras", "dpmpp_2m", "karras"),
        ("DPM++ 2M SDE Karras", "dpmpp_2m_sde", "karras"),
        ("DPM++ 2S a Karras", "dpmpp_2s_ancestral", "karras"),
        ("DPM++ SDE Karras", "dpmpp_sde", "karras"),
        ("DPM++ 3M SDE Exponential", "dpmpp_3m_sde", "log_snr"),
        ("DPM2 Karras", "dpm_2", "karras"),
        ("DPM2 a Karras", "dpm_2_ancestral", "karras"),
        ("LMS Karras", "lms", "karras"),
        ("Euler SGM Uniform", "euler", "trailing"),
        ("UniPC simple", "unipc", "trailing"),
        ("DEIS Beta", "deis", "beta"),
    ],
)
def test_a_sampler_and_grid_in_one_name_are_named_apart(name, sampler, grid):
    with pytest.raises(UsageError, match=f"did you mean '{sampler}' with grid '{grid}'"):
        solver(name)


@pytest.mark.parametrize(
    ("name", "sampler"),
    [
        ("k_euler_a", "euler_ancestral"),
        ("K-Euler", "euler"),
        ("Euler a Automatic", "euler_ancestral"),
        ("dpmpp_2m_sde_gpu", "dpmpp_2m_sde"),
        ("dpmpp_2m_cfg_pp", "dpmpp_2m"),
        ("euler_cfg_pp", "euler"),
        ("DPM fast", "dpmpp_2s"),
        ("Restart", "heun_churn"),
        ("heunpp2", "heun_edm"),
        ("SASolverScheduler", "dpmpp_3m_sde"),
        ("rk45", "dopri5"),
    ],
)
def test_a_sampler_of_another_name(name, sampler):
    with pytest.raises(UsageError, match=f"did you mean '{sampler}'\\?"):
        solver(name)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("Euler a", "euler_ancestral"),
        ("Euler", "euler"),
        ("Heun", "heun"),
        ("UniPC", "unipc"),
        ("DPM++ 2M", "dpmpp_2m"),
        ("DPM++ 2M SDE", "dpmpp_2m_sde"),
    ],
)
def test_a_sampler_that_is_taken_as_it_is(name, made):
    assert solver(name) == solver(made)


@pytest.mark.parametrize("name", ["LCM", "LCMScheduler", "TCD"])
def test_a_sampler_of_distilled_models_is_called_one(name):
    with pytest.raises(UsageError, match=r"distilled for it.*undrift tune-sampler"):
        solver(name)


def test_a_grid_in_the_place_of_a_sampler():
    with pytest.raises(UsageError, match="it is a grid here, 'karras'"):
        solver("Karras")
    with pytest.raises(UsageError, match="it is a grid here, 'trailing'"):
        solver("SGM Uniform")


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("Karras", "karras"),
        ("Exponential", "log_snr"),
        ("SGM Uniform", "trailing"),
        ("simple", "trailing"),
        ("normal", "uniform"),
        ("ddim_uniform", "leading"),
        ("linspace", "uniform"),
    ],
)
def test_a_grid_of_another_name(name, grid):
    with pytest.raises(UsageError, match=f"did you mean '{grid}'"):
        parse_grid(name)
