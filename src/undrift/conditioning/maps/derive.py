r"""Maps that are derived from the image itself: edges, grey values, low resolution, masked regions.

All take uint8 images (B, C, H, W) and return a map of the same H and W.

**Edges** are thin and binary. With :math:`g` the gradient of the smoothed luma by Sobel's filters,
a pixel is an edge where :math:`|g|` is at least a fifth of the image's largest, at least 16 levels,
and at least as large as at both neighbours along :math:`g` (the first two steps of Canny 1986, "A
Computational Approach to Edge Detection").

**Low resolution** is the mean over squares, repeated over each square. In training noise of a
random strength is added, which is a further channel (`noised`): the network then copes with inputs
that were downscaled by another filter (Ho et al. 2022, "Cascaded Diffusion Models").
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from undrift.randomness import Draws

EDGE_SHARE = 0.2
"""Of the image's largest gradient, that an edge has at least."""

LEAST_GRADIENT = 16.0
"""In pixel values (0 to 255) per pixel: flat images have no edges."""

LARGEST_NOISE = 64.0
"""Standard deviation of the noise added to a low resolution, in pixel values, where `noised` is
given the level 255."""

BOXES, STROKES, CORNERS = 2, 2, 3
"""Boxes of a mask; strokes, and straight segments of a stroke."""

_LUMA = (0.299, 0.587, 0.114)


def luma(pixels: Tensor) -> Tensor:
    """Brightness (ITU-R BT.601) as float32 (B, 1, H, W); alpha is left aside."""
    values = pixels.float()
    if pixels.shape[1] < 3:
        return values[:, :1]
    weights = torch.tensor(_LUMA, dtype=torch.float32, device=pixels.device)
    return torch.einsum("bchw,c->bhw", values[:, :3], weights)[:, None]


def grey(pixels: Tensor) -> Tensor:
    """Brightness, uint8 (B, 1, H, W)."""
    return luma(pixels).round().clamp(0, 255).to(torch.uint8)


def edges(pixels: Tensor) -> Tensor:
    """Edges, uint8 (B, 1, H, W): 255 on an edge, else 0."""
    binomial = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float32, device=pixels.device)
    slope = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float32, device=pixels.device)
    smooth = _filtered(luma(pixels), binomial / 4, binomial / 4)
    across = _filtered(smooth, binomial / 4, slope / 2)
    down = _filtered(smooth, slope / 2, binomial / 4)
    size = (across.square() + down.square()).sqrt()
    angle = torch.atan2(down, across) % math.pi
    sector = (angle / (math.pi / 4)).round().long() % 4
    # the two neighbours along the gradient, for angles of 0, 45, 90 and 135 degrees
    around = F.pad(size, (1, 1, 1, 1))
    height, width = size.shape[2:]
    ahead, behind = torch.zeros_like(size), torch.zeros_like(size)
    for number, (y, x) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        here = sector == number
        one = around[:, :, 1 + y : 1 + y + height, 1 + x : 1 + x + width]
        other = around[:, :, 1 - y : 1 - y + height, 1 - x : 1 - x + width]
        ahead, behind = torch.where(here, one, ahead), torch.where(here, other, behind)
    largest = size.amax(dim=(2, 3), keepdim=True)
    least = (EDGE_SHARE * largest).clamp_min(LEAST_GRADIENT)
    # of two equal neighbours one is an edge
    thin = (size >= ahead) & (size > behind)
    return (thin & (size >= least)).to(torch.uint8) * 255


def reduced(pixels: Tensor, factor: int) -> Tensor:
    """Means over squares of ``factor`` pixels, uint8 (B, C, H / factor, W / factor)."""
    return F.avg_pool2d(pixels.float(), factor).round().to(torch.uint8)


def repeated(small: Tensor, factor: int) -> Tensor:
    """Each pixel as a square of ``factor`` pixels: (B, C, h, w) -> (B, C, h factor, w factor)."""
    return small.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)


def noised(small: Tensor, level: Tensor, noise: Tensor) -> Tensor:
    """Add noise to a low resolution, and its level as one more channel.

    Args:
        small: uint8 (B, C, h, w).
        level: of the noise, (B,) from 0 to 255, for 0 to `LARGEST_NOISE`.
        noise: standard normal, of the shape of ``small``.

    Returns:
        uint8 (B, C + 1, h, w).
    """
    level = level.to(small.device, torch.float32).round()[:, None, None, None]
    changed = (small + noise.to(small.device) * level * (LARGEST_NOISE / 255)).round()
    plane = level.expand(-1, 1, *small.shape[2:])
    return torch.cat([changed.clamp(0, 255), plane], dim=1).to(torch.uint8)


def hidden_regions(size: tuple[int, int], draws: Draws, device: torch.device) -> Tensor:
    """Masked regions, bool (B, 1, H, W): boxes in half of them, strokes in the others."""
    height, width = size
    rows = torch.arange(height, dtype=torch.float64, device=device)[None, :, None] + 0.5
    columns = torch.arange(width, dtype=torch.float64, device=device)[None, None, :] + 0.5

    def uniform(name: str, low: float, high: float) -> Tensor:
        drawn = draws.uniform(f"hole.{name}").to(device)
        return (low + (high - low) * drawn)[:, None, None]

    shape = (draws.stop - draws.start, height, width)
    boxes = torch.zeros(shape, dtype=torch.bool, device=device)
    for i in range(BOXES):
        y, x = uniform(f"y{i}", 0, height), uniform(f"x{i}", 0, width)
        high = uniform(f"high{i}", 0.1 * height, 0.35 * height)
        wide = uniform(f"wide{i}", 0.1 * width, 0.35 * width)
        boxes |= ((rows - y).abs() < high) & ((columns - x).abs() < wide)
    strokes = torch.zeros_like(boxes)
    side = min(size)
    for i in range(STROKES):
        y, x = uniform(f"sy{i}", 0, height), uniform(f"sx{i}", 0, width)
        thick = uniform(f"thick{i}", 0.04 * side, 0.12 * side)
        for j in range(CORNERS):
            angle = uniform(f"angle{i}.{j}", 0, 2 * math.pi)
            length = uniform(f"length{i}.{j}", 0.2 * side, 0.6 * side)
            dy, dx = angle.sin() * length, angle.cos() * length
            along = ((rows - y) * dy + (columns - x) * dx) / length.square()
            along = along.clamp(0, 1)
            far = ((rows - y - along * dy).square() + (columns - x - along * dx).square()).sqrt()
            strokes |= far < thick
            y, x = y + dy, x + dx
    return torch.where(uniform("kind", 0, 1) < 0.5, boxes, strokes)[:, None]


def _filtered(image: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Correlate (B, 1, H, W) with the product of two filters of 3, replicating the border."""
    kernel = (down[:, None] * across[None, :])[None, None]
    return F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), kernel)
