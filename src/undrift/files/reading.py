"""Files that may hold anything, and come from anywhere: the one way to read them.

Only regular files are opened: a pipe would wait for its writer, a device has no end. Every fault is
one error of the class that the caller names, with the path, what is wrong and what to do. Text is
UTF-8, with or without a byte order mark. YAML is read by `undrift.files.yaml_reading`, NumPy's
arrays by `undrift.files.arrays`, safetensors by `undrift.files.tensors`.
"""

from __future__ import annotations

import errno
import io
import json
import math
import os
import re
import stat
from pathlib import Path

from undrift.errors import UndriftError, one_line, shown
from undrift.json_types import JsonObject, JsonValue

LARGEST_TEXT = 256 * 2**20
"""Bytes; a JSON file above this is refused unread."""

DEEPEST = 64
"""Levels of lists and mappings in one another; nothing that undrift writes has ten."""

MOST_DIGITS = 40
"""Of an integer; no setting, count or seed has half as many."""

Failure = type[UndriftError]


def open_regular(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Open a file for reading; pipes, sockets, devices and folders are refused unopened.

    Raises:
        OSError: if it cannot be opened, is no regular file, or no file can have that name.
    """
    try:
        _check_regular(os.stat(path), path)
        # O_NONBLOCK: a pipe that took the file's place since the check must not hang the process.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError as error:  # a NUL, or what the filesystem's encoding cannot say
        raise OSError(errno.EINVAL, "no file can have that name", os.fspath(path)) from error
    try:
        _check_regular(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return open(descriptor, "rb")


def _check_regular(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))


def regular_bytes(path: str | os.PathLike[str], limit: int | None = None) -> bytes:
    """The content of a regular file of at most ``limit`` bytes.

    Raises:
        OSError: as `open_regular`; or it is larger than ``limit`` or than memory.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if limit is not None and size > limit:
            raise _too_large(path, f"{size:,} bytes, more than the {limit:,} that are read")
        try:
            # what /proc shows has no size of its own, and a file may grow meanwhile
            data = file.read() if limit is None else file.read(limit + 1)
        except MemoryError as error:
            raise _too_large(path, f"{size:,} bytes, more than memory has room for") from error
    if limit is not None and len(data) > limit:
        raise _too_large(path, f"more than the {limit:,} bytes that are read")
    return data


def _too_large(path: str | os.PathLike[str], text: str) -> OSError:
    return OSError(errno.EFBIG, text, os.fspath(path))


def read_bytes(
    path: str | os.PathLike[str], error: Failure, advice: str, *, limit: int | None = None
) -> bytes:
    """The content of a regular file.

    Args:
        path: the file.
        error: the class of error to raise.
        advice: what to do; the message ends with it.
        limit: bytes; a larger file is refused. None: as many as memory has room for.

    Raises:
        UndriftError: an ``error``: missing, unreadable, not a regular file, or too large.
    """
    try:
        return regular_bytes(path, limit)
    except OSError as fault:
        raise unreadable(path, fault, error, advice) from fault


def unreadable(
    path: str | os.PathLike[str], fault: OSError, error: Failure, advice: str
) -> UndriftError:
    """The ``error`` for a path that the system would not open or read."""
    if isinstance(fault, FileNotFoundError):
        return error(f"{path} is missing; {advice}")
    return error(f"{path} cannot be read ({fault.strerror or fault}); {advice}")


def read_json(
    path: str | os.PathLike[str], error: Failure, advice: str, *, limit: int = LARGEST_TEXT
) -> JsonValue:
    """What a JSON file says; see `parse_json`.

    Raises:
        UndriftError: an ``error``: it cannot be read, or is not JSON.
    """
    data = read_bytes(path, error, advice, limit=limit)
    return parse_json(data, str(path), error, advice)


def read_mapping(path: str | os.PathLike[str], error: Failure, advice: str) -> JsonObject:
    """What a JSON file of one object says; see `parse_json`.

    Raises:
        UndriftError: an ``error``: it cannot be read, is not JSON, or no object.
    """
    return mapping(read_json(path, error, advice), str(path), error, advice)


def mapping(value: object, where: str, error: Failure, advice: str) -> JsonObject:
    """``value``, which has to be a mapping.

    Raises:
        UndriftError: an ``error`` that names ``where``: it is none.
    """
    if not isinstance(value, dict):
        raise error(f"{where} holds {shown(value)}, wanted a mapping; {advice}")
    return value


def parse_json(data: bytes | str, where: str, error: Failure, advice: str) -> JsonValue:
    """What JSON says, strictly: no key twice, no NaN or infinity, no number that no field has.

    Args:
        data: the text.
        where: where it came from; the message starts with it.
        error: the class of error to raise.
        advice: what to do; the message ends with it.

    Raises:
        UndriftError: an ``error``: not JSON, or nested too deeply.
    """
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        value = _JSON.decode(text)
        _check_depth(text)
    except RecursionError as fault:
        raise error(f"{where} is not JSON (nested too deeply); {advice}") from fault
    except ValueError as fault:
        raise error(f"{where} is not JSON ({one_line(fault)}); {advice}") from fault
    return value


def integer(text: str) -> int:
    """The integer of at most `MOST_DIGITS` digits that ``text`` says.

    Raises:
        ValueError: it has more, which nothing here can use and much of Python cannot convert.
    """
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text):,} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number that JSON knows")


def _unique(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the key {shown(name)} appears twice")
            seen.add(name)
    return found


_JSON = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=integer,
    parse_float=_finite,
    parse_constant=_no_constant,
)
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


def _check_depth(text: str) -> None:
    """Refuse what other code, which recurs into lists and mappings, could not go through."""
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    brackets = _STRING.sub(b"", text.encode("utf-8", "replace")).translate(None, _NO_BRACKET)
    for _ in range(DEEPEST):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets:
        raise ValueError("nested too deeply")


def expanded(name: str, error: Failure) -> Path:
    """The path that a user gave, with ``~`` and ``~name`` replaced.

    Raises:
        UndriftError: an ``error``: there is no such home folder, or no file can have that name.
    """
    try:
        path = Path(name).expanduser()
        os.stat(path)
    except RuntimeError as fault:
        raise error(f"{shown(name)}: {one_line(fault)}; give the whole path") from fault
    except ValueError as fault:
        raise error(f"{shown(name)}: no file can have that name; give another path") from fault
    except OSError as fault:
        if fault.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EIO):
            raise error(f"{shown(name)}: {fault.strerror}; give another path") from fault
        return Path(name).expanduser()
    return path
