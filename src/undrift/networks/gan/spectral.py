r"""Spectral norm: layers that stretch nothing.

A layer's weight, seen as a matrix of outputs by everything else, is divided by its largest singular
value, so that no linear layer stretches more than that matrix does:

.. math:: \bar W = W / \sigma(W), \qquad \sigma(W) = \max_{\lVert h \rVert = 1} \lVert W h \rVert

by power iteration: 15 times when a layer is normalised, and once more at every pass in training. An
update of the discriminator makes two passes, of reals and of generated images, the generator's one.

Reference: Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", eq. 8.
"""

from __future__ import annotations

from typing import TypeVar

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

Network = TypeVar("Network", bound=nn.Module)


def normalised(network: Network) -> Network:
    """``network`` with every convolution and linear layer divided by its norm, as they start."""
    layers = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    for layer in layers:
        spectral_norm(layer)
    return network
