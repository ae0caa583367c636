"""The sub-variance-preserving path is Song et al.'s: its sigma, its SDE, its inverse."""

from __future__ import annotations

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.diffusion import SDE, SubVP, VPLinear, sub_vp
from undrift.errors import UsageError

TIMES = torch.linspace(0, 1, 41, dtype=torch.float64)


def test_sigma_is_the_preserving_ones_square():
    """Near data too, where 1 - alpha^2 would have lost its digits."""
    level, preserving = SubVP()(TIMES), VPLinear()(TIMES)
    assert torch.equal(level.alpha, preserving.alpha)
    torch.testing.assert_close(level.sigma, 1 - level.alpha**2, rtol=0, atol=1e-15)
    near = SubVP()(torch.tensor(1e-12))
    assert float(near.sigma) == pytest.approx(1e-13, rel=1e-9)


def diffuses_as_published(module) -> bool:
    """Whether g^2 is beta (1 - exp(-2 B))."""
    beta = 0.1 + 19.9 * TIMES
    integral = (0.1 + 19.9 / 2 * TIMES) * TIMES
    wanted = beta * -torch.expm1(-2 * integral)
    return torch.allclose(SDE(module.SubVP()).diffusion(TIMES) ** 2, wanted, atol=1e-12)


def test_its_sde_is_the_published_one():
    assert diffuses_as_published(sub_vp)
    for old, new in (("preserving.sigma**2", "preserving.sigma"), ("-2 * pres", "-1 * pres")):
        assert not diffuses_as_published(mutated(sub_vp, old, new))


def test_the_inverse_reaches_both_ends():
    path = SubVP()
    torch.testing.assert_close(path.time_at(path(TIMES).log_snr), TIMES, rtol=1e-9, atol=1e-12)
    ends = path.time_at(torch.tensor([-torch.inf, -1e4, torch.inf]))
    assert ends.tolist() == pytest.approx([1.0, 1.0, 0.0], rel=1e-15)


@pytest.mark.parametrize("betas", [(0.0, 1.0), (2.0, 1.0), (0.1, float("inf"))])
def test_bad_rates_are_refused(betas):
    with pytest.raises(UsageError, match="sub_vp got beta_min"):
        SubVP(*betas)
