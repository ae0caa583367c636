"""Frozen dataclasses to plain data and back, strictly.

Configurations are dataclasses; files hold what JSON and YAML can say. Members of a union have a
``kind: Literal["..."]`` or ``state: Literal["..."]`` that distinguishes them. Nothing is guessed in
reading: an unknown key, a missing one or a value of another type is a ``UsageError`` that
names the place.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from functools import cache
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from undrift.errors import UsageError, shown
from undrift.json_types import JsonObject, JsonValue
from undrift.names import did_you_mean

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")

MOST_ENTRIES = 64
"""Of a list in a network's configuration."""

_TAGS = ("kind", "state")
"""Fields that distinguish the members of a union, in the order in which they are looked for."""


def optional(key: str | None = None) -> Any:  # noqa: ANN401 - as `dataclasses.field`
    """A field of a dataclass that is None by default, and then no key in plain data.

    Args:
        key: its name in plain data, where that is another.
    """
    named = {} if key is None else {"key": key}
    return dataclasses.field(default=None, metadata={"optional": True, **named})


def stored_as(key: str, default: Any = dataclasses.MISSING) -> Any:  # noqa: ANN401 - as `field`
    """A field of a dataclass that has another name, ``key``, in plain data."""
    return dataclasses.field(default=default, metadata={"key": key})


def stored_key(field: dataclasses.Field[Any]) -> str:
    """The name of ``field`` in plain data."""
    return field.metadata.get("key", field.name)


@overload
def to_plain(value: DataclassInstance | Mapping[str, object]) -> JsonObject: ...


@overload
def to_plain(value: object) -> JsonValue: ...


def to_plain(value: object) -> JsonValue:
    """Return ``value`` as dicts, lists, strings, numbers, booleans and None.

    Raises:
        TypeError: if ``value`` holds something that plain data cannot say.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            stored_key(field): to_plain(entry)
            for field in dataclasses.fields(value)
            if (entry := getattr(value, field.name)) is not None or "optional" not in field.metadata
        }
    if isinstance(value, Mapping):
        return {str(name): to_plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(entry) for entry in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} has no plain form")


def check_ranges(config: object, what: str, **bounds: tuple[float, float]) -> None:
    """Refuse numbers of ``config`` out of their bounds, each end included.

    A list has its entries between the bounds, and at most `MOST_ENTRIES` of them. None is left
    alone. Every number that memory or time is proportional to has an upper bound, so that one line
    of a file cannot need more than any machine has.

    Args:
        config: a dataclass; called by its ``__post_init__``.
        what: it is, for the message.
        bounds: of fields, by their names.

    Raises:
        UsageError: for the first that is outside.
    """
    for name, (low, high) in bounds.items():
        value = getattr(config, name)
        values = value if isinstance(value, tuple) else () if value is None else (value,)
        if len(values) > MOST_ENTRIES:
            raise UsageError(
                f"{what}: {name} has {len(values):,} entries, wanted {MOST_ENTRIES} at most"
            )
        if not all(low <= entry <= high for entry in values):
            raise UsageError(
                f"{what}: {name} is {shown(value)}, wanted {number(low)} to {number(high)}"
            )


def number(value: float) -> str:
    """``value`` for people: 2,000,000 rather than 2000000."""
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def from_plain(cls: type[T], data: object, where: str) -> T:
    """Build a ``cls`` from what ``to_plain`` returned.

    Args:
        cls: a dataclass type.
        data: plain data, usually read from JSON or YAML.
        where: the file that ``data`` came from; errors start with it.

    Raises:
        UsageError: for an unknown or missing key, or a value of another type.
    """
    return _dataclass(cls, data, where)


def one_of(kinds: tuple[type[T], ...], data: object, where: str) -> T:
    """Build one of ``kinds``, members of a union, from what ``to_plain`` returned.

    Raises:
        UsageError: as `from_plain`.
    """
    return cast(T, _union(kinds, data, where))


def check_known(cls: type, data: Mapping[str, object], where: str) -> None:
    """Check the fields of ``cls`` that ``data`` has; a file of another version may have others.

    Args:
        cls: a dataclass type.
        data: plain data, usually read from JSON.
        where: the file that ``data`` came from; errors start with it.

    Raises:
        UsageError: for a value of another type.
    """
    for name, hint in _hints(cls).items():
        if name in data:
            _value(hint, data[name], f"{where}: {name}")


def _dataclass(cls: type[T], data: object, where: str) -> T:
    if not isinstance(data, Mapping):
        raise _mismatch(where, data, "a mapping")
    fields = {stored_key(field): field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in data:
        if name not in fields:
            hint = did_you_mean(str(name), fields, f"known: {', '.join(fields)}")
            raise UsageError(f"{where}: unknown key {shown(str(name))}; {hint}")
    hints = _hints(cls)
    values = {}
    for name, field in fields.items():
        if name in data:
            values[field.name] = _value(hints[field.name], data[name], f"{where}: {name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UsageError(f"{where}: the key {name!r} is missing; add it")
    try:
        return cls(**values)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def _value(hint: Any, data: object, where: str) -> object:  # noqa: ANN401 - any annotation
    if hint in (Any, object) or getattr(hint, "_is_protocol", False):
        return data  # a protocol says what is built of the data; the caller builds it
    if dataclasses.is_dataclass(hint):
        return _dataclass(hint, data, where)  # type: ignore[arg-type]
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _union(get_args(hint), data, where)
    if origin is Literal:
        if any(data == choice and type(data) is type(choice) for choice in get_args(hint)):
            return data
        raise _mismatch(where, data, f"one of {', '.join(map(str, get_args(hint)))}")
    if origin is tuple:
        return _tuple(get_args(hint), data, where)
    if origin in (dict, Mapping):
        if not isinstance(data, Mapping):
            raise _mismatch(where, data, "a mapping")
        key, entry = get_args(hint)
        return {
            _name(key, name, where): _value(entry, item, f"{where}.{name}")
            for name, item in data.items()
        }
    return _scalar(hint, data, where)


def _name(hint: Any, name: object, where: str) -> object:  # noqa: ANN401 - any annotation
    """The key of an entry of a mapping; JSON knows strings only, those of seeds are whole."""
    if hint is not int:
        return str(name)
    try:
        return int(str(name))
    except ValueError as error:
        raise _mismatch(where, name, "whole numbers for keys") from error


def _scalar(hint: Any, data: object, where: str) -> object:  # noqa: ANN401 - any annotation
    if hint is float and isinstance(data, int | float) and not isinstance(data, bool):
        try:
            number = float(data)
        except OverflowError:  # an integer of more than 308 digits
            number = math.inf
        if not math.isfinite(number):
            raise _mismatch(where, data, "a finite number")
        return number
    if hint is int and isinstance(data, int) and not isinstance(data, bool):
        return data
    if hint in (str, bool) and isinstance(data, hint):
        return data
    if hint is types.NoneType and data is None:
        return None
    raise _mismatch(where, data, getattr(hint, "__name__", str(hint)))


def _tuple(hints: tuple[Any, ...], data: object, where: str) -> tuple[object, ...]:
    if not isinstance(data, list | tuple):
        raise _mismatch(where, data, "a list")
    if len(hints) == 2 and hints[1] is Ellipsis:
        hints = (hints[0],) * len(data)
    if len(hints) != len(data):
        raise _mismatch(where, data, f"a list of {len(hints)}")
    if set(hints) <= {int, str} and list(map(type, data)) == list(hints):
        return tuple(data)  # at once, where there may be a million
    return tuple(
        _value(hint, entry, f"{where}[{i}]")
        for i, (hint, entry) in enumerate(zip(hints, data, strict=True))
    )


def _union(members: tuple[Any, ...], data: object, where: str) -> object:
    if data is None and types.NoneType in members:
        return None
    classes: list[Any] = [member for member in members if dataclasses.is_dataclass(member)]
    if classes and isinstance(data, Mapping):
        if len(classes) == 1:
            return _dataclass(classes[0], data, where)
        tag = next((name for name in _TAGS if any(_choices(one, name) for one in classes)), "kind")
        known = {choice: one for one in classes for choice in _choices(one, tag) or (None,)}
        choice = data.get(tag)
        if not isinstance(choice, str | None) or choice not in known:
            raise _mismatch(f"{where}: {tag}", choice, f"one of {', '.join(map(str, known))}")
        return _dataclass(known[choice], data, where)
    scalars = [m for m in members if not dataclasses.is_dataclass(m) and m is not types.NoneType]
    if bool in scalars and isinstance(data, bool):
        return data
    for member in sorted(scalars, key=lambda m: m is float):
        try:
            return _value(member, data, where)
        except UsageError:
            continue
    names = ", ".join(getattr(m, "__name__", str(m)) for m in members)
    raise _mismatch(where, data, f"one of {names}")


def _choices(cls: Any, tag: str) -> tuple[str, ...]:  # noqa: ANN401 - any dataclass type
    """What the field ``tag`` of a member of a union may say; nothing of one without it."""
    hint = _hints(cls).get(tag)
    return get_args(hint) if get_origin(hint) is Literal else ()


@cache
def _hints(cls: type) -> dict[str, object]:
    return get_type_hints(cls)


def _mismatch(where: str, given: object, wanted: str) -> UsageError:
    return UsageError(f"{where}: got {shown(given)}, wanted {wanted}")
