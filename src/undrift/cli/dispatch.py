"""From the words of a command line to a verb, and from an error to a line and an exit code.

This module loads nothing but the standard library, so that ``undrift --help`` answers at once; a
verb's own module loads tyro for its flags and torch only after they have proved sound.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

from undrift.errors import TerminatedError, UndriftError, UsageError
from undrift.threads import bound_spin

VERBS = {
    "demo": "train on the handwritten digits for a minute, sample and report",
    "inspect": "look at a data set before training on it",
    "train": "train a diffusion model, or a GAN, on a folder of images",
    "sample": "draw images from a trained model",
    "inpaint": "paint what a mask hides of images, by a diffusion model or a GAN",
    "evaluate": "measure samples: how good, how diverse, how original",
    "likelihood": "bits per dimension of images, and which of them are unlikely",
    "compare": "train several methods alike, with many seeds, and report how they compare",
    "claims": "why diffusion replaced GANs: six claims, measured",
    "curve": "compare samplers: quality against network evaluations and seconds",
    "tune-sampler": "learn few-step samplers for one model and keep them in it",
    "runs": "list the runs, or show one",
    "doctor": "check the environment",
}

RESUMABLE = ("train", "sample", "evaluate", "curve", "compare", "claims")
"""Verbs that go on where they were stopped when the same command is given again."""

INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143


class Terminated(BaseException):
    """SIGTERM; no ``except Exception`` keeps it."""


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
    try:
        with _terminable():
            _run(words)
            sys.stdout.flush()
    except SystemExit as leaving:  # tyro: help (0), or a usage error that it has printed (2)
        return leaving.code if isinstance(leaving.code, int) else 0
    except BrokenPipeError:
        # The reader has gone, as with `| head`. Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        if debug:
            raise
        return _fail("interrupted", INTERRUPTED)
    except Terminated:
        # Also before the work has begun or just after: schedulers know by the code to start again.
        resumable = words[:1] and words[0] in RESUMABLE
        return _fail("terminated", TerminatedError.exit_code if resumable else TERMINATED)
    except UndriftError as error:
        if debug:
            raise
        return _fail(str(error), error.exit_code)
    except Exception as error:
        if debug:
            raise
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return _fail(f"{what} (unexpected; run again with --debug to see where)", 1)
    return 0


def first_rank() -> bool:
    """Whether this process speaks: of those that ``torchrun`` starts, only the first one does."""
    return "WORLD_SIZE" not in os.environ or os.environ.get("RANK", "0") == "0"


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the command like an error; training has a handler of its own meanwhile."""
    free = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not free or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _run(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return
    verb, *rest = words
    if verb in ("-V", "--version"):
        from undrift import __version__

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
    near = difflib.get_close_matches(verb, VERBS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"commands: {', '.join(VERBS)}"
    kind = "flag before the command" if verb.startswith("-") else "command"
    return f"unknown {kind} {verb!r}; {hint}"


def _fail(message: str, code: int) -> int:
    """Print the line. Only line breaks become blanks: file names keep the blanks that they have."""
    if first_rank():
        print(f"undrift: {' '.join(message.splitlines())}", file=sys.stderr, flush=True)
    return code
