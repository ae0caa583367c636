"""Errors that a user can act on.

Every message is one line that says what was given, what was wanted and what to do. The command line
prints it after ``undrift:`` and leaves with the error's exit code; from Python they are ordinary
exceptions.
"""

from __future__ import annotations

import reprlib

LONGEST_MESSAGE = 1200
"""Characters; of a longer message the middle is left out."""


class UndriftError(Exception):
    """Base of every error that undrift raises on purpose.

    Args:
        message: the line; breaks in it become blanks, the middle of a very long one is left out.

    Attributes:
        exit_code: what the command line returns for it.
    """

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        # Only line breaks become blanks: names of files keep the blanks that they have.
        super().__init__(shortened(" ".join(message.splitlines()), LONGEST_MESSAGE))


class UsageError(UndriftError):
    """A flag, value or configuration that cannot be used, or an output that cannot be written."""

    exit_code = 2


class UnsavedResultError(UsageError):
    """A result that was computed and cannot be written where it should be.

    Attributes:
        result: what the call would have returned.
    """

    def __init__(self, message: str, result: object) -> None:
        super().__init__(message)
        self.result = result


class DataError(UndriftError):
    """Data that is missing, empty, unreadable or too broken to train on."""

    exit_code = 3


class ModelFileError(UndriftError):
    """A run, checkpoint or pipeline that is missing, damaged or not one of ours."""

    exit_code = 4


class DivergedError(UndriftError):
    """Training that produced non-finite losses or gradients ten updates in a row."""

    exit_code = 5


class TerminatedError(UndriftError):
    """Work stopped by SIGTERM or SIGHUP, its state saved; the message says how to go on."""

    exit_code = 75


class InterruptedRunError(UndriftError):
    """Work stopped by Ctrl-C after saving what was done; the message says how to go on."""

    exit_code = 130


def shortened(text: str, most: int) -> str:
    """``text``, or its first two thirds and its end where it has more than ``most`` characters."""
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - end - 5]} ... {text[-end:]}"


def shown(value: object) -> str:
    """``repr(value)`` for a message: of long values and deep ones only the beginning."""
    return shortened(_SHORT.repr(value), 160)


def one_line(error: BaseException) -> str:
    """What ``error`` says, or its type where it says nothing, on one line of readable length."""
    text = shortened(str(error), 4 * LONGEST_MESSAGE)
    return shortened(" ".join(text.split()), 240) or type(error).__name__


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 120
        self.maxlist = self.maxtuple = self.maxdict = 8
        self.maxlevel = 3

    def repr_int(self, x: int, level: int) -> str:
        """Python itself refuses to write integers of more than 4,300 digits."""
        if x.bit_length() <= 256:
            return repr(x)
        return f"a number of about {round(x.bit_length() * 0.30103):,} digits"

    def repr_dict(self, x: dict[object, object], level: int) -> str:
        """In the order that it has."""
        first = list(x.items())[: self.maxdict] if len(x) <= 10_000 else []
        if not level or len(x) > len(first):
            return f"a mapping with {len(x):,} keys" if x else "{}"
        entries = (f"{self.repr1(k, level - 1)}: {self.repr1(v, level - 1)}" for k, v in first)
        return "{" + ", ".join(entries) + "}"


_SHORT = _Short()
