"""A classifier of noisy images: the encoder half of a U-Net, its features pooled to a 4 x 4 grid.

It gets the noise level as the U-Net does, so that one network serves all levels. One mean over all
positions would lose where a feature is: on digits guidance by such a classifier reached the label
of a quarter as many samples (docs/log.md).

Reference: Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", section 4,
whose classifier is the downsampling half of their U-Net, too; they pool by attention.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from undrift.limits import MOST_CLASSES
from undrift.networks.blocks import zeroed
from undrift.networks.context import ContextSpec
from undrift.networks.norms import group_norm
from undrift.networks.unet import UNetConfig, UNetEncoder
from undrift.schema import check_ranges


@dataclass(frozen=True)
class UNetClassifierConfig(UNetConfig):
    """Shape of a classifier: that of the U-Net of whose encoder it is made.

    Attributes:
        classes: how many there are.
    """

    classes: int = 2

    def __post_init__(self) -> None:
        """Refuse shapes that no network can have."""
        super().__post_init__()
        check_ranges(self, "classifier", classes=(2, MOST_CLASSES))


GRID = 4
"""Side of the grid that the coarsest features are averaged to."""


class UNetClassifier(UNetEncoder):
    """The network that a ``UNetClassifierConfig`` describes; all classes are alike at the start.

    Args:
        config: its shape.
        channels: of the images.
    """

    def __init__(self, config: UNetClassifierConfig, *, channels: int) -> None:
        super().__init__(config, channels=channels, context=ContextSpec())
        self.norm = group_norm(self.widths[-1])
        self.head = zeroed(nn.Linear(self.widths[-1] * GRID**2, config.classes, bias=False))
        self.bias = nn.Parameter(torch.zeros(config.classes))

    def forward(self, x: Tensor, c_noise: Tensor, c_out: Tensor) -> Tensor:
        """Return logits.

        Args:
            x: (B, C, H, W), of about unit variance.
            c_noise: (B,), the preconditioned noise level.
            c_out: (B, 1) or (1, 1), factor of what the features say; at 0 a bias is left.

        Returns:
            (B, K), in the dtype of ``c_out``.
        """
        h = self.features(x, self.embedding(c_noise, None), None)[-1]
        return self.bias + c_out * self.head(pooled(F.silu(self.norm(h))).flatten(1))


def pooled(x: Tensor) -> Tensor:
    """Return means (B, C, 4, 4) of ``x`` (B, C, H, W), as adaptive average pooling has them.

    Its windows overlap where 4 does not divide a side; torch's own backward then adds up in no
    fixed order on a GPU, and a resumed training would not repeat. That of a product does.
    """
    rows, columns = (_averaging(size) for size in x.shape[2:])
    means = torch.kron(rows, columns).T.to(x)  # (H W, 16)
    with torch.autocast(x.device.type, enabled=False):
        return (x.flatten(2) @ means).unflatten(2, (GRID, GRID))


def _averaging(size: int) -> Tensor:
    """The matrix (4, size) of means over windows of a side."""
    matrix = torch.zeros(GRID, size, dtype=torch.float64, device="cpu")
    for i, row in enumerate(matrix):
        window = slice(i * size // GRID, -(-(i + 1) * size // GRID))
        row[window] = 1 / len(row[window])
    return matrix
