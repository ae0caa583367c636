r"""A map joined to the input of a frozen U-Net whose layers may change a little.

With :math:`h_0 = S x` the first features of the base,

.. math::

    h_0 = S x + \lambda J m, \qquad W \to W + \lambda\,\Delta W                                (1)

with the encoded map m, a convolution :math:`J` that is zero at the start, and a strength
:math:`\lambda`. What a network of its own would read from the map stands in its first features
alone, so the layers behind have to change: by matrices of low rank (`undrift.networks.lora`), or
those of the norms and of the first convolution as they like (`Changed`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from undrift.errors import UsageError
from undrift.networks.blocks import ResidualBlock, zeroed
from undrift.networks.context import Context
from undrift.networks.lora import LoRAConfig, LowRank, with_low_rank
from undrift.networks.patches import to_patches
from undrift.networks.unet import UNet
from undrift.schema import check_ranges


@dataclass(frozen=True)
class JoinedConfig:
    """How a joined map changes the network.

    Attributes:
        kind: tells this configuration from the others in a file.
        rank: of the matrices added to every layer; 0: none, but the norms and the first convolution
            are trained.
    """

    kind: Literal["joined"] = "joined"
    rank: int = 8

    def __post_init__(self) -> None:
        check_ranges(self, "joined", rank=(0, 1024))


class Changed(nn.Module):
    """A frozen layer with a change of its weights that is zero at the start.

    Args:
        layer: is frozen.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.base_layer, self.strength = layer.requires_grad_(False), 1.0
        self.change = nn.ParameterDict(
            {name: torch.zeros_like(weight) for name, weight in layer.named_parameters()}
        )

    @property
    def own(self) -> nn.ModuleDict:
        """The change, all that is trained."""
        return nn.ModuleDict({"change": self.change})

    def forward(self, x: Tensor) -> Tensor:
        """Equation (1); at strength 0 the layer's own output, bit by bit."""
        if self.strength == 0:
            return self.base_layer(x)
        weights = {
            name: weight + self.strength * self.change[name]
            for name, weight in self.base_layer.named_parameters()
        }
        return torch.func.functional_call(self.base_layer, weights, (x,))


class JoinedUNet(nn.Module):
    """A frozen U-Net with a map joined to its input; called as the U-Net is.

    The last channels of the context's maps are joined here, those before them the base's.

    Args:
        config: what else is trained.
        base: is frozen and changed in place.
        maps: channels of the encoded maps.

    Attributes:
        changes: what is trained in each layer of the base, by the layer's name.
    """

    def __init__(self, config: JoinedConfig, base: UNet, maps: int) -> None:
        super().__init__()
        base.requires_grad_(False)
        self.maps, self.strength = maps, 1.0
        first = base.stem
        self.join = zeroed(nn.Conv2d(maps * base.patch**2, first.out_channels, 3, padding=1))
        self.changes: dict[str, LowRank | Changed]
        if config.rank:
            self.changes = dict(with_low_rank(base, LoRAConfig(rank=config.rank)))
        else:
            self.changes = _with_changes(base)
        self.base = base

    def forward(self, x: Tensor, c_noise: Tensor, context: Context | None = None) -> Tensor:
        """See `UNet.forward`; at strength 0 the base's own prediction, bit by bit."""
        if context is None or context.maps is None:
            raise UsageError("network: built for context.maps but got none; pass a Context with it")
        split = context.maps.shape[1] - self.maps
        known, own = context.maps[:, :split], context.maps[:, split:]
        context = replace(context, maps=known if split else None)
        if self.strength == 0:
            return self.base(x, c_noise, context)
        joined = self.strength * self.join(to_patches(own.to(x.dtype), self.base.patch))
        return self.base(x, c_noise, context, joined=joined)


def _with_changes(network: UNet) -> dict[str, LowRank | Changed]:
    """Put a `Changed` in the place of the first convolution and of all that norms learn."""
    found: dict[str, LowRank | Changed] = {}
    for name, module in list(network.named_modules()):
        for child, layer in list(module.named_children()):
            of_norm = isinstance(layer, nn.GroupNorm) or (
                isinstance(module, ResidualBlock) and child == "modulation"
            )
            if of_norm or layer is network.stem:
                found[f"{name}.{child}" if name else child] = made = Changed(layer)
                setattr(module, child, made)
    return found
