from __future__ import annotations

import os
import signal
import threading

import pytest

from undrift.errors import InterruptedRunError, TerminatedError
from undrift.training.signals import StopSignals


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_nothing_happens_without_a_signal() -> None:
    with StopSignals() as stop:
        assert stop.received is None


@pytest.mark.parametrize(
    ("number", "error", "code"),
    [
        (signal.SIGTERM, TerminatedError, 75),
        (signal.SIGHUP, TerminatedError, 75),
        (signal.SIGINT, InterruptedRunError, 130),
    ],
)
def test_the_first_signal_is_only_noted(
    number: signal.Signals, error: type[Exception], code: int
) -> None:
    with StopSignals() as stop:
        send(number)
        assert stop.received is number
        raised = stop.error("stopped after step 7; the same command resumes")
    assert type(raised) is error and raised.exit_code == code
    assert str(raised) == "stopped after step 7; the same command resumes"


def test_a_hang_up_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            send(signal.SIGHUP)
            assert stop.received is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_interrupt_is_immediate() -> None:
    with StopSignals() as stop, pytest.raises(KeyboardInterrupt):
        send(signal.SIGINT)
        assert stop.received is signal.SIGINT
        send(signal.SIGINT)


def test_an_interrupt_after_a_termination_is_immediate_and_the_reason_stays() -> None:
    with StopSignals() as stop:
        send(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        assert stop.received is signal.SIGTERM


def test_repeated_terminations_are_one() -> None:
    with StopSignals() as stop:
        for _ in range(3):
            send(signal.SIGTERM)
        assert stop.received is signal.SIGTERM


def test_the_handlers_of_before_are_put_back() -> None:
    caught: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: caught.append(number))
    try:
        with StopSignals() as stop:
            send(signal.SIGTERM)
        assert stop.received is signal.SIGTERM and caught == []
        send(signal.SIGTERM)
        assert caught == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGINT)


def test_another_thread_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def enter() -> None:
        with StopSignals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]
