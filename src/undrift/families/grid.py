"""The sampling grid that suits images of a size: where its steps lie and how low it reaches."""

from __future__ import annotations

from dataclasses import dataclass

TINY = 12
"""Longest side, in pixels, of images that have few levels and little detail: digits, icons."""

SMALL = 40
"""Longest side of images of which three levels of resolution are enough."""


@dataclass(frozen=True)
class GridRecipe:
    """Defaults of the karras grid.

    Attributes:
        rho: how far steps crowd towards low noise.
        sigma_min: smallest noise, in standard deviations of the data.
        steps: how many.
    """

    rho: float = 7.0
    sigma_min: float = 0.004
    steps: int = 20


def grid_for(side: int, device: str, network: str | None, *, points: bool) -> GridRecipe:
    """The grid for images whose longer side is ``side`` pixels.

    Args:
        side: pixels.
        device: ``cpu`` or ``cuda``.
        network: family of network that the user named, if any.
        points: whether the images are toy 2-D data.
    """
    if points:
        return GridRecipe(rho=5.0, steps=40)
    if network == "mlp":
        return GridRecipe()
    if side <= TINY:
        return GridRecipe(rho=3.0, sigma_min=0.05)
    if side <= SMALL or device == "cpu":
        # What a network that saw few images leaves of weaker noise shows as static.
        return GridRecipe(rho=4.0, sigma_min=0.05)
    return GridRecipe()
