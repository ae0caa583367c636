"""The runs of a comparison: a method, a seed, and what is equal among all methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


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


@dataclass(frozen=True)
class Cell:
    """One run.

    Attributes:
        method: what is trained.
        ledger: for how long.
        seed: names everything random in it.
    """

    method: str
    ledger: Ledger
    seed: int

    @property
    def name(self) -> str:
        """As files and lines call it."""
        return f"{self.method}-{self.ledger.name}-{self.seed}"
