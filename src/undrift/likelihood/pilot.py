r"""Where the continuous bound is uncertain: a density over log-SNR measured on a few images.

Definition: with ``f = 1/2 SNR |x_0 - D|^2`` the integrand of one image, the best density of levels
(proposal.py, equation 2) is proportional to the root of

    m_k = E [ f(lambda)^2 ],        lambda uniform in bin k,                                     (1)

a mean over images and noise. ``f`` is a sum over the values of an image, and of discrete values it
is heavy-tailed at clean levels: nearly always 0, and large where noise carries a value across to
its neighbour. A mean of few values misses that, starves the very bins that hold the variance, and
leaves a bound whose sample error understates its true one. Hence (1) is a mean over `VALUES`
values at least, and a bin is trusted to be as quiet as measured only if its neighbours are:

    m_k <- max(m_{k-1}, m_k, m_{k+1}).                                                           (2)

Any density leaves the bound unbiased; a pilot's images and noise are named apart from the score's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from undrift.diffusion import NoiseSchedule
from undrift.likelihood.bound import squared_error
from undrift.likelihood.proposal import Proposal
from undrift.likelihood.span import Span
from undrift.randomness import generator
from undrift.sampling import BoundDenoise

IMAGES = 32
"""Images of a pilot; with fewer there is none."""

BINS = 32
"""Bins of the density."""

VALUES = 2**12
"""Values that (1) is a mean over, at least."""


def repeats(latent_shape: Sequence[int]) -> int:
    """How often each of `IMAGES` images of ``latent_shape`` is evaluated in a bin."""
    return math.ceil(VALUES / (IMAGES * math.prod(latent_shape)))


def pilot(
    denoise: BoundDenoise, x0: Tensor, *, schedule: NoiseSchedule, span: Span, seed: int
) -> Proposal:
    """Measure the density on ``x0``; evaluates the denoiser `BINS` times for each row.

    Args:
        denoise: of the model, for these rows.
        x0: encoded images (B, ...), each repeated `repeats` times.
        schedule: the path.
        span: levels that are counted.
        seed: of the noise.
    """
    # the rows of a batch are spread evenly over a bin
    inside = (torch.arange(len(x0), dtype=torch.float64, device=x0.device) + 0.5) / len(x0)
    moments = []
    for k in range(BINS):
        log_snr = span.low + span.width * (k + inside) / BINS
        noise = torch.randn(
            x0.shape, generator=generator(seed, "pilot", k), dtype=torch.float32, device="cpu"
        ).to(x0)
        error = squared_error(denoise, x0, schedule, log_snr, noise)
        moments.append((log_snr.exp() / 2 * error).square().mean())  # (1)
    row = torch.stack(moments).cpu()[None, None]
    return Proposal.fitted(span, nn.functional.max_pool1d(row, 3, stride=1, padding=1)[0, 0])  # (2)
