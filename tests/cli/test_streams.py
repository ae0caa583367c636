"""Printing is never the reason to fail: closed, full and narrow streams."""

from __future__ import annotations

import os
import subprocess
import sys
import types

import pytest

from undrift.cli import dispatch
from undrift.cli.console import make_console
from undrift.runs.activity import make_bar

LINES = ("caf\xe9 \u732b", "\x1b[31mred\x1b[0m [bold]b[/bold] :smile: \udce9", "two\nlines")


@pytest.fixture
def done(monkeypatch):
    """Install a verb that prints through a console and by itself; returns what it did."""
    did: list[str] = []

    def run(words):
        console = make_console()
        for line in LINES:
            console.print(line)
            did.append(line)
        print("caf\xe9")
        did.append("end")

    module = types.ModuleType("undrift.cli.doctor")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "undrift.cli.doctor", module)
    return did


@pytest.mark.parametrize(
    ("encoding", "first"),
    [
        ("utf-8", "caf\xe9 \u732b"),
        ("latin-1", "caf\xe9 \\u732b"),
        ("ascii", "caf\\xe9 \\u732b"),
    ],
)
def test_a_character_that_the_console_lacks_is_escaped(
    done, tmp_path, monkeypatch, encoding, first
):
    with open(tmp_path / "out", "w", encoding=encoding) as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert dispatch.main(["doctor"]) == 0
        assert sys.stdout is out
    printed = (tmp_path / "out").read_text(encoding=encoding).splitlines()
    assert printed[0] == first
    assert printed[1] == r"\x1b[31mred\x1b[0m [bold]b[/bold] :smile: \xe9"
    assert printed[2:4] == ["two", "lines"]
    assert printed[4] == first.split()[0]


def test_a_full_device_costs_the_lines_and_not_the_work(done, monkeypatch, capsys):
    with open("/dev/full", "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert dispatch.main(["doctor"]) == 2
    assert done[-1] == "end"
    assert capsys.readouterr().err == (
        "undrift: stdout: No space left on device; the work is done, but lines were lost\n"
    )


def test_an_error_that_cannot_be_printed_keeps_its_code(done, monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert dispatch.main(["nonsense"]) == 2
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as broken:
        monkeypatch.setattr(sys, "stderr", broken)
        assert dispatch.main(["nonsense"]) == 2


def test_no_stream_at_all(done, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert dispatch.main(["doctor"]) == 0
    assert done[-1] == "end"
    assert dispatch.main(["nonsense"]) == 2
    assert sys.stdout is None


def test_a_pipe_that_does_not_block_gets_every_line(done, monkeypatch):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    line = "x" * 200_000  # more than a pipe holds
    monkeypatch.setattr(
        sys.modules["undrift.cli.doctor"], "run", lambda words: make_console().print(line)
    )
    cat = subprocess.Popen(["wc", "-c"], stdin=reader, stdout=subprocess.PIPE, text=True)
    os.close(reader)
    with open(writer, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert dispatch.main(["doctor"]) == 0
    assert cat.communicate()[0].strip() == str(len(line) + 1)


@pytest.mark.parametrize(("shell", "code"), [("2>&1 >/dev/full", 2), (">&- 2>&-", 0)])
def test_a_real_command_whose_stdout_is_full_or_closed(tmp_path, shell, code):
    command = f"{sys.executable} -m undrift runs list {shell}"
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert len(done.stdout.splitlines()) == (code != 0)
    assert done.stderr == ""


def test_a_progress_bar_shows_a_name_as_it_is():
    bar = make_bar(make_console())
    bar.add_task("sampling [/nothing] [bold]x \x1b[2J", total=2)
    (row,) = zip(*(column.cells for column in bar.make_tasks_table(bar.tasks).columns), strict=True)
    assert str(row[0]) == r"sampling [/nothing] [bold]x \x1b[2J"
