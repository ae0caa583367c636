"""Idle OpenMP threads spin for a bounded time, unless the user chose otherwise."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

import undrift
import undrift.data  # loaded here: a test takes torch away from what would load it
from undrift import threads
from undrift.cli import dispatch

USERS = [{"GOMP_SPINCOUNT": "7"}, {"KMP_BLOCKTIME": "0"}, {"OMP_WAIT_POLICY": "active"}]

LOADS = """
import ctypes, sys
from undrift.threads import bound_spin
bound_spin()
ctypes.CDLL(sys.argv[1])
"""


@pytest.fixture
def environment(monkeypatch):
    """The process's own, in which nobody has chosen; as it was afterwards."""
    for name in threads.CHOICES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    threads._warn_late.cache_clear()
    return monkeypatch


def test_the_environment_of_a_process_is_completed_where_nobody_chose():
    assert threads.spin_bound({"PATH": "/bin"}) == threads.SPIN
    assert [threads.spin_bound(chosen) for chosen in USERS] == [{}, {}, {}]


def found(environment):
    return {name: environment.get(name) for name in threads.CHOICES}


OURS = {**threads.SPIN, "OMP_WAIT_POLICY": None}
NOTHING = dict.fromkeys(threads.CHOICES)


@pytest.mark.parametrize("enter", ["command line", "python"])
def test_it_is_bounded_before_torch_is_loaded(environment, enter):
    seen = []
    home = types.ModuleType("undrift.cli.doctor")
    home.run = lambda words: seen.append(found(os.environ))  # type: ignore[attr-defined]
    environment.setitem(sys.modules, "undrift.cli.doctor", home)
    environment.delitem(sys.modules, "torch")
    if enter == "command line":
        assert dispatch.main(["doctor"]) == 0
    else:
        undrift.__getattr__("data")
        home.run([])  # type: ignore[attr-defined]
    assert seen == [OURS]


def test_errors_and_help_change_no_environment(environment, capsys):
    environment.delitem(sys.modules, "torch")
    assert undrift.UsageError is not None and undrift.__version__
    assert dispatch.main(["--help"]) == 0
    assert found(os.environ) == NOTHING


@pytest.mark.parametrize("chosen", USERS)
def test_what_the_user_chose_stays_alone(environment, caplog, chosen):
    for name, value in chosen.items():
        environment.setenv(name, value)
    threads.bound_spin()
    environment.delitem(sys.modules, "torch")
    threads.bound_spin()
    assert found(os.environ) == NOTHING | chosen
    assert not caplog.records


@pytest.mark.parametrize(("workers", "lines"), [(2, 1), (1, 0)])
def test_with_torch_loaded_it_is_too_late_which_is_said_once(environment, caplog, workers, lines):
    loaded = types.SimpleNamespace(get_num_threads=lambda: workers)
    environment.setitem(sys.modules, "torch", loaded)
    threads.bound_spin()
    threads.bound_spin()
    assert found(os.environ) == NOTHING
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == lines
    for message in messages:
        assert "GOMP_SPINCOUNT=5000 KMP_BLOCKTIME=1" in message and "\n" not in message


def test_doctor_says_who_set_it():
    assert threads.describe_spin({"HOME": "/"}) == "the runtime's default"
    ours = threads.describe_spin({**threads.SPIN, "HOME": "/"})
    assert ours == "GOMP_SPINCOUNT=5000 KMP_BLOCKTIME=1, set by undrift"
    assert threads.describe_spin(USERS[0]) == "GOMP_SPINCOUNT=7, set by you"
    assert threads.describe_spin({**threads.SPIN, **USERS[2]}).endswith("active, set by you")


def test_the_runtime_of_torch_reads_it_where_it_is_loaded_afterwards():
    spec = importlib.util.find_spec("torch")
    library = Path(str(spec and spec.origin)).parent / "lib" / "libgomp.so.1"
    if not library.exists():
        pytest.skip("this torch brings no libgomp")
    clean = {name: value for name, value in os.environ.items() if name not in threads.CHOICES}
    done = subprocess.run(
        [sys.executable, "-c", LOADS, str(library)],
        env={**clean, "OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "GOMP_SPINCOUNT = '5000'" in done.stderr
