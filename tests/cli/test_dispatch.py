"""From words to a verb, and from an error to one line and an exit code."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import types

import pytest

from undrift import errors
from undrift.cli import dispatch


@pytest.fixture
def verb(monkeypatch):
    """Install a function as the verb ``doctor``; returns the installer."""

    def install(run):
        module = types.ModuleType("undrift.cli.doctor")
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "undrift.cli.doctor", module)

    return install


def raising(error):
    def run(words):
        raise error

    return run


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_verb_and_ends_with_what_is_next(words, capsys):
    assert dispatch.main(words) == 0
    printed = capsys.readouterr()
    for name, summary in dispatch.VERBS.items():
        assert f"  {name} " in printed.out and summary in printed.out
    assert printed.out.splitlines()[-1].startswith("next: ")
    assert printed.err == ""


def test_version(capsys):
    assert dispatch.main(["--version"]) == 0
    assert capsys.readouterr().out == "undrift 0.1.0\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("what"), 2),
        (errors.DataError("what"), 3),
        (errors.ModelFileError("what"), 4),
        (errors.DivergedError("what"), 5),
        (errors.TerminatedError("what"), 75),
        (errors.InterruptedRunError("what"), 130),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(verb, capsys, error, code):
    verb(raising(error))
    assert dispatch.main(["doctor"]) == code
    printed = capsys.readouterr()
    assert printed.err == "undrift: what\n"
    assert printed.out == ""


def test_a_message_of_several_lines_is_still_printed_as_one_and_whole(verb, capsys):
    message = "a\n  b" + " long" * 200
    verb(raising(errors.UsageError(message)))
    assert dispatch.main(["doctor"]) == 2
    assert capsys.readouterr().err == "undrift: a   b" + " long" * 200 + "\n"


def test_names_in_a_message_keep_their_blanks(verb, capsys):
    verb(raising(errors.DataError("my  holiday\tphotos /x.png: broken\r\nsomehow")))
    assert dispatch.main(["doctor"]) == 3
    assert capsys.readouterr().err == "undrift: my  holiday\tphotos /x.png: broken somehow\n"


def test_names_in_a_message_command_no_terminal(verb, capsys):
    verb(raising(errors.DataError("\x1b[2Jgone \u202egnp.\udce9")))
    assert dispatch.main(["doctor"]) == 3
    assert capsys.readouterr().err == "undrift: \\x1b[2Jgone \\u202egnp.\\xe9\n"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, 2),
        (errno.EDQUOT, 2),
        (errno.EROFS, 2),
        (errno.EACCES, 2),
        (errno.EBUSY, 1),
    ],
)
@pytest.mark.parametrize("name", ["out/a.png", None])
def test_what_cannot_be_written_is_a_usage_error(verb, capsys, number, code, name):
    verb(raising(OSError(number, os.strerror(number), name)))
    assert dispatch.main(["doctor"]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert os.strerror(number) in line and (name or "undrift") in line
    assert ("unexpected" in line) == (code == 1)


@pytest.mark.parametrize("place", [["--debug", "doctor"], ["doctor", "--debug"]])
def test_debug_lets_the_traceback_through(verb, place):
    verb(raising(errors.UsageError("what")))
    with pytest.raises(errors.UsageError, match="what"):
        dispatch.main(place)


def test_an_unexpected_exception_is_one_line_that_says_how_to_see_more(verb, capsys):
    verb(raising(RuntimeError("tensor\nsizes")))
    assert dispatch.main(["doctor"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "undrift: RuntimeError: tensor sizes (unexpected; run again with --debug to see where)"
    )
    with pytest.raises(RuntimeError):
        dispatch.main(["doctor", "--debug"])


def test_ctrl_c_is_130(verb, capsys):
    verb(raising(KeyboardInterrupt()))
    assert dispatch.main(["doctor"]) == 130
    assert capsys.readouterr().err == "undrift: interrupted\n"


@pytest.mark.parametrize(
    ("number", "line"),
    [(signal.SIGTERM, "terminated"), (signal.SIGHUP, "the terminal was closed")],
)
@pytest.mark.parametrize("name", ["doctor", "train"])
def test_a_stop_is_one_line_and_leaves_the_signal_as_it_was(
    verb, monkeypatch, capsys, name, number, line
):
    def run(words):
        try:
            signal.raise_signal(number)
        except Exception:  # what swallows errors must not swallow this
            pytest.fail("kept")

    verb(run)
    monkeypatch.setitem(sys.modules, "undrift.cli.train", sys.modules["undrift.cli.doctor"])
    assert signal.getsignal(number) is signal.SIG_DFL
    assert dispatch.main([name]) == (75 if name == "train" else 128 + number)
    assert capsys.readouterr().err == f"undrift: {line}\n"
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_hang_up_is_ignored_under_nohup(verb):
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        verb(lambda words: signal.raise_signal(signal.SIGHUP))
        assert dispatch.main(["doctor"]) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_a_host_that_handles_sigterm_keeps_its_handler(verb, monkeypatch):
    received = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        verb(lambda words: signal.raise_signal(signal.SIGTERM))
        assert dispatch.main(["doctor"]) == 0
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert received == [signal.SIGTERM]


@pytest.mark.parametrize(("rank", "speaks"), [("0", True), ("1", False)])
def test_of_several_ranks_the_first_one_speaks(verb, monkeypatch, capsys, rank, speaks):
    from undrift.cli.console import make_console

    for name, value in (("RANK", rank), ("WORLD_SIZE", "2"), ("LOCAL_RANK", rank)):
        monkeypatch.setenv(name, value)

    def run(words):
        make_console().print("result")
        raise errors.UsageError("what")

    verb(run)
    assert dispatch.main(["doctor"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ("result\n" if speaks else "")
    assert printed.err == ("undrift: what\n" if speaks else "")
    assert dispatch.main(["inspect", "--what"]) == 2
    assert (capsys.readouterr().err != "") == speaks


def test_a_rank_without_a_world_is_told_what_is_missing(verb, monkeypatch, capsys):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("RANK", "1")
    verb(raising(errors.UsageError("only RANK is set")))
    assert dispatch.main(["doctor"]) == 2
    assert capsys.readouterr().err == "undrift: only RANK is set\n"


def test_the_words_after_the_verb_reach_it(verb):
    seen = []
    verb(seen.extend)
    assert dispatch.main(["doctor", "a", "--b", "--debug"]) == 0
    assert seen == ["a", "--b"]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("trian", "unknown command 'trian'; did you mean 'train'?"),
        ("smaple", "unknown command 'smaple'; did you mean 'sample'?"),
        (
            "zzz",
            "unknown command 'zzz'; commands: demo, inspect, train, distill, adapt, sample, ",
        ),
        ("--seed", "unknown flag before the command '--seed'; commands: "),
    ],
)
def test_an_unknown_verb_is_named_with_a_suggestion(word, hint, capsys):
    assert dispatch.main([word]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"undrift: {hint}")


@pytest.mark.parametrize("words", [["--help"], ["runs", "list"], ["train", "--help"]])
def test_a_reader_that_leaves_early_is_no_error(words):
    code = f"import sys; from undrift.cli.dispatch import main; sys.exit(main({words}))"
    writer = subprocess.Popen(
        [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert writer.stdout is not None and writer.stderr is not None
    writer.stdout.close()
    assert writer.stderr.read() == b""
    writer.stderr.close()
    assert writer.wait() == dispatch.BROKEN_PIPE


def test_python_dash_m_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "undrift", "nonsense"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("undrift: unknown command 'nonsense'")
