"""Errors that a user can act on.

Every message is one line that says what was given, what was wanted and what to do. The command line
prints it after ``undrift: `` and leaves with the error's exit code; from Python they are ordinary
exceptions.
"""

from __future__ import annotations


class UndriftError(Exception):
    """Base of every error that undrift raises on purpose.

    Attributes:
        exit_code: what the command line returns for it.
    """

    exit_code = 1


class UsageError(UndriftError):
    """A flag, value or configuration that cannot be used, or an output that cannot be written."""

    exit_code = 2


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
