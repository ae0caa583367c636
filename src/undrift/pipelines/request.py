"""Which images are wanted, and the settings with which a family draws them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, TypeAlias, TypeVar, get_type_hints

import torch

from undrift.arguments import converted, shown
from undrift.errors import UsageError
from undrift.pipelines.whole_number import check_images, within

Settings = TypeVar("Settings")

_BATCHES = (8, 256)  # smallest and largest default batch
_BATCH_VALUES_CPU = 1 << 16  # image values per batch: more falls out of the caches
_BATCH_VALUES = 1 << 22  # elsewhere: more only fills memory


@dataclass(frozen=True)
class Request:
    """Images ``first`` to ``first + n - 1`` of a seed.

    Attributes:
        n: number of images.
        seed: of the initial noise.
        first: number of the first image.
        batch_size: images drawn at once.

    Raises:
        UsageError: for a number out of range.
    """

    n: int
    seed: int
    first: int
    batch_size: int

    def __post_init__(self) -> None:
        check_images(self.n, self.first, self.seed)
        within("batch_size", self.batch_size, 1)

    @property
    def batches(self) -> list[range]:
        """Numbers of the images that are drawn together."""
        end = self.first + self.n
        return [
            range(start, min(start + self.batch_size, end))
            for start in range(self.first, end, self.batch_size)
        ]


def suitable_batch(image_shape: tuple[int, int, int], device: torch.device) -> int:
    """How many images of ``image_shape`` (C, H, W) are best drawn at once on ``device``."""
    values = _BATCH_VALUES_CPU if device.type == "cpu" else _BATCH_VALUES
    least, most = _BATCHES
    return max(least, min(most, values // math.prod(image_shape)))


Keywords: TypeAlias = Mapping[str, Any]
"""Settings of a family as keywords of its pipelines; its dataclass has their types."""


def read_settings(kind: type[Settings], given: Mapping[str, object], owner: str) -> Settings:
    """A family's settings dataclass, filled from keywords.

    Args:
        kind: the dataclass.
        given: keywords; None stands for the default, whether or not the family has the setting.
        owner: what has these settings, such as ``"a GAN"``, for the message.

    Raises:
        UsageError: for a setting that ``kind`` lacks, or a value that it cannot have.
    """
    hints = _hints(kind)
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    values = {}
    for name, value in given.items():
        if value is None:
            continue
        if name not in known:
            raise unknown_setting(name, value, known, owner)
        values[name] = converted(name, value, hints[name])
    return kind(**values)


def unknown_setting(name: str, value: object, known: Sequence[str], owner: str) -> UsageError:
    """The error of a setting that a family does not have.

    Args:
        name: of the setting, as the caller spells it.
        value: that was given.
        known: settings that there are, spelled likewise.
        owner: what has these, such as ``"a GAN"``.
    """
    takes = ", ".join(known) or "none of its own"
    return UsageError(f"{name} {shown(value)}: {owner} has no such setting; it takes {takes}")


@cache
def _hints(kind: type) -> dict[str, object]:
    return get_type_hints(kind)
