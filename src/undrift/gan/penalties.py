r"""Penalties on the discriminator's gradient with respect to its input.

.. math::

    R_1 &= \tfrac12\, \lVert \nabla_x f(x) \rVert^2 \text{ at real } x,                  \quad (1)\\
    R_2 &= \tfrac12\, \lVert \nabla_x f(g) \rVert^2 \text{ at generated } g,             \quad (2)\\
    P   &= \bigl(\lVert \nabla_{\hat x} f(\hat x) \rVert - 1\bigr)^2, \qquad
           \hat x = u\,x + (1 - u)\,g,\ u \sim U[0, 1].                                  \quad (3)

:math:`R_1` and :math:`R_2` are zero-centred: at the equilibrium, where reals and generated images
are the same, the best discriminator is flat and pays nothing, and training converges locally. The
two-sided (3) has its minimum at a slope of 1 even there, and does not converge with finitely many
discriminator updates per generator update.

A penalty is differentiated again with respect to the parameters, so its gradient keeps its graph.
Under autocast the layers are narrow in both directions; the norm is taken in float32, the images'
own precision. A discriminator that compares images of a batch (minibatch
standard deviation) has the gradient of the sum of its logits taken, as is usual.

References: Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?", section
4 (1, 2); Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", eq. 3 (3).
"""

from __future__ import annotations

import torch
from torch import Tensor

from undrift.errors import UsageError


def zero_centred(logits: Tensor, images: Tensor) -> Tensor:
    """Half the squared gradient norm: R1 at reals, R2 at generated images; without its weight.

    Args:
        logits: (B,), computed from ``images``.
        images: (B, ...), requiring gradients.

    Returns:
        (B,), differentiable.

    Raises:
        UsageError: if ``images`` does not require gradients.
    """
    return _gradient(logits, images).square().sum(1) / 2  # (1), (2)


def two_sided(logits: Tensor, images: Tensor) -> Tensor:
    """How far the gradient norm is from 1, squared; without its weight.

    Args:
        logits: (B,), computed from ``images``.
        images: (B, ...), requiring gradients; those of ``interpolated``.

    Returns:
        (B,), differentiable; where the gradient is 0 its own derivative counts as 0.

    Raises:
        UsageError: if ``images`` does not require gradients.
    """
    norm = torch.linalg.vector_norm(_gradient(logits, images), dim=1)
    return (norm - 1).square()  # (3)


def interpolated(real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """Points on the segments between pairs of images, eq. (3), as a leaf that requires gradients.

    Args:
        real: (B, ...).
        fake: (B, ...).
        share: (B,) in [0, 1], how much of each real image.
    """
    if real.shape != fake.shape or share.shape != real.shape[:1]:
        raise UsageError(
            f"interpolated: {tuple(real.shape)} and {tuple(fake.shape)} with {tuple(share.shape)} "
            "shares; wanted equal shapes and one share per row"
        )
    u = share.to(real.device, real.dtype).view(-1, *[1] * (real.ndim - 1))
    return (u * real + (1 - u) * fake).detach().requires_grad_()


def _gradient(logits: Tensor, images: Tensor) -> Tensor:
    if not images.requires_grad:
        raise UsageError("gradient penalty: the images do not require gradients; set it before D")
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.reshape(len(images), -1)
