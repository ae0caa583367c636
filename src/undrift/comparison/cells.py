"""The runs of a comparison: an arm, a seed, and what is equal among all arms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from undrift.errors import UsageError
from undrift.families import family_of_method
from undrift.options.train import TrainOptions, seconds

Setting = str | int | float | bool
"""A setting as plain data."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")

_SHARED = ("method", "seed", "budget", "images", "steps", "device", "threads", "extend")
_DATA = ("size", "fit", "channels", "background", "holdout", "bad_limit", "label_column")
"""Settings that are the comparison's to say: an arm with its own would be no arm of it."""


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: a method, by its recipe or with some settings of its own.

    Attributes:
        name: as tables, files and records call it; letters, digits and ``._+-``.
        method: what is trained.
        settings: fields of `TrainOptions` -> values in place of what the comparison says.
    """

    name: str
    method: str
    settings: Mapping[str, Setting] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        family_of_method(self.method, "methods")
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"arm {self.name!r}: wanted a name of letters, digits and ._+-")
        known = {one.name for one in fields(TrainOptions)}
        for name in self.settings:
            if name not in known:
                raise UsageError(f"arm {self.name}: there is no setting {name}; see TrainOptions")
            if name in _SHARED + _DATA:
                raise UsageError(
                    f"arm {self.name}: {name} is shared by all arms; set it for the comparison"
                )

    @property
    def plain(self) -> bool:
        """Whether it is a method by its recipe, called as the method is."""
        return self.name == self.method and not self.settings

    def with_settings(self, settings: Mapping[str, Setting]) -> Arm:
        """The same arm with ``settings`` beside or in place of its own."""
        return Arm(self.name, self.method, {**self.settings, **settings})

    def to_json(self) -> dict[str, Any]:
        """As it stands in a result."""
        return {"name": self.name, "method": self.method, "settings": dict(self.settings)}


@dataclass(frozen=True)
class Ledger:
    """What every run gets the same of.

    Attributes:
        kind: wall-clock seconds of training, or real images trained on.
        amount: how much: ``2m``, or ``200000``.
    """

    kind: Literal["seconds", "images"]
    amount: str

    @property
    def length(self) -> dict[str, Any]:
        """As a setting of a run."""
        return {"budget": self.amount} if self.kind == "seconds" else {"images": int(self.amount)}

    @property
    def words(self) -> str:
        """As a heading says it."""
        if self.kind == "seconds":
            return f"equal seconds ({self.amount} of training each)"
        return f"equal images ({int(self.amount):,} seen in training each)"

    @property
    def name(self) -> str:
        """As a folder says it."""
        return self.amount if self.kind == "seconds" else f"{self.amount}images"

    def part(self, share: float) -> Ledger:
        """A ``share`` of the same, in (0, 1]."""
        if share == 1:
            return self
        if self.kind == "images":
            return Ledger(self.kind, str(max(1, round(int(self.amount) * share))))
        return Ledger(self.kind, f"{round(seconds(self.amount) * share, 3):g}s")


@dataclass(frozen=True)
class Cell:
    """One run.

    Attributes:
        arm: what is trained.
        ledger: for how long.
        seed: names everything random in it.
        point: of the search space, that the arm's settings are at; 0 is the arm as it is.
        trial: whether it only looks for the best point.
    """

    arm: Arm
    ledger: Ledger
    seed: int
    point: int = 0
    trial: bool = False

    @property
    def name(self) -> str:
        """As files and lines call it."""
        place = f"{self.arm.name}-{self.ledger.name}"
        if self.trial:
            return f"{place}-trial{self.point}"
        return (
            f"{place}-{self.seed}" if not self.point else f"{place}-trial{self.point}-{self.seed}"
        )
