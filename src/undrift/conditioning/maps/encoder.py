"""From the pixels of a map to channels that join the noisy image at the network's input."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from undrift.conditioning.maps.spec import MapSpec
from undrift.networks.context import Context

HIDDEN = 16


class MapEncoder(nn.Module):
    """Two convolutions of a map's planes.

    The planes are the value of each channel from -1 to 1, or of a map of classes 1 for the class
    of the pixel and 0 for all others; and one that is 1 where the map is given. Of a pixel that is
    not given, all are 0.

    Args:
        spec: the map.
        channels: of the result.
    """

    classes: Tensor

    def __init__(self, spec: MapSpec, channels: int) -> None:
        super().__init__()
        self.spec = spec
        values = torch.tensor(spec.values, dtype=torch.int16, device="cpu")
        self.register_buffer("classes", values, persistent=False)
        planes = (len(spec.values) or spec.channels) + 1
        self.inward = nn.Conv2d(planes, HIDDEN, 3, padding=1)
        self.outward = nn.Conv2d(HIDDEN, channels, 3, padding=1)

    def forward(self, entry: Tensor) -> Context:
        """Pixels (B, C, H, W) -> maps (B, channels, H, W)."""
        planes = self.planes(entry).to(self.inward.weight.dtype)
        return Context(maps=self.outward(F.silu(self.inward(planes))))

    def planes(self, entry: Tensor) -> Tensor:
        """What is encoded, float32 (B, planes, H, W)."""
        given = entry[:, :1] >= 0
        if self.spec.values:
            pixels = entry.to(torch.int16)[:, None]
            values = (pixels == self.classes[None, :, :, None, None]).all(dim=2).float()
        else:
            values = entry.float() / 127.5 - 1
            if self.spec.source == "lowres":
                # Smooth between the pixels of the low resolution, which are repeated in the entry.
                small = F.avg_pool2d(values, self.spec.factor)
                values = F.interpolate(small, scale_factor=self.spec.factor, mode="bilinear")
        return torch.cat([values.where(given, 0.0), given.float()], dim=1)
