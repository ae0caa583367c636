"""One map that images are conditioned on: what its pixels are, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from undrift.conditioning.maps import derive
from undrift.errors import UsageError
from undrift.limits import LARGEST_IMAGE
from undrift.networks.context import ContextSpec
from undrift.options.maps import Derived, MapRequest
from undrift.randomness import Draws
from undrift.schema import check_ranges
from undrift.wording import dimensions

if TYPE_CHECKING:
    from undrift.conditioning.maps.encoder import MapEncoder

NOT_GIVEN = -1
"""A pixel of a map that is not given."""

MOST_VALUES = 256
"""Classes of one map."""

ENCODED = 8
"""Channels of an encoded map."""


@dataclass(frozen=True)
class MapSpec:
    """A map that a model takes.

    Attributes:
        name: of the map, unique in a model.
        shape: (C, H, W) of its values, with the H and W of the images.
        source: ``paired`` for a map that comes with each image, else how it is derived from it.
        values: of a map of classes, the value of each class in the C channels; () for a map whose
            values are numbers.
        factor: of ``lowres``: pixels of the image, along each side, in one of the map.

    Raises:
        UsageError: for a map that cannot be.
    """

    name: str
    shape: tuple[int, int, int]
    source: Literal["paired"] | Derived = "paired"
    values: tuple[tuple[int, ...], ...] = ()
    factor: int = 1

    def __post_init__(self) -> None:
        MapRequest.parse(f"lowres:{self.factor}" if self.source == "lowres" else self.name)
        channels, height, width = self.shape
        check_ranges(self, f"map {self.name}", shape=(1, LARGEST_IMAGE), factor=(1, LARGEST_IMAGE))
        if len(set(self.values)) < len(self.values) or len(self.values) > MOST_VALUES:
            raise UsageError(
                f"map {self.name}: {len(self.values)} classes of {len(set(self.values))} values; "
                f"wanted at most {MOST_VALUES}, each with a value of its own"
            )
        if any(len(value) != channels for value in self.values):
            raise UsageError(f"map {self.name}: wanted {channels} numbers for the value of a class")
        if height % self.factor or width % self.factor:
            raise UsageError(
                f"map {self.name}:{self.factor}: {self.factor} does not divide images of "
                f"{dimensions(height, width)} pixels; give another factor or another size"
            )

    @property
    def channels(self) -> int:
        """Channels of an entry; the noise of a low resolution is one more."""
        return self.shape[0] + (self.source == "lowres")

    def derived(self, pixels: Tensor, draws: Draws, *, clean: bool = False) -> Tensor | None:
        """The entry of some images; None for a map that is not derived from them.

        Args:
            pixels: uint8 (B, C, H, W).
            draws: of masked regions and noise.
            clean: add no noise to a low resolution.
        """
        match self.source:
            case "paired":
                return None
            case "edges":
                return derive.edges(pixels)
            case "grey":
                return derive.grey(pixels)
            case "lowres":
                small = derive.reduced(pixels, self.factor)
                level = draws.uniform("map noise level") * (not clean)
                noise = draws.normal("map noise", tuple(small.shape[1:]))
                return derive.repeated(derive.noised(small, 255 * level, noise), self.factor)
            case "masked":
                hidden = derive.hidden_regions(self.shape[1:], draws, pixels.device)
                return pixels.to(torch.int16).masked_fill(hidden, NOT_GIVEN)


@dataclass(frozen=True)
class MapKind:
    """A map as a kind of condition: see `Kind`.

    Entries are uint8 or int16 (B, ``map.channels``, H, W): values of 0 to 255, and `NOT_GIVEN`
    (-1) in all channels of a pixel that is not given. The last channel of ``lowres`` is the level
    of the noise in the others; see `derive.noised`.

    Attributes:
        map: which.
    """

    map: MapSpec

    @property
    def name(self) -> str:
        """``map_`` and the map's name."""
        return f"map_{self.map.name}"

    @property
    def dropout(self) -> tuple[str, ...]:
        """See `Kind.dropout`."""
        return (f"map dropout: {self.map.name}",)

    def null(self, rows: int, device: torch.device) -> Tensor:
        """See `Kind.null`."""
        size = (rows, self.map.channels, *self.map.shape[1:])
        return torch.full(size, NOT_GIVEN, device=device, dtype=torch.int16)

    def check(self, entry: Tensor, rows: int) -> None:
        """See `Kind.check`."""
        wanted = (rows, self.map.channels, *self.map.shape[1:])
        if entry.shape != wanted or entry.dtype not in (torch.uint8, torch.int16):
            raise UsageError(
                f"condition: map {self.map.name} is {entry.dtype} {tuple(entry.shape)}, wanted "
                f"torch.uint8 or torch.int16 {wanted}"
            )

    def drop(self, entry: Tensor, dropped: Tensor) -> Tensor:
        """See `Kind.drop`; nothing of a dropped map is given."""
        mask = dropped[:, 0].to(entry.device)[:, None, None, None]
        return entry.to(torch.int16).masked_fill(mask, NOT_GIVEN)

    def context(self, width: int) -> ContextSpec:
        """Maps."""
        return ContextSpec(maps=ENCODED)

    def embedding(self, width: int) -> MapEncoder:
        """See `MapEncoder`."""
        from undrift.conditioning.maps.encoder import MapEncoder

        return MapEncoder(self.map, ENCODED)
