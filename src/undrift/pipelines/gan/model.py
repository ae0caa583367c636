"""A GAN as it draws images: its generator, without the discriminator that trained it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undrift.codec import Codec
from undrift.conditioning import Condition, ConditionEncoder
from undrift.errors import UsageError
from undrift.networks import Context
from undrift.networks.gan import AdversaryConfig, Generator
from undrift.pipelines.spec import SampleSpec


@dataclass(frozen=True, eq=False)
class GANModel:
    """A generator, the encoder of its conditions, and the space that it works in.

    Attributes:
        generator: a module that is called as `undrift.networks.gan.Generator` is; batch norm and
            the like are switched to evaluation.
        encoder: of its conditions.
        codec: between the generator's space and images.
        spec: image shape and classes; its sampler, grid and steps play no part.
        network_config: what the generator was built from.
        weights: generator and encoder, as ``network`` and ``encoder``.

    Raises:
        UsageError: if the encoder's conditions are not the spec's, or the generator is no module.
    """

    generator: Generator
    encoder: ConditionEncoder
    codec: Codec
    spec: SampleSpec
    network_config: AdversaryConfig
    weights: nn.ModuleDict = field(init=False)

    def __post_init__(self) -> None:
        known = self.encoder.spec
        if known.classes != len(self.spec.class_names):
            raise UsageError(
                f"encoder of {known.classes} classes, spec of {len(self.spec.class_names)}: give "
                "the same"
            )
        ours, theirs = ((one.numbers, one.text, one.maps) for one in (known, self.spec))
        if ours != theirs:
            raise UsageError("encoder and spec take other numbers, texts or maps: give the same")
        if not isinstance(self.generator, nn.Module):
            raise UsageError(f"generator {type(self.generator).__name__}: wanted a torch module")
        modules = nn.ModuleDict({"network": self.generator, "encoder": self.encoder})
        object.__setattr__(self, "weights", modules.eval())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.weights.parameters()).device

    def context(self, condition: Condition, count: int) -> Context:
        """The encoded condition of ``count`` samples."""
        return self.encoder(condition.to(self.device), count)

    def decoded(self, z: Tensor) -> NDArray[np.uint8]:
        """Images of the generator's space as pixels, uint8 (B, H, W, C)."""
        return self.codec.decode(z).permute(0, 2, 3, 1).cpu().contiguous().numpy()
