r"""Maps in a generator: added to the features that each of its stages begins with.

.. math:: h_k \leftarrow h_k + W_k * m_k, \qquad W_k = 0 \text{ at the start}            \quad (1)

with :math:`h_k` the features of stage k, :math:`m_k` the encoded maps, shrunk to its resolution and
cut into its patches, and :math:`W_k` a 1x1 convolution. Maps behind the channels of :math:`h_k`
come to the same where a convolution is next, since that is linear in both. The sum changes no
width, so that (1) is the same for stages that begin with a batch norm, a modulated convolution or
residual blocks, and a generator starts as it would without maps. They enter at every stage: what
enters at the first alone is of its resolution, and is taken out again by the norms behind it.

A discriminator takes maps as further channels of its images
(`undrift.networks.patches.with_maps`).

References: Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks",
section 3.1 (the map is an input of both networks); Park et al. 2019, "Semantic Image Synthesis with
Spatially-Adaptive Normalization", section 3 (at every stage).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from undrift.networks.blocks import zeroed
from undrift.networks.context import Context
from undrift.networks.embedding import required
from undrift.networks.gan.pyramid import shrunk
from undrift.networks.patches import to_patches


class StageMaps(nn.Module):
    """Equation (1) for all stages of a generator; without maps features stay as they are.

    Args:
        maps: channels of the context's maps; 0: there are none.
        widths: channels that each stage begins with, coarsest first; each is half as large as the
            next, and the patches of the last cover the maps.
        patch: side of the squares that are one place of a stage.
    """

    def __init__(self, maps: int, widths: Sequence[int], patch: int = 1) -> None:
        super().__init__()
        self.patch = patch
        self.layers = nn.ModuleList(
            zeroed(nn.Conv2d(maps * patch**2, width, 1, bias=False)) for width in widths if maps
        )

    def forward(self, h: Tensor, stage: int, context: Context | None) -> Tensor:
        """(B, C, H, W) -> the same shape.

        Args:
            h: features that the stage begins with.
            stage: its number, from 0, the coarsest.
            context: holds ``maps`` if there are any.

        Raises:
            UsageError: for a context without them.
        """
        if not self.layers:
            return h
        maps = required(context, "maps")
        for _ in range(len(self.layers) - 1 - stage):
            maps = shrunk(maps)
        return h + self.layers[stage](to_patches(maps, self.patch))  # (1)
