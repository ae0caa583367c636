"""stdout and stderr of a command: whatever becomes of them, the work goes on.

A closed stream is the null device, as ``>/dev/null`` is. A character that the console's encoding
lacks is shown by its escape. A full disk or a terminal that is gone costs the lines, not the work;
the caller learns at the end that lines were lost. Only a reader that leaves a pipe early ends the
command, as it ends any other.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Output(io.FileIO):
    """A descriptor that is written to until that fails; what comes after that is discarded.

    Attributes:
        lost: the error that ended it, or None.
    """

    def __init__(self, descriptor: int, *, pipe: bool) -> None:
        """``pipe``: whether a reader that has gone is an error, as `BrokenPipeError`."""
        super().__init__(descriptor, "wb", closefd=False)
        self.lost: OSError | None = None
        self._pipe = pipe

    def write(self, data: Buffer) -> int:
        """Write all of ``data``, waiting where the descriptor does not block."""
        view = memoryview(data).cast("B")
        rest = view
        while rest and self.lost is None:
            try:
                written = super().write(rest)
            except OSError as error:
                if self._pipe and isinstance(error, BrokenPipeError):
                    raise
                self.lost = error
            else:
                if written is None:
                    select.select((), (self,), ())
                rest = rest[written or 0 :]
        return len(view)


@contextlib.contextmanager
def guarded() -> Iterator[Output | None]:
    """Replace ``sys.stdout`` and ``sys.stderr`` as described above; put them back at the end.

    Yields:
        What is below stdout, or None where a host program has put a stream of its own there.
    """
    _occupy()
    before = sys.stdout, sys.stderr
    with contextlib.ExitStack() as opened:
        sys.stdout, output = _guard(before[0], opened, pipe=True)
        sys.stderr, _ = _guard(before[1], opened, pipe=False)
        try:
            yield output
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(BrokenPipeError):
                    stream.flush()
            sys.stdout, sys.stderr = before


def _occupy() -> None:
    """Open what is closed of 0, 1 and 2, lest a file of the run gets the number of a stream."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # the lowest free number is given out, which is this one
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _guard(
    stream: TextIO | None, opened: contextlib.ExitStack, *, pipe: bool
) -> tuple[TextIO, Output | None]:
    if stream is None:  # Python found it closed
        return opened.enter_context(open(os.devnull, "w", encoding="utf-8")), None
    if type(stream) is not io.TextIOWrapper:  # one that a host program has put there
        return stream, None
    try:
        stream.flush()
        output = Output(stream.fileno(), pipe=pipe)
    except (OSError, ValueError):  # one in memory, or closed since
        return stream, None
    guard = io.TextIOWrapper(
        output if stream.write_through else io.BufferedWriter(output),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    return guard, output
