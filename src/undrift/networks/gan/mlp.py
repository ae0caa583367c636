r"""MLPs for GANs of toy 2-D points, which have no neighbourhoods to convolve.

.. math:: h_{l+1} = a(W_l h_l + b_l), \qquad a = \text{leaky ReLU of slope } 0.2

in both networks, with hidden layers of one width, starts that keep variances (He et al. 2015) and a
linear last layer: no tanh, which would have to saturate to reach the ends of the range. The
generator has no batch norm, nor has the discriminator: the textbook toy on which GANs drop modes
has none (Metz et al. 2017, appendix A, two layers of 128), and statistics of a batch would show the
discriminator how the others in it are spread, which is a remedy and belongs to the methods that
have it (``group``).

References: Goodfellow et al. 2014, "Generative Adversarial Nets"; Metz et al. 2017, "Unrolled
Generative Adversarial Networks"; He et al. 2015, "Delving Deep into Rectifiers".
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from undrift.errors import UsageError
from undrift.limits import WIDEST
from undrift.networks.context import Context, ContextSpec
from undrift.networks.embedding import required, with_waves
from undrift.networks.gan.head import ProjectionHead
from undrift.networks.gan.latent import with_context
from undrift.networks.gan.minibatch import with_spread
from undrift.networks.gan.spectral import normalised
from undrift.networks.patches import with_maps
from undrift.schema import check_ranges

SLOPE = 0.2


@dataclass(frozen=True)
class MLPGANConfig:
    """Configuration of a GAN of MLPs.

    Attributes:
        kind: names this configuration in a file.
        width: of the hidden layers.
        layers: hidden layers of either network.
        latent: numbers in z.
        spectral_norm: whether the discriminator's layers are spectrally normalised.
        group: images in a group of the minibatch standard deviation; 1: none.
        fourier: angular frequencies of sines and cosines of its input that the discriminator takes
            beside it, as a diffusion model's MLP does.
    """

    kind: Literal["mlp"] = "mlp"
    width: int = 128
    layers: int = 2
    latent: int = 64
    spectral_norm: bool = False
    group: int = 1
    fourier: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse shapes that no network can have."""
        check_ranges(
            self,
            "mlp",
            width=(1, WIDEST),
            layers=(1, 512),
            latent=(1, WIDEST),
            group=(1, WIDEST),
            fourier=(0, float("inf")),
        )
        if not all(0 < wave < float("inf") for wave in self.fourier):
            raise UsageError(f"mlp: fourier {self.fourier}, wanted frequencies above 0")


class MLPGenerator(nn.Module):
    """See `undrift.networks.gan.Generator`."""

    def __init__(
        self, config: MLPGANConfig, *, channels: int, size: tuple[int, int], context: ContextSpec
    ) -> None:
        super().__init__()
        self.latent, self.context = config.latent, context
        self.shape = (channels, *size)
        inputs = config.latent + context.vector + context.maps * prod(size)
        numbers = [inputs] + [config.width] * config.layers
        self.layers = nn.ModuleList(
            _started(nn.Linear(inward, outward))
            for inward, outward in zip(numbers, numbers[1:], strict=False)
        )
        self.out = _started(nn.Linear(config.width, prod(self.shape)))

    def forward(self, z: Tensor, context: Context | None = None, truncation: float = 1.0) -> Tensor:
        """See `undrift.networks.gan.Generator`."""
        h = with_context(truncation * z, context, self.context)
        if self.context.maps:
            h = torch.cat([h, required(context, "maps").flatten(1).to(h.dtype)], dim=1)
        for layer in self.layers:
            h = F.leaky_relu(layer(h), SLOPE)
        return self.out(h).unflatten(1, self.shape)


class MLPDiscriminator(nn.Module):
    """Images (B, C, H, W) and a context to logits (B,)."""

    def __init__(
        self, config: MLPGANConfig, *, channels: int, size: tuple[int, int], context: ContextSpec
    ) -> None:
        super().__init__()
        self.group, self.fourier = config.group, config.fourier
        self.maps = context.maps
        inputs = (channels * (1 + 2 * len(config.fourier)) + context.maps) * prod(size)
        numbers = [inputs] + [config.width] * config.layers
        numbers[-2] += int(config.group > 1)
        self.layers = nn.ModuleList()
        for inward in numbers[:-1]:
            layer = _started(nn.Linear(inward, config.width))
            self.layers.append(normalised(layer) if config.spectral_norm else layer)
        head = ProjectionHead(config.width, context, bounded=config.spectral_norm)
        self.head = normalised(head) if config.spectral_norm else head

    def forward(self, x: Tensor, context: Context | None = None) -> Tensor:
        """(B, C, H, W) -> (B,)."""
        h = with_maps(with_waves(x, self.fourier), context, self.maps).flatten(1)
        for number, layer in enumerate(self.layers, start=1):
            if self.group > 1 and number == len(self.layers):
                h = with_spread(h[:, :, None, None], self.group).flatten(1)
            h = F.leaky_relu(layer(h), SLOPE)
        return self.head(h, context)


def _started(layer: nn.Linear) -> nn.Linear:
    """Start weights so that variances are kept, and the bias at 0."""
    nn.init.kaiming_normal_(layer.weight, SLOPE, nonlinearity="leaky_relu")
    nn.init.zeros_(layer.bias)
    return layer
