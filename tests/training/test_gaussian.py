"""The reference curve against the exact posterior mean of a Gaussian, by Monte Carlo."""

from __future__ import annotations

import torch

from undrift.training.gaussian import error, spectrum


def test_error_is_that_of_the_wiener_filter() -> None:
    generator = torch.Generator().manual_seed(0)
    covariance = torch.tensor([[2.0, 0.9], [0.9, 0.5]], dtype=torch.float64)
    factor = torch.linalg.cholesky(covariance)
    n = 200_000
    x0 = torch.randn(n, 2, generator=generator, dtype=torch.float64) @ factor.T
    eigenvalues = spectrum(x0.reshape(n, 2, 1, 1).split(7_000))
    log_snr = torch.tensor([2.0, 0.0, -2.0], dtype=torch.float64)
    wanted = []
    for value in log_snr:
        ratio = torch.exp(-value / 2)
        noisy = x0 + ratio * torch.randn(n, 2, generator=generator, dtype=torch.float64)
        gain = covariance @ torch.linalg.inv(covariance + ratio**2 * torch.eye(2))
        squared = (noisy @ gain.T - x0).square().mean(1)
        wanted.append((squared.mean(), squared.std() / n**0.5))
    for got, (mean, deviation) in zip(error(eigenvalues, log_snr), wanted, strict=True):
        assert abs(got - mean) < 4 * deviation + 0.01 * mean


def test_limits() -> None:
    eigenvalues = torch.tensor([1.0, 3.0], dtype=torch.float64)
    clean, noisy = error(eigenvalues, torch.tensor([60.0, -60.0]))
    assert clean < 1e-12
    torch.testing.assert_close(noisy, torch.tensor(2.0, dtype=torch.float64))


def test_large_images_use_the_cosine_basis() -> None:
    """White noise has the same spectrum in every basis; a constant image is one coefficient."""
    generator = torch.Generator().manual_seed(0)
    white = torch.randn(500, 3, 24, 24, generator=generator)
    assert white[0].numel() > 1024
    eigenvalues = spectrum(white.split(64))
    assert abs(float(eigenvalues.mean()) - 1) < 0.01
    flat = torch.randn(500, 3, 1, 1, generator=generator).expand(500, 3, 24, 24)
    coefficients = spectrum([flat]).reshape(3, 24, 24)
    torch.testing.assert_close(
        coefficients[:, 0, 0] / 576, torch.ones(3, dtype=torch.float64), rtol=0.3, atol=0
    )
    assert float(coefficients.flatten(1)[:, 1:].max()) < 1e-9
