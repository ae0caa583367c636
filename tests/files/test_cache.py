from __future__ import annotations

from pathlib import Path

import pytest

from undrift.files.cache import cache_directory


def test_the_variable_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    for value, wanted in (
        ("/somewhere", "/somewhere"),
        ("~/here", "/home/someone/here"),
        ("", "/home/someone/.cache/undrift"),
    ):
        monkeypatch.setenv("UNDRIFT_CACHE", value)
        assert cache_directory() == Path(wanted)
    monkeypatch.delenv("UNDRIFT_CACHE")
    assert cache_directory() == Path("/home/someone/.cache/undrift")
