"""Frozen dataclasses to plain data and back, strictly.

Configurations are dataclasses; files hold what JSON and YAML can say. Members of a union carry a
``kind: Literal["..."]`` field that tells them apart. Nothing is guessed on the way back: an unknown
key, a missing one or a value of another type is a ``UsageError`` that names the place.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from undrift.errors import UsageError, shown
from undrift.names import did_you_mean

T = TypeVar("T")

MOST_ENTRIES = 64
"""Of a list in a network's configuration."""


def optional() -> Any:  # noqa: ANN401 - as `dataclasses.field`
    """A field of a dataclass that is None by default, and then no key in plain data."""
    return dataclasses.field(default=None, metadata={"optional": True})


def to_plain(value: Any) -> Any:  # noqa: ANN401 - plain data has no narrower type
    """Return ``value`` as dicts, lists, strings, numbers, booleans and None.

    Raises:
        TypeError: if ``value`` holds something that plain data cannot say.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_plain(entry)
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
    of a file cannot ask for more than any machine has.

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


def check_known(cls: type, data: Mapping[str, Any], where: str) -> None:
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
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in data:
        if name not in fields:
            hint = did_you_mean(str(name), fields, f"known: {', '.join(fields)}")
            raise UsageError(f"{where}: unknown key {shown(str(name))}; {hint}")
    hints = _hints(cls)
    values = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _value(hints[name], data[name], f"{where}: {name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UsageError(f"{where}: the key {name!r} is missing; add it")
    try:
        return cls(**values)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def _value(hint: Any, data: object, where: str) -> object:  # noqa: ANN401 - any annotation
    if hint is Any or getattr(hint, "_is_protocol", False):
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
        _, entry = get_args(hint)
        return {str(name): _value(entry, item, f"{where}.{name}") for name, item in data.items()}
    return _scalar(hint, data, where)


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
    return tuple(
        _value(hint, entry, f"{where}[{i}]")
        for i, (hint, entry) in enumerate(zip(hints, data, strict=True))
    )


def _union(members: tuple[Any, ...], data: object, where: str) -> object:
    if data is None and types.NoneType in members:
        return None
    classes: dict[str | None, Any] = {
        _kind(member): member for member in members if dataclasses.is_dataclass(member)
    }
    if classes and isinstance(data, Mapping):
        if len(classes) == 1:
            (only,) = classes.values()
            return _dataclass(only, data, where)
        kind = data.get("kind")
        if not isinstance(kind, str | None) or kind not in classes:
            raise _mismatch(f"{where}: kind", kind, f"one of {', '.join(map(str, classes))}")
        return _dataclass(classes[kind], data, where)
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


def _kind(cls: Any) -> str | None:  # noqa: ANN401 - any dataclass type
    hint = _hints(cls).get("kind")
    return get_args(hint)[0] if get_origin(hint) is Literal else None


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _mismatch(where: str, given: object, wanted: str) -> UsageError:
    return UsageError(f"{where}: got {shown(given)}, wanted {wanted}")
