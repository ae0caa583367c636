"""The fuzz suite finds what it looks for, repeats its cases, and passes a few of them."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.fuzz.sandbox import Act, Limits, Outcome, Sandbox
from tests.fuzz.seeds import Seeds, make_seeds
from tests.fuzz.suite import case_of, faults, run_cases

CASES = 30

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="watches processes as Linux lets it"),
    # Python 3.12 and later warn of any fork beside threads, such as those of torch.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Seeds:
    return make_seeds(tmp_path_factory.mktemp("fuzz") / "seeds")


def outcome(tmp_path: Path, act: Act, prepare: Any = lambda folder: None, cpu: int = 5) -> Outcome:
    return Sandbox(tmp_path / "box", Limits(cpu, asleep=1.5)).run(prepare, act)


def fails(trace: Any) -> int:
    raise ValueError("unexpected")


def prints(text: str, file: int = 1) -> Act:
    return lambda trace: os.write(file, text.encode()) * 0


def removes_by_folder(trace: Any) -> int:
    os.unlink("secret.txt", dir_fd=os.open("../guard", os.O_RDONLY))
    return 0


def spins(trace: Any) -> int:
    while True:
        pass


def does(function: Any, *arguments: Any) -> Act:
    def act(trace: Any) -> int:
        function(*arguments)
        return 0

    return act


def test_a_sound_case_has_no_fault(tmp_path: Path):
    def act(trace: Any) -> int:
        Path("file").write_text("inside")
        os.rename("file", "cache/other")
        print("done")
        return 2

    found = outcome(tmp_path, act)
    assert faults(found) == []
    assert (found.code, found.stdout) == (2, "done\n")
    assert not (tmp_path / "box" / "case").exists()


@pytest.mark.parametrize(
    ("act", "fault"),
    [
        (lambda trace: 1, "code 1"),
        (fails, "code 1"),
        (does(os.kill, 0, signal.SIGSEGV), "ended by signal 11"),
        (does(Path("../guard/secret.txt").write_text, "x"), "violation: writes"),
        (does(Path("/tmp/undrift-fuzz-outside").write_text, "x"), "violation: writes"),
        (does(os.remove, "../guard/000000.png"), "violation: os.remove"),
        (does(shutil.rmtree, "../guard/photos"), "violation: shutil.rmtree"),
        (removes_by_folder, "violation: os.remove"),
        (does(os.mkdir, "../guard/new"), "violation: os.mkdir"),
        (does(os.rename, "../guard/photos", "photos"), "violation: os.rename"),
        (does(os.open, "../guard/pipe", os.O_RDONLY), "violation: opens"),
        (does(os.open, "/dev/zero", os.O_RDONLY), "violation: opens"),
        (does(os.system, "true"), "violation: os.system"),
        (does(subprocess.run, ["touch", "x"]), "violation: starts"),
        (does(socket.create_connection, ("localhost", 9)), "violation: socket"),
        (does(ctypes.CDLL(None).truncate, b"../guard/secret.txt", 0), "the guard changed"),
        (does(ctypes.CDLL(None).mkdir, b"../new", 0o700), "new appeared beside"),
        (does(ctypes.CDLL(None).truncate, b"mine/note.txt", 0), "mine/note.txt changed"),
        (does(ctypes.CDLL(None).unlink, b"pipe"), "is gone"),
        (does(np.ones, 9 * 2**26), "code 1"),  # more address space than there is
        (does(np.ones, 2**27 + 2**24), "grew by"),
        (prints("x" * 2**17), "printed 131072 characters"),
        (prints("\x1b[31m"), "control characters"),
        (prints("undrift: a\nundrift: b\n", 2), "several error lines"),
        (prints("x.py:1: UserWarning: careful\n", 2), "a traceback or warning"),
        (does(signal.pause), "hang: slept"),
    ],
)
def test_every_fault_is_found(tmp_path: Path, act: Act, fault: str):
    def prepare(folder: Path) -> None:
        (folder / "mine").mkdir()
        (folder / "mine" / "note.txt").write_text("mine")
        os.mkfifo(folder / "pipe")

    found = outcome(tmp_path, act, prepare)
    assert any(fault in one for one in faults(found)), (faults(found), found)
    assert not Path("/tmp/undrift-fuzz-outside").exists()


def test_a_hang_says_where_it_is(tmp_path: Path):
    found = outcome(tmp_path, spins, cpu=1)
    assert faults(found) == ["hang: used 1 s of processor time"]
    assert f"in {spins.__name__}" in found.trace


@pytest.mark.slow
def test_a_case_is_its_seed_and_number(tmp_path: Path, seeds: Seeds):
    contents = []
    for name in ("a", "b"):
        found = []
        for index in range(30):
            case, _ = case_of(seeds, 7, index)
            folder = tmp_path / name / str(index)
            folder.mkdir(parents=True)
            said = case.prepare(folder)
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            data = [path.read_bytes() for path in files if path.name != "config"]
            found.append((case.kind, case.title, said, data))
        contents.append(found)
    assert contents[0] == contents[1]
    assert len({title for _, title, _, _ in contents[0]}) > 20


@pytest.mark.slow
def test_some_cases_pass(tmp_path: Path, seeds: Seeds):
    tally = run_cases(seeds, tmp_path, 0, range(CASES), 1)
    assert tally.failures == []
    assert sum(tally.codes.values()) == CASES
    assert len(tally.kinds) > 10
