"""``--compile`` where the compiler does not work."""

from __future__ import annotations

from pathlib import Path

import pytest

import undrift
from undrift.errors import UsageError


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiler_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(UsageError, match="^compile: the compiler failed .* leave it out"):
        undrift.train("digits", steps=2, compile=True, out=tmp_path / "run")
