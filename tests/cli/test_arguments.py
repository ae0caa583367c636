"""Slips in the words of a command: each gives one line that names the word and what was wanted."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Sequence
from typing import Annotated, get_origin, get_type_hints

import pytest
import tyro

from undrift.cli import dispatch
from undrift.cli.arguments import check_arguments, not_none
from undrift.cli.dispatch import VERBS
from undrift.cli.flags import parse
from undrift.errors import UsageError


def refused(words, capsys):
    """The one line that a command line ends with."""
    assert dispatch.main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        ("train digits --batch-size x", "--batch-size x: wanted a whole number$"),
        ("train digits --steps None", "--steps None: wanted a whole number$"),
        ("train digits --steps 1.5", "--steps 1.5: wanted a whole number$"),
        ("train digits --lr fast", "--lr fast: wanted a number$"),
        (
            "train digits --method gan",
            "--method gan: wanted diffusion, r3gan.* or classifier; did",
        ),
        ("train digits --method stylegan", "did you mean stylegan2"),
        ("train digits --channels 2", "--channels 2: wanted 1, 3 or 4$"),
        ("train digits --stpes 3", "unknown flag --stpes; did you mean --steps"),
        ("train digits --zzzzzz", "unknown flag --zzzzzz; `undrift train --help` lists"),
        ("train digits --steps", "--steps: it takes a value; wanted a whole number"),
        ("train digits --out --quiet", "--out: it takes a value"),
        ("train digits --flip=yes", "--flip=yes: --flip takes no value"),
        ("train digits more", "'more': train takes DATA only; a name with blanks needs quotes"),
        ("sample", "sample needs RUN; `undrift sample --help`"),
        ("sample r -n many", "-n many: wanted a whole number"),
        ("sample r -nmany", "-n many: wanted a whole number"),
        ("sample r -x", "unknown flag -x"),
        ("runs list --roots r", "unknown flag --roots; did you mean --root"),
        ("runs show", "runs show needs RUN"),
        ("compare digits --budget 1m", "compare needs --out; `undrift compare --help`"),
        ("doctor --what", "unknown flag --what"),
        ("doctor now", "'now': doctor takes flags only"),
    ],
)
def test_a_slip_is_one_line(words, pattern, capsys):
    assert re.search(pattern, refused(words.split(), capsys))


def test_a_long_word_is_cut(capsys):
    line = refused(["train", "digits", "--steps", "9" * 5000], capsys)
    assert len(line) < 200


def every_command():
    for verb in VERBS:
        module = importlib.import_module(f"undrift.cli.{verb.replace('-', '_')}")
        for found in vars(module).values():
            own = isinstance(found, type) and found.__module__ == module.__name__
            if own and dataclasses.is_dataclass(found):
                yield pytest.param(found, id=found.__name__)


@pytest.mark.parametrize("command", list(every_command()))
def test_every_flag_of_every_command_refuses_what_is_no_value_of_it(command):
    hints = get_type_hints(command)
    for field in dataclasses.fields(command):
        hint = hints[field.name]
        if not_none(hint) in (str, bool) or get_origin(hint) in (tuple, Sequence):
            continue
        flag = "--lr" if field.name == "learning_rate" else f"--{field.name.replace('_', '-')}"
        for words in ([flag + "x"], [flag], [flag, "\x00"], [f"{flag}=\x00"]):
            with pytest.raises(UsageError, match=flag):
                check_arguments(command, "x", ["a", *words])


@dataclasses.dataclass(frozen=True)
class Every:
    """One flag of every kind.

    Attributes:
        place: a place.
        n: a count.
        share: a share.
        names: names.
        on: a switch.
        list: names with blanks or commas between them.
    """

    place: Annotated[tyro.conf.Positional[str], tyro.conf.arg(name="PLACE", metavar="PLACE")]
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 1
    share: float | None = None
    names: tuple[str, ...] = ()
    on: bool = False
    list: Sequence[str] = ()


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("p", Every("p")),
        ("p -n 4 --share -0.5", Every("p", 4, -0.5)),
        ("p -n4 --share=-inf --on", Every("p", 4, float("-inf"), on=True)),
        ("--names a b p", Every("p", names=("a", "b"))),
        (
            "p --names a -3 --on",
            Every("p", names=("a", "-3"), on=True),
        ),
        ("-- -p", Every("-p")),
        ("p --names", Every("p")),
        ("p --list a,b c", Every("p", list=("a", "b", "c"))),
        ("--list a,b -- -p", Every("-p", list=("a", "b"))),
    ],
)
def test_what_the_check_passes_the_parser_takes(words, value):
    found = parse(Every, "x", words.split())
    assert dataclasses.astuple(found)[:5] == dataclasses.astuple(value)[:5]
    assert tuple(found.list) == value.list


def test_a_request_for_help_is_never_refused():
    words = check_arguments(Every, "x", ["--share", "\x1b[31m", "--nothing", "-h"])
    assert words == ["--help"]
