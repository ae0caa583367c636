"""The environment of a run: versions, device, threads and the commit of undrift's source tree."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch

PACKAGES = ("undrift", "torch", "numpy", "pillow", "safetensors", "scikit-learn", "torchdiffeq")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Environment:
    """Entries of ``environment.json``; none of them names the user.

    Attributes:
        python: its version.
        platform: system and machine.
        packages: name -> version; None of one that is not installed.
        device: where the run computes.
        cores: of the machine.
        threads: of torch.
        cpu_capability: vector instructions that torch uses.
        cuda: name of the GPU; None without one.
        command: the words of the command line.
        git: ``commit`` of the source tree that undrift runs from; None of an installed package.
    """

    python: str
    platform: str
    packages: Mapping[str, str | None]
    device: str
    cores: int | None
    threads: int
    cpu_capability: str
    cuda: str | None
    command: tuple[str, ...]
    git: Mapping[str, str] | None


def describe_environment(device: str) -> Environment:
    """The environment of this process, which computes on ``device``."""
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        packages={name: _version(name) for name in PACKAGES},
        device=device,
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        cuda=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        command=("undrift", *sys.argv[1:]),
        git=commit_of(Path(__file__).resolve().parents[3]),
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def commit_of(tree: Path) -> dict[str, str] | None:
    """``commit``: the git commit that is checked out in ``tree``; None where there is no ``.git``.

    Only files of ``.git`` are read: a command such as ``git status`` runs programs that a
    repository's configuration names, ``core.fsmonitor`` among them. An installed package lies in
    no source tree; its version says what it is.
    """
    git = tree / ".git"
    try:
        if git.is_file():  # a linked worktree: ``gitdir: PATH``
            git = git.parent / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        common = git / "commondir"
        shared = git / common.read_text(encoding="utf-8").strip() if common.is_file() else git
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        name = head.removeprefix("ref:").strip()
        commit = head if name == head else _branch(name, git, shared)
    except (OSError, ValueError):
        return None
    return {"commit": commit} if _COMMIT.fullmatch(commit) else None


def _branch(name: str, git: Path, shared: Path) -> str:
    """The commit of a branch: a file of its own, or a line of ``packed-refs``."""
    if not name.startswith("refs/") or ".." in name:
        return ""
    for place in (git / name, shared / name):
        if place.is_file():
            return place.read_text(encoding="utf-8").strip()
    for line in (shared / "packed-refs").read_text(encoding="utf-8").splitlines():
        commit, _, packed = line.partition(" ")
        if packed == name:
            return commit
    return ""
