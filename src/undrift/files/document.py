"""A JSON or YAML document whose entries may be missing, as files of other versions are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from undrift.json_types import JsonObject, JsonValue


@dataclass(frozen=True, kw_only=True)
class Document:
    """An object with typed access to entries, by one name in each of the nested objects.

    Attributes:
        entries: the whole object.
    """

    entries: JsonObject = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def value(self, *path: str) -> JsonValue:
        """The entry at ``path``; None where there is none."""
        found: JsonValue = self.entries
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    def number(self, *path: str) -> float | None:
        """The number at ``path``; None of anything else."""
        found = self.value(*path)
        return found if isinstance(found, int | float) else None

    def whole(self, *path: str) -> int | None:
        """The whole number at ``path``; None of anything else."""
        found = self.value(*path)
        return found if isinstance(found, int) else None

    def numbers(self, *path: str) -> list[float] | None:
        """The numbers in the list at ``path``; None where there is no list."""
        found = self.value(*path)
        if not isinstance(found, Sequence) or isinstance(found, str):
            return None
        return [one for one in found if isinstance(one, int | float)]

    def text(self, *path: str, default: str = "") -> str:
        """The text at ``path``, or ``default``."""
        found = self.value(*path)
        return found if isinstance(found, str) else default

    def items(self, *path: str) -> Sequence[JsonValue]:
        """The list at ``path``; empty where there is none."""
        found = self.value(*path)
        return found if isinstance(found, Sequence) and not isinstance(found, str) else ()

    def part(self, *path: str) -> Document:
        """The object at ``path``; an empty one where there is none."""
        found = self.value(*path)
        return Document(entries=dict(found) if isinstance(found, Mapping) else {})
