"""What every test runs under: one thread per process, interrupts, and a cache of its own."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile

import pytest

# Before torch is loaded, here and in every process that tests start, workers of xdist among them.
for _pool in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_pool] = "1"

# Each module is compiled once, not by each of these processes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

_made: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    # `pytest &` starts with interrupts ignored, and `nohup pytest` with hang-ups.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if not hasattr(config, "workerinput"):
        _made.append(tempfile.mkdtemp(prefix="undrift-tests-"))
        os.environ["UNDRIFT_CACHE"] = _made[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The longest tests first, so that no worker waits for one of them at the end.
    items.sort(key=lambda item: item.path.name != "test_commands.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in a line how the golden cases were compared: what bits depend on may have changed."""
    reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    said = {value for one in reports for name, value in one.user_properties if name == "golden"}
    for comparison in sorted(said):
        terminalreporter.write_line(f"golden cases were compared {comparison}")


def pytest_unconfigure(config: pytest.Config) -> None:
    for folder in _made:
        shutil.rmtree(folder, ignore_errors=True)
