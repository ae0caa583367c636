"""SIGKILL while a run is closed or lengthened: the same command ends it, with the same result.

The kills inside training are in tests/training/test_kills.py; here the last step is made.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import undrift
from undrift.files import durable
from undrift.training.checkpoint import CheckpointStore
from undrift.workflows import closing
from undrift.workflows import train as journey


def train(directory: Path, steps: int = 4, **settings: Any) -> None:
    undrift.train("digits", out=directory, steps=steps, network="mlp", threads=1, **settings)


def killed(work: Callable[[], None], owner: Any, name: str) -> None:
    """Do ``work`` in a fork that is killed when it is about to call ``owner.name``."""
    pid = os.fork()
    if pid == 0:
        try:
            setattr(owner, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
            work()
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def weights(directory: Path, step: int) -> dict[str, torch.Tensor]:
    return CheckpointStore(directory / "checkpoints").load(step).tensors["network"]


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closing, "FEWEST", 16)
        patch.setattr(closing, "PIXELS", 0)
        yield


@pytest.fixture(scope="module")
def whole(few: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole") / "run"
    train(directory)
    return directory


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (closing, "load_weights"),
        (closing, "grid_file"),
        (closing, "_measured"),
        (closing, "write_report"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_a_run_killed_while_it_is_closed_ends_the_same(
    whole: Path, tmp_path: Path, owner: Any, name: str
) -> None:
    directory = tmp_path / "run"
    killed(lambda: train(directory), owner, name)
    train(directory)
    assert json.loads((directory / "status.json").read_text())["state"] == "done"
    for key, tensor in weights(whole, 4).items():
        assert torch.equal(weights(directory, 4)[key], tensor)
    mine, other = (
        json.loads((d / "evaluation" / "first.json").read_text()) for d in (directory, whole)
    )
    for key, record in other["metrics"].items():
        assert mine["metrics"][key]["value"] == record["value"]
    for part in ("report.html", "grid.png", "pipeline/MANIFEST.json"):
        assert (directory / part).is_file()


def test_a_write_that_was_cut_leaves_nothing_behind(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    killed(lambda: train(directory), durable.os, "replace")
    assert list(directory.rglob(".*.partial")) or not (directory / "config.yaml").exists()
    train(directory)
    assert not list(directory.rglob(".*.partial"))


def test_a_run_killed_while_it_is_lengthened_is_lengthened_by_the_same_command(
    tmp_path: Path,
) -> None:
    plain, cut = tmp_path / "plain", tmp_path / "cut"
    for directory in (plain, cut):
        train(directory, bare=True)
    train(plain, steps=6, extend=True, bare=True)
    killed(lambda: train(cut, steps=6, extend=True, bare=True), journey, "close_run")
    train(cut, steps=6, extend=True, bare=True)
    for key, tensor in weights(plain, 6).items():
        assert torch.equal(weights(cut, 6)[key], tensor)
    assert json.loads((cut / "status.json").read_text())["state"] == "done"
