"""Arguments of public functions, converted to the types that the annotations say.

``@checked`` reads a function's annotations when it is first called. NumPy's and torch's scalars
become plain numbers, one-dimensional arrays, tensors, ranges and tuples become lists, so that
whatever is accepted can also be written into JSON. What has another type is a ``UsageError`` that
names the argument, before any work starts: a bool is no number, bytes are no text, and nan and the
infinities are no numbers. This module loads neither torch nor NumPy: before others have, nothing
can be of their types.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import math
import operator
import os
import pathlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import (
    Any,
    Literal,
    ParamSpec,
    TypeGuard,
    TypeVar,
    Union,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
)

from undrift import errors, synonyms
from undrift.errors import UsageError
from undrift.names import did_you_mean, nearest

P = ParamSpec("P")
R = TypeVar("R")
Given = TypeVar("Given")

MOST_WHOLE = 1 << 63
"""Whole numbers are smaller, as those of NumPy and torch are."""

MOST_ENTRIES = 10_000_000
"""Entries of a list that are converted: a longer one is a mistake."""


class _Mismatch(Exception):  # noqa: N818 - never leaves this module
    """The value does not have the type; perhaps with what was wanted more precisely."""


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Convert the arguments of ``function`` to its annotations, or refuse them.

    Raises:
        UsageError: from the call, for an argument of another type; keywords that ``function`` does
            not know are Python's own ``TypeError``.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        hints = _hints(function)
        for name, given in bound.arguments.items():
            hint = hints.get(name)
            if get_origin(hint) is Unpack:
                fields = get_type_hints(get_args(hint)[0])
                for key in given.keys() & fields:
                    given[key] = converted(key, given[key], fields[key])
            elif hint is not None:
                bound.arguments[name] = converted(name, given, hint)
        return function(*bound.args, **bound.kwargs)

    return call


def keywords_of(options: Callable[P, Given]) -> Callable[[Callable[[Given], R]], Callable[P, R]]:
    """Let a function of ``options``, a dataclass, be called with its fields as keywords.

    The fields are the function's signature, with their types and defaults, for people, editors and
    type checkers.

    Raises:
        UsageError: from the call, for a keyword that is no field, and what the dataclass raises.
    """

    def decorate(function: Callable[[Given], R]) -> Callable[P, R]:
        signature = inspect.signature(options)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for name in kwargs.keys() - signature.parameters.keys():
                known = list(signature.parameters)
                hint = did_you_mean(name, known, f"known: {', '.join(known)}", synonyms.SETTINGS)
                raise UsageError(f"{function.__name__}(): unknown setting {name!r}; {hint}")
            bound = signature.bind(*args, **kwargs)
            return function(options(*bound.args, **bound.kwargs))  # type: ignore[call-arg]

        returned = inspect.signature(function).return_annotation
        call.__signature__ = signature.replace(return_annotation=returned)  # type: ignore[attr-defined]
        return call

    return decorate


def check_fields(instance: object) -> None:
    """Convert the fields of a dataclass to their annotations; its ``__post_init__`` begins so.

    Raises:
        UsageError: for a field of another type.
    """
    for name, hint in _hints(type(instance)).items():
        object.__setattr__(instance, name, converted(name, getattr(instance, name), hint))


def converted(name: str, given: object, hint: Any) -> Any:  # noqa: ANN401 - any annotation
    """``given`` as the annotation ``hint`` says.

    Raises:
        UsageError: if it has another type; ``name`` is what the message calls it.
    """
    try:
        return _value(hint, given)
    except _Mismatch as mismatch:
        wanted = str(mismatch) or _wanted(hint)
        raise UsageError(f"{name} {shown(given)}: wanted {wanted}{_meant(hint, given)}") from None


def _meant(hint: Any, given: object) -> str:  # noqa: ANN401 - any annotation
    """The choice of ``hint`` that ``given`` stands for, as a question."""
    parts = [part for part in (hint, *get_args(hint)) if get_origin(part) is Literal]
    choices = [str(choice) for part in parts for choice in get_args(part)]
    near = nearest(given, choices, synonyms.CHOICES) if isinstance(given, str) else None
    return "" if near is None else f"; did you mean {near!r}?"


def shown(value: Any) -> str:  # noqa: ANN401 - any value
    """``value`` in a message: on one line, and cut where it is long."""
    if (_is_of("numpy", value, "ndarray") or _is_torch(value, "Tensor")) and value.ndim:
        return f"of type {value.dtype} and shape {tuple(value.shape)}"
    return " ".join(errors.shown(value).split())


@functools.cache
def _hints(function: Callable[..., object] | type) -> dict[str, object]:
    return get_type_hints(function)


def _value(hint: Any, given: object) -> object:  # noqa: ANN401 - any annotation
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _member(get_args(hint), given)
    if origin is Literal:
        plain = _plain(given)
        if any(type(plain) is type(choice) and plain == choice for choice in get_args(hint)):
            return plain
        raise _Mismatch
    if origin is collections.abc.Sequence:
        return _list(get_args(hint)[0], given)
    if origin is tuple:
        return _tuple(get_args(hint), given)
    if origin is collections.abc.Mapping:
        return _mapping(get_args(hint), given)
    if origin is collections.abc.Callable:
        return _instance(given, callable(given))
    if _is_array(hint):
        return _array(given)
    if _is_path(hint):
        return _path(given)
    if hint is Any:
        return given
    if _is_device(hint):
        return _device(given)
    convert = _SCALARS.get(hint)
    return _instance(given, isinstance(given, hint)) if convert is None else convert(given)


def _member(members: tuple[Any, ...], given: object) -> object:
    """The value of the first member of a union that takes it; whole numbers before others."""
    if given is None:
        return _instance(given, types.NoneType in members)
    if any(_is_device(member) or _is_path(member) for member in members):  # text names one
        members = tuple(member for member in members if member is not str)
    reasons = []
    for member in sorted(members, key=lambda member: member is float):
        try:
            return _value(member, given)
        except _Mismatch as mismatch:
            reasons.append(str(mismatch))
    raise _Mismatch(max(reasons, key=len))


def _instance(given: object, fits: bool) -> object:
    if not fits:
        raise _Mismatch
    return given


def _plain(given: Any) -> Any:  # noqa: ANN401 - any value
    """NumPy's and torch's numbers and texts as Python's, arrays of one dimension as lists."""
    if _is_of("numpy", given, "generic") or _is_of("numpy", given, "ndarray"):
        ours = given.ndim <= 1 and given.dtype.kind in "biufUO"
        return given.tolist() if ours else given
    if _is_torch(given, "Tensor") and given.ndim <= 1:
        try:
            return given.detach().tolist()
        except (RuntimeError, TypeError):  # a tensor without values, as on the meta device
            return given
    return given


def _bool(given: object) -> bool:
    plain = _plain(given)
    if not isinstance(plain, bool):
        raise _Mismatch
    return plain


def _int(given: object) -> int:
    plain = _plain(given)
    if isinstance(plain, bool) or _is_of("numpy", plain, "ndarray") or _is_torch(plain, "Tensor"):
        raise _Mismatch
    try:
        number = operator.index(plain)  # type: ignore[arg-type] - what is none raises
    except TypeError:
        raise _Mismatch from None
    if abs(number) >= MOST_WHOLE:
        raise _Mismatch("a whole number below 2^63")
    return number


def _float(given: object) -> float:
    plain = _plain(given)
    if isinstance(plain, bool) or not (
        isinstance(plain, int | float) or _is_of("numpy", plain, "floating")
    ):
        raise _Mismatch
    try:
        number = float(plain)
    except OverflowError:
        raise _Mismatch from None
    if not math.isfinite(number):
        raise _Mismatch
    return number


def _str(given: object) -> str:
    plain = _plain(given)
    if not isinstance(plain, str):
        raise _Mismatch
    return str.__str__(plain)


def _path(given: object) -> str:
    if not isinstance(given, str | os.PathLike):
        raise _Mismatch
    path = os.fspath(given)
    if not isinstance(path, str) or not path or "\0" in path:
        raise _Mismatch
    return path


def _list(entry: Any, given: object) -> list[object]:  # noqa: ANN401 - any annotation
    plain = _plain(given)
    several = isinstance(plain, collections.abc.Sequence)
    if not several or isinstance(plain, str | bytes | bytearray | memoryview):
        raise _Mismatch
    if len(plain) > MOST_ENTRIES:
        raise _Mismatch
    return [_value(entry, item) for item in plain]


def _array(given: object) -> object:
    """An array of numbers or truth values; of tensors on any device, and of lists of numbers."""
    import numpy as np

    if _is_torch(given, "Tensor"):
        given = given.detach().cpu() if given.device.type != "meta" else given
    elif not isinstance(given, np.ndarray | list | tuple):
        raise _Mismatch
    try:
        array = np.asarray(given)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise _Mismatch from None
    if array.dtype.kind not in "biuf":
        raise _Mismatch
    return array


def _tuple(entries: tuple[Any, ...], given: object) -> tuple[object, ...]:
    if entries[1:] == (Ellipsis,):
        return tuple(_list(entries[0], given))
    several = _list(Any, given)
    if len(several) != len(entries):
        raise _Mismatch
    return tuple(_value(entry, item) for entry, item in zip(entries, several, strict=True))


def _mapping(entries: tuple[Any, ...], given: object) -> dict[object, object]:
    if not isinstance(given, collections.abc.Mapping):
        raise _Mismatch
    key, entry = entries
    return {_value(key, name): _value(entry, item) for name, item in given.items()}


def _device(given: object) -> object:
    """A device that is there and keeps what is moved to it."""
    import torch

    if not isinstance(given, str | torch.device):
        raise _Mismatch
    try:
        device = torch.device(given)
        torch.empty(0, dtype=torch.float32, device=device)
    except (RuntimeError, AssertionError):
        raise _Mismatch from None
    if device.type == "meta":
        raise _Mismatch
    return device


_SCALARS: dict[Any, Callable[[object], object]] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
}


def _is_of(package: str, given: object, name: str) -> TypeGuard[Any]:
    """Whether ``given`` is of the class ``name`` of a package, perhaps not loaded."""
    module = sys.modules.get(package)
    return module is not None and isinstance(given, getattr(module, name))


def _is_torch(given: object, name: str) -> TypeGuard[Any]:
    return _is_of("torch", given, name)


def _is_array(hint: Any) -> bool:  # noqa: ANN401 - any annotation
    kind = get_origin(hint) or hint
    return (getattr(kind, "__module__", ""), getattr(kind, "__name__", "")) == ("numpy", "ndarray")


def _is_device(hint: Any) -> bool:  # noqa: ANN401 - any annotation
    return (getattr(hint, "__module__", ""), getattr(hint, "__name__", "")) == ("torch", "device")


def _is_path(hint: Any) -> bool:  # noqa: ANN401 - any annotation
    return hint is pathlib.Path or (get_origin(hint) or hint) is os.PathLike


def _wanted(hint: Any) -> str:  # noqa: ANN401 - any annotation
    """What an annotation accepts, in words."""
    return " or ".join(dict.fromkeys(_words(hint)))


def _words(hint: Any) -> Iterator[str]:  # noqa: ANN401 - any annotation
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        members = get_args(hint)
        named = any(_is_device(member) or _is_path(member) for member in members)
        for member in members:
            yield from () if named and member is str else _words(member)
    elif origin is Literal:
        yield f"one of {', '.join(map(str, get_args(hint)))}"
    elif origin is tuple and Ellipsis not in get_args(hint):
        yield f"a list of {len(get_args(hint))} entries, each {_wanted(get_args(hint)[0])}"
    elif origin is collections.abc.Mapping:
        key, entry = get_args(hint)
        yield f"a dictionary from {_wanted(key)} to {_wanted(entry)}"
    elif origin in (collections.abc.Sequence, tuple):
        yield f"a list of {_wanted(get_args(hint)[0])}"
    elif _is_path(hint):
        yield "a path"
    elif origin is collections.abc.Callable:
        yield "a function"
    elif _is_array(hint):
        yield "an array"
    elif _is_device(hint):
        yield "a device of this machine, such as cpu or cuda"
    else:
        yield _NAMES.get(hint) or f"a {getattr(hint, '__name__', hint)}"


_NAMES: dict[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    types.NoneType: "None",
}
