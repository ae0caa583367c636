"""A diffusion model: everything that its images depend on but settings and seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undrift import networks
from undrift.codec import Codec
from undrift.conditioning import Condition, ConditionEncoder, ConditionSpec
from undrift.diffusion import Denoiser
from undrift.errors import UsageError
from undrift.networks import Context, NetworkConfig
from undrift.pipelines.spec import SampleSpec
from undrift.sampling import BoundDenoise


@dataclass(frozen=True, eq=False)
class DiffusionModel:
    """A denoiser, the encoder of its conditions, and the space that it works in.

    Attributes:
        denoiser: the network with its path and what it predicts.
        encoder: of its conditions; None for a network that takes no context.
        codec: between the model's space and images.
        spec: image shape, classes and default settings.
        network_config: what ``denoiser.network`` was built from; None for the user's own network.

    Raises:
        UsageError: if the encoder's classes or vocabulary are not the spec's.
    """

    denoiser: Denoiser
    encoder: ConditionEncoder | None
    codec: Codec
    spec: SampleSpec
    network_config: NetworkConfig | None = None

    def __post_init__(self) -> None:
        known = ConditionSpec() if self.encoder is None else self.encoder.spec
        if known.classes != len(self.spec.class_names):
            raise UsageError(
                f"encoder of {known.classes} classes, spec of {len(self.spec.class_names)}: give "
                "the same"
            )
        if known.numbers != self.spec.numbers:
            raise UsageError("encoder and spec take other numbers: give the same")
        if known.maps != self.spec.maps:
            raise UsageError("encoder and spec take other maps: give the same")
        if known.text != self.spec.text:
            raise UsageError("encoder and spec have another text vocabulary: give the same")

    @property
    def weights(self) -> nn.ModuleDict:
        """Everything with parameters: ``network`` and, where there is one, ``encoder``."""
        modules: dict[str, nn.Module] = {"network": self.denoiser.network}
        if self.encoder is not None:
            modules["encoder"] = self.encoder
        return nn.ModuleDict(modules)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the network's input and of the noise."""
        return self.codec.latent_shape(self.spec.image_shape)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((weight.device for weight in self.weights.parameters()), torch.device("cpu"))

    @property
    def memory_format(self) -> torch.memory_format:
        """What our own network is fast in; a user's may count on plain strides."""
        if self.network_config is None:
            return torch.contiguous_format
        return networks.memory_format(self.device)

    def context(self, condition: Condition, count: int) -> Context | None:
        """The encoded condition of ``count`` samples; None for a network that takes none."""
        return None if self.encoder is None else self.encoder(condition.to(self.device), count)

    def bound_denoiser(self, condition: Condition, count: int) -> BoundDenoise:
        """The unguided denoiser of ``count`` images under their condition."""
        context = self.context(condition, count)
        return lambda x_t, t: self.denoiser(x_t, t, context)

    def decoded(self, x0: Tensor) -> NDArray[np.uint8]:
        """Images of the model's space as pixels, uint8 (B, H, W, C)."""
        return self.codec.decode(x0.detach()).permute(0, 2, 3, 1).cpu().contiguous().numpy()
