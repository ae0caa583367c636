"""Names are compared in one Unicode form."""

from __future__ import annotations

import os
import subprocess
import unicodedata

import pytest

from undrift.names import find, nearest, normalised, printable, shell_line

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def test_both_forms_are_one_name():
    assert NFC != NFD
    assert normalised(NFC) == normalised(NFD) == NFC
    assert find(NFC, {NFD: 3}) == find(NFD, {NFC: 3}) == 3
    assert find("cafe", {NFC: 3}) is None


def test_the_very_same_spelling_goes_first():
    assert find(NFD, {NFC: 0, NFD: 1}) == 1


def test_nearest():
    assert nearest("cta", ["dog", "cat"]) == "cat"
    assert nearest("zebra", ["dog", "cat"]) is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat's café — 猫\t(1).png", "cat's café — 猫\t(1).png"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\nb\r\x85c\u2028d", r"a\nb\r\u0085c\u2028d"),
        ("gnp.\u202etac", r"gnp.\u202etac"),
        (b"caf\xe9.png".decode("utf-8", "surrogateescape"), r"caf\xe9.png"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_is_shown_is_one_line_that_commands_no_terminal(name, shown):
    assert printable(name) == shown
    shown.encode()


def test_a_line_for_a_shell_is_printable_and_read_back_as_the_words():
    words = ["my photos", "it's", "$5", os.fsdecode(b"caf\xe9 it's \\x41"), "\x1b[2J\n", "\u732b"]
    line = shell_line(words)
    assert printable(line) == line
    assert line.startswith("'my photos' ")
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True)
    assert [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]] == words
