"""Stopping a run cleanly: signals set a flag, which the loop reads between steps.

SIGTERM comes from batch systems, SIGHUP from a terminal that is closed, SIGINT from Ctrl-C.

Nothing is saved from inside a signal handler, where the interpreter may be anywhere, halfway
through a checkpoint included.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from undrift.errors import InterruptedRunError, TerminatedError, UndriftError


class StopSignals:
    """While entered, SIGTERM, SIGHUP and the first SIGINT only set ``received``.

    A second SIGINT raises ``KeyboardInterrupt`` at once. Repeated SIGTERMs change nothing: batch
    systems and launchers send several. An ignored SIGHUP stays so: ``nohup`` has set it. Outside
    the main thread Python cannot handle signals, so there this object leaves them to the host
    program and ``received`` stays None.

    Attributes:
        received: the first signal that arrived, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def error(self, message: str) -> UndriftError:
        """The error that ends the run: exit code 130 for Ctrl-C, else 75; both say resumable.

        Args:
            message: its one line.
        """
        if self.received is signal.SIGINT:
            return InterruptedRunError(message)
        return TerminatedError(message)

    def check(self, message: str) -> None:
        """Raise `error` if a signal has come."""
        if self.received is not None:
            raise self.error(message)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._previous:
            number, previous = self._previous.popitem()
            # None: the handler was installed from outside Python and cannot be restored by it.
            signal.signal(number, signal.SIG_DFL if previous is None else previous)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        again = self.received is not None
        if self.received is None:
            self.received = signal.Signals(number)
        if again and number == signal.SIGINT:
            raise KeyboardInterrupt
