r"""Low-rank adaptation: trainable matrices of rank r added to frozen layers.

.. math::

    y = W x + \lambda\,\frac{\alpha}{r}\,B (A x)                                              (1)

with :math:`A` (r rows) random and :math:`B` zero at the start, and a strength :math:`\lambda`. Of a
convolution :math:`A` has its kernel and stride, and :math:`B` is 1x1, as in PEFT, whose file layout
is `undrift.pipelines.adapter.peft`.

Reference: Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from undrift.networks.blocks import zeroed
from undrift.schema import check_ranges


@dataclass(frozen=True)
class LoRAConfig:
    """Rank and scale of a low-rank adapter.

    Attributes:
        kind: names this configuration in a file.
        rank: r of equation (1).
        alpha: of equation (1); 0 means ``rank``, which scales by 1.
    """

    kind: Literal["lora"] = "lora"
    rank: int = 8
    alpha: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self, "lora", rank=(1, 1024), alpha=(0, 1e6))

    @property
    def scale(self) -> float:
        """Alpha / r."""
        return (self.alpha or self.rank) / self.rank


class LowRank(nn.Module):
    """A frozen linear layer or convolution with matrices A and B beside it.

    Args:
        layer: is frozen.
        config: rank and scale.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d, config: LoRAConfig) -> None:
        super().__init__()
        self.base_layer = layer
        self.scale, self.strength = config.scale, 1.0
        if isinstance(layer, nn.Conv2d):
            self.lora_A: nn.Module = nn.Conv2d(
                layer.in_channels,
                config.rank,
                layer.kernel_size,  # type: ignore[arg-type] - as the layer has it
                layer.stride,  # type: ignore[arg-type]
                layer.padding,  # type: ignore[arg-type]
                bias=False,
            )
            self.lora_B: nn.Module = zeroed(
                nn.Conv2d(config.rank, layer.out_channels, 1, bias=False)
            )
        else:
            self.lora_A = nn.Linear(layer.in_features, config.rank, bias=False)
            self.lora_B = zeroed(nn.Linear(config.rank, layer.out_features, bias=False))
        nn.init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5))  # type: ignore[arg-type]
        layer.requires_grad_(False)

    @property
    def weight(self) -> Tensor:
        """Of the frozen layer: networks read its type."""
        return self.base_layer.weight

    def forward(self, x: Tensor) -> Tensor:
        """Equation (1); at strength 0 the layer's own output, bit by bit."""
        y = self.base_layer(x)
        if self.strength == 0:
            return y
        return y + (self.strength * self.scale) * self.lora_B(self.lora_A(x))

    @torch.no_grad()
    def merged(self) -> nn.Linear | nn.Conv2d:
        """The layer with the product of A and B added to its weights, at the present strength."""
        layer = self.base_layer
        first, second = self.lora_A.weight, self.lora_B.weight
        if isinstance(layer, nn.Conv2d):
            change = torch.einsum("or,rikl->oikl", second[:, :, 0, 0], first)  # type: ignore[index]
        else:
            change = second @ first  # type: ignore[operator]
        layer.weight += (self.strength * self.scale) * change
        return layer


def with_low_rank(network: nn.Module, config: LoRAConfig) -> dict[str, LowRank]:
    """Put a `LowRank` in the place of every linear layer and convolution of ``network``.

    Returns:
        Each by the name of the layer that it adapts.
    """
    found: dict[str, LowRank] = {}
    network.requires_grad_(False)
    for name, module in list(network.named_modules()):
        for child, layer in list(module.named_children()):
            if isinstance(layer, nn.Linear | nn.Conv2d):
                made = LowRank(layer, config)
                setattr(module, child, made)
                found[f"{name}.{child}" if name else child] = made
    return found
