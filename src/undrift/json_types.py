"""Types of JSON documents: what `schema.to_plain` returns and JSON and YAML files hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    JsonValue: TypeAlias = (
        "Mapping[str, JsonValue] | Sequence[JsonValue] | str | int | float | bool | None"
    )
else:  # `schema.from_plain` takes a field of this type as it is
    JsonValue = object

JsonObject: TypeAlias = dict[str, JsonValue]
"""A JSON object as it is written or read; where one is only read, take a `Mapping`."""
