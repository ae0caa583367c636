r"""A classifier of noisy images: log p(c | x_t) at every noise level.

With :math:`F` and :math:`b` a network's features and its bias, numbers per class,

.. math::

    \log p(c \mid x_t) = \mathrm{log\,softmax}_c \bigl(b
        + c_\mathrm{out}\, F(c_\mathrm{in} x_t, c_\mathrm{noise})\bigr), \qquad
    c_\mathrm{out} = \frac{\alpha s_d}{S}                                                     (1)

where :math:`S^2 = \alpha^2 s_d^2 + \sigma^2` is the variance of :math:`x_t`, and the other two
factors are those of denoisers (`parameterization`). Where classes are Gaussians of means
:math:`m_c` and covariance :math:`s_d^2`, Bayes' rule gives
:math:`\alpha m_c^\top x_t / S^2` and terms without :math:`x_t`, which is :math:`c_\mathrm{out}`
times a linear function of :math:`x_t / S`: the network answers at one scale at every level, and in
pure noise, where :math:`c_\mathrm{out}` is 0, :math:`b` is left, the shares of the classes. What a
network gets wrong there is not multiplied by the noise when samples are guided.

It reads :math:`x_t / \alpha` and :math:`\sigma / \alpha` alone, and so serves every Gaussian path
in its space, whatever path its noise levels were drawn on.

Reference: Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", section 4, for
the classifier; Karras et al. 2022, section 5, for the choice of the factors.
"""

from __future__ import annotations

from torch import Tensor, nn

from undrift.diffusion.denoiser import working_dtype
from undrift.diffusion.parameterization import edm
from undrift.diffusion.schedule import Level


class NoisyClassifier(nn.Module):
    """Equation (1).

    Args:
        network: called as ``network(c_in x_t, c_noise, c_out)`` with c_noise (B,) and c_out (B, 1);
            returns the argument of the softmax, (B, K).
        sigma_data: standard deviation of the data per element.
    """

    def __init__(self, network: nn.Module, sigma_data: float) -> None:
        super().__init__()
        self.network = network
        self.rule = edm(sigma_data)

    def forward(self, x_t: Tensor, level: Level) -> Tensor:
        """Log-probability of each class.

        Args:
            x_t: noisy batch (B, ...).
            level: of all rows, or of each.

        Returns:
            (B, K), float32 or wider whatever x_t's dtype and autocast.
        """
        wide = working_dtype(x_t)
        fitted = level.like(x_t.to(wide))
        c_in = self.rule.c_in(fitted)
        c_out = (fitted.alpha * self.rule.sigma_data * c_in).reshape(-1, 1)
        c_noise = self.rule.c_noise(level).to(device=x_t.device, dtype=x_t.dtype)
        scaled = (c_in * x_t).to(x_t.dtype)
        return self.network(scaled, c_noise.expand(len(x_t)), c_out).to(wide).log_softmax(1)  # (1)
