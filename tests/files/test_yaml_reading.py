"""YAML is read as plain data, and what could grow beyond its own size is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from undrift.errors import UsageError
from undrift.files import yaml_reading
from undrift.files.yaml_reading import parse_yaml, read_yaml


def parsed(text: str | bytes) -> object:
    data = text.encode() if isinstance(text, str) else text
    return parse_yaml(data, "c.yaml", UsageError, "repair it")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [" + ", ".join([f"*{before}"] * 9) + "]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: 1\nb: [x, 2.5, null, ~, true, '1', \"2\", -3]\nc:\n  d: {e: 1.0e-08, f: ''}\n",
        "- |\n  two\n  lines\n- >\n  folded\n  text\n",
        "!!str 5",
        "# nothing but a comment\n",
    ],
)
def test_it_agrees_with_the_safe_loader(text: str) -> None:
    assert parsed(text) == yaml.safe_load(text)
    assert parsed(b"\xef\xbb\xbf" + text.encode()) == yaml.safe_load(text)


def test_what_is_dumped_is_read() -> None:
    value = {"names": ["2024-01-01", "1e5", "null", "=", "<<", "é", "a: b", "", "010"], "n": 2**63}
    assert parsed(yaml.safe_dump(value, allow_unicode=True)) == value


@pytest.mark.parametrize("text", ["2024-01-01", "2024-99-99", "=", "<<", "12:30:00 nonsense"])
def test_dates_and_merge_keys_are_the_text_that_they_are(text: str) -> None:
    assert parsed(f"a: {text}") == {"a": text}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "anchors and aliases are not read"),
        ("a: &a 1", "anchors and aliases are not read"),
        ("[" * 100_000, "nested too deeply"),
        ("- " * 50_000 + "x", "nested too deeply"),
        ("{a: " * 5_000, "nested too deeply"),
        ("a: " + "9" * 5000, "a number of 5,000 digits"),
        ("a: -" + "9" * 400, "a number of 401 digits"),
        ("a: 1\nb: 2\na: 3", "the key 'a' appears twice"),
        ("a: {x: 1, x: 2}", "the key 'x' appears twice"),
        ("? [a, b]\n: 1", "a key is a list or a mapping"),
        ("a: 1\n---\nb: 2", "a second document"),
        ("!!python/object/apply:os.getcwd []", "tags such as"),
        ("!!binary aGk=", "tags such as"),
        ("!!bool nonsense", "tags such as"),
        ("a: 0x_", "invalid literal"),
        ("a: [", "did not find"),
        (b"\xff\xfe", "invalid start byte"),
        ("a: \0", "control characters"),
    ],
)
def test_what_it_refuses(text: str | bytes, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(text)
    assert str(caught.value).startswith("c.yaml: not YAML (")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


def test_keys_are_text() -> None:
    assert parsed("1: one\ntrue: yes") == {"1": "one", "true": True}
    with pytest.raises(UsageError, match="'1' appears twice"):
        parsed("1: one\n'1': two")


def test_values_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_reading, "MOST_VALUES", 10)
    assert parsed("[" + "1, " * 9 + "]") == [1] * 9
    with pytest.raises(UsageError, match="more than 10 values"):
        parsed("[" + "1, " * 10 + "]")


def test_many_keys_are_compared_once_each() -> None:
    names = [f"k{i}" for i in range(20_000)]
    assert list(parsed("\n".join(f"{name}: 1" for name in names))) == names  # type: ignore[call-overload]


def test_a_file_that_is_too_large_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"a: 1\n" + b"#" * 2**24)
    with pytest.raises(UsageError, match="bytes, more than"):
        read_yaml(path, UsageError, "repair it")
