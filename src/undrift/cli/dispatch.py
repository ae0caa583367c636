"""From the words of a command line to a verb, and from an error to a line and an exit code.

This module loads nothing but the standard library, so that ``undrift --help`` answers at once; a
verb's own module loads tyro for its flags and torch only after they have proved sound.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

from undrift import advice, synonyms
from undrift.cli.streams import guarded
from undrift.errors import (
    LONGEST_MESSAGE,
    InterruptedRunError,
    TerminatedError,
    UndriftError,
    UsageError,
    shortened,
)
from undrift.names import did_you_mean, printable
from undrift.threads import bound_spin
from undrift.version import __version__

VERBS = {
    "demo": "train on the handwritten digits for a minute, sample and report",
    "inspect": "summarise and check a data set before training on it",
    "train": "train a diffusion model, or a GAN, on a folder of images",
    "distill": "make a trained diffusion model draw in 1, 2 or 4 steps",
    "adapt": "add maps or a new style to a trained diffusion model, which stays as it is",
    "sample": "draw images from a trained model",
    "inpaint": "inpaint masked regions of images, by a diffusion model or a GAN",
    "edit": "vary images, or restore blurred, small or grey ones",
    "evaluate": "measure samples: how good, how diverse, how original",
    "likelihood": "bits per dimension of images, and which of them are unlikely",
    "compare": "train several methods alike, with many seeds, and report how they compare",
    "claims": "why diffusion replaced GANs: six claims, measured",
    "curve": "compare samplers: quality against network evaluations and seconds",
    "tune-sampler": "learn few-step samplers for one model and keep them in it",
    "runs": "list the runs, show one, or delete some",
    "doctor": "check the environment",
}

RESUMABLE = ("train", "distill", "adapt", "sample", "evaluate", "curve", "compare", "claims")
"""Verbs that go on where they were stopped when the same command is given again."""

INTERRUPTED = 130
BROKEN_PIPE = 141

STOPS = (signal.SIGTERM, signal.SIGHUP)
"""What schedulers and closed terminals send; without work to resume the code is 128 and it."""

UNWRITABLE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG),
    *(errno.EACCES, errno.EPERM),
)
"""Reasons of the system to refuse a write that the user can act on."""


class Terminated(BaseException):
    """A signal of `STOPS`; no ``except Exception`` keeps it."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.signal = number


def stopped(stop: BaseException, words: str) -> InterruptedRunError | TerminatedError:
    """The error of a command that Ctrl-C or a signal of `STOPS` ended.

    Args:
        stop: KeyboardInterrupt or `Terminated`.
        words: what is kept, after "interrupted" or "terminated"; that the command goes on is added.
    """
    ctrl_c = isinstance(stop, KeyboardInterrupt)
    kind, word = (InterruptedRunError, "interrupted") if ctrl_c else (TerminatedError, "terminated")
    return kind(f"{word}{words}; the same command goes on")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        argv: the words after ``undrift``; the process's own by default.

    Returns:
        0, or the exit code of the error, which has then been printed as exactly one line on stderr
        (``--debug`` lets the traceback through instead; of several ranks only the first prints).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    with guarded() as output:
        code = _coded(words, debug)
        if code == 0 and output is not None and output.lost is not None:
            reason = output.lost.strerror or output.lost
            return _fail(f"stdout: {reason}; the work is done, but lines were lost", 2)
        return code


def _coded(words: list[str], debug: bool) -> int:
    """Run the command, and turn whatever ends it into one line and an exit code."""
    try:
        with _terminable(), advice.command():
            try:
                _run(words)
            except SystemExit as leaving:  # tyro: help (0), or a usage error that it has printed
                return leaving.code if isinstance(leaving.code, int) else 0
            finally:
                sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone, as with `| head`. Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        if debug:
            raise
        return _fail("interrupted", INTERRUPTED)
    except Terminated as stop:
        # Also before the work has begun or just after: schedulers know by the code to start again.
        resumable = words[:1] and words[0] in RESUMABLE
        what = "terminated" if stop.signal is signal.SIGTERM else "the terminal was closed"
        return _fail(what, TerminatedError.exit_code if resumable else 128 + stop.signal)
    except UndriftError as error:
        if debug:
            raise
        return _fail(str(error), error.exit_code)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            place = "an output" if error.filename is None else os.fsdecode(error.filename)
            return _fail(
                f"{place}: {error.strerror}; make room, or name a place that can be written", 2
            )
        said = shortened(str(error), LONGEST_MESSAGE)
        what = f"{type(error).__name__}: {said}" if said else type(error).__name__
        return _fail(f"{what} (unexpected; run again with --debug to see where)", 1)
    return 0


def first_rank() -> bool:
    """Whether this process prints: of those that ``torchrun`` starts, only the first one does."""
    return "WORLD_SIZE" not in os.environ or os.environ.get("RANK", "0") == "0"


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let `STOPS` end the command like an error; training has handlers of its own meanwhile.

    A signal that a host program handles is left to it, and one that is ignored stays so, as
    SIGHUP does under ``nohup``.
    """
    free = [number for number in STOPS if signal.getsignal(number) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        free = []
    for number in free:
        signal.signal(number, _terminate)
    try:
        yield
    finally:
        for number in free:
            signal.signal(number, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(signal.Signals(number))


def _run(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return
    verb, *rest = words
    if verb in ("-V", "--version"):
        print(f"undrift {__version__}")
        return
    if verb not in VERBS:
        raise UsageError(_unknown(verb))
    bound_spin()
    importlib.import_module(f"undrift.cli.{verb.replace('-', '_')}").run(rest)


def _overview() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {summary}" for verb, summary in VERBS.items())
    return (
        "usage: undrift COMMAND [ARGUMENTS]\n\n"
        "Train, sample, measure and report diffusion models on your own images.\n\n"
        f"{verbs}\n\n"
        "undrift COMMAND --help lists a command's flags; --debug shows tracebacks;\n"
        "--version prints the version.\n\n"
        "next: undrift demo"
    )


def _unknown(verb: str) -> str:
    hint = did_you_mean(verb, VERBS, f"commands: {', '.join(VERBS)}", synonyms.VERBS)
    kind = "flag before the command" if verb.startswith("-") else "command"
    return f"unknown {kind} {verb!r}; {hint}"


def _fail(message: str, code: int) -> int:
    """Print the line."""
    if first_rank():
        line = printable(" ".join(message.splitlines()))
        print(f"undrift: {line}", file=sys.stderr, flush=True)
    return code
