r"""A control branch beside a frozen U-Net: a narrow encoder that sees a map.

With :math:`h_p` the features of the base's encoder and :math:`g_p` those of the branch before its
stage p,

.. math::

    g_{p+1} = S'_p\bigl(g_p + A_p h_p\bigr), \qquad
    h_{p+1} = S_p(h_p) + \lambda B_p\,g_{p+1}                                                 (1)

with 1x1 convolutions :math:`A_p, B_p` that are zero at the start, so that training begins with the
base itself, and a strength :math:`\lambda`. The branch sees the base's features at every stage: one
that sees only the noisy image has to find out anew what the base knows.

Reference: Zavadski et al. 2024, "ControlNet-XS: Rethinking the Control of Text-to-Image Diffusion
Models as Feedback-Control Systems"; Zhang et al. 2023, "Adding Conditional Control to Text-to-Image
Diffusion Models", for the zero convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from undrift.errors import UsageError
from undrift.networks.blocks import ResidualBlock, zeroed
from undrift.networks.context import Context, ContextSpec
from undrift.networks.embedding import Embedding
from undrift.networks.patches import to_patches
from undrift.networks.unet import UNet, UNetConfig
from undrift.schema import check_ranges

NARROWEST = 8
"""Channels of a branch, at least."""


@dataclass(frozen=True)
class ControlConfig:
    """Shape of a control branch.

    Attributes:
        kind: names this configuration in a file.
        share: of the base's channels at every level.
    """

    kind: Literal["control"] = "control"
    share: float = 0.25

    def __post_init__(self) -> None:
        check_ranges(self, "control", share=(0.01, 1))


class ControlBranch(nn.Module):
    """The branch of equation (1).

    Args:
        config: its shape.
        base: shape of the network beside it.
        channels: of the images.
        maps: channels of the encoded maps that it sees.
    """

    def __init__(self, config: ControlConfig, base: UNetConfig, channels: int, maps: int) -> None:
        super().__init__()
        self.patch, self.blocks, self.maps = base.patch, base.blocks, maps
        wide = [base.width * multiplier for multiplier in base.multipliers]
        narrow = [max(NARROWEST, round(config.share * width / 8) * 8) for width in wide]
        embedding = 4 * narrow[0]
        self.embedding = Embedding(embedding, ContextSpec())
        self.stem = nn.Conv2d((channels + maps) * base.patch**2, narrow[0], 3, padding=1)
        self.stages, self.inward, self.outward = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        width, seen = narrow[0], wide[0]
        for level in range(len(wide)):
            for _ in range(base.blocks):
                self.inward.append(zeroed(nn.Conv2d(seen, width, 1)))
                self.stages.append(ResidualBlock(width, narrow[level], embedding, base.dropout))
                self.outward.append(zeroed(nn.Conv2d(narrow[level], wide[level], 1)))
                width, seen = narrow[level], wide[level]
        self.shrink = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride=2, padding=1) for width in narrow[:-1]
        )

    def start(self, x: Tensor, c_noise: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """The first features and the embedding of the noise level.

        Args:
            x: (B, C, H, W), as the base gets it.
            c_noise: (B,).
            maps: encoded (B, maps, H, W).
        """
        seen = torch.cat([x, maps.to(x.dtype)], dim=1)
        return self.stem(to_patches(seen, self.patch)), self.embedding(c_noise, None)

    def stage(
        self, position: int, g: Tensor, before: Tensor, embedding: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The next features, and what is added to the base's.

        Args:
            position: of the stage.
            g: features of the branch.
            before: features of the base before its stage.
            embedding: from `start`.
        """
        if position and position % self.blocks == 0:
            g = self.shrink[position // self.blocks - 1](g)
        g = self.stages[position](g + self.inward[position](before), embedding)
        return g, self.outward[position](g)


class ControlledUNet(nn.Module):
    """A frozen U-Net with a control branch; called as the U-Net is.

    The last channels of the context's maps are the branch's, those before them the base's.

    Args:
        base: is frozen.
        branch: beside it.
    """

    def __init__(self, base: UNet, branch: ControlBranch) -> None:
        super().__init__()
        self.base, self.branch = base, branch
        self.strength = 1.0
        base.requires_grad_(False)

    def forward(self, x: Tensor, c_noise: Tensor, context: Context | None = None) -> Tensor:
        """See `UNet.forward`; at strength 0 the base's own prediction, bit by bit."""
        if context is None or context.maps is None:
            raise UsageError("network: built for context.maps but got none; pass a Context with it")
        split = context.maps.shape[1] - self.branch.maps
        known, own = context.maps[:, :split], context.maps[:, split:]
        context = replace(context, maps=known if split else None)
        if self.strength == 0:
            return self.base(x, c_noise, context)
        g, embedding = self.branch.start(x, c_noise, own)

        def side(position: int, before: Tensor, after: Tensor) -> Tensor:
            nonlocal g
            g, added = self.branch.stage(position, g, before, embedding)
            return after + self.strength * added

        return self.base(x, c_noise, context, side)
