"""What every result begins with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Result:
    """The first fields of every result.

    Attributes:
        version: of undrift.
        target: model or samples, as the user named them.
    """

    version: str
    target: str
