"""``undrift doctor``: what undrift finds on this machine, one fact per line."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from undrift.cli.console import columns, following, make_console
from undrift.cli.flags import parse
from undrift.files.cache import cache_directory
from undrift.limits import machine_memory
from undrift.threads import describe_spin
from undrift.version import __version__
from undrift.wording import plural

EXTRAS = {
    "text": ("transformers", "pretrained features for evaluate"),
    "data": ("datasets", "data from hf:NAME and saved Hugging Face data sets"),
    "onnx": ("onnxruntime", "features of evaluate from an ONNX file"),
    "slurm": ("submitit", "undrift compare --executor slurm"),
}
"""Each optional extra: the package it brings, and what that is for."""

GIB = 2**30


@dataclass(frozen=True)
class Doctor:
    """Print the versions, devices, compiler, memory and folders that undrift finds here."""


def run(arguments: list[str]) -> None:
    """Parse ``arguments`` and print the facts; nothing found missing is an error."""
    parse(Doctor, "doctor", arguments)
    console = make_console()
    for line in columns([*_machine(), *_extras(), *_folders()]):
        console.print(line)
    console.print(following("undrift", "demo"))


def _machine() -> list[tuple[str, str]]:
    import torch

    from undrift.runs.environment import describe_environment

    found = describe_environment("cuda" if torch.cuda.is_available() else "cpu")
    compiler = next((name for name in ("c++", "g++", "clang++") if shutil.which(name)), None)
    memory = machine_memory() / GIB
    packages = {**found.packages, "undrift": __version__}
    return [
        *((name, version or "missing") for name, version in packages.items()),
        ("python", found.python),
        ("platform", found.platform),
        ("cpu", f"{plural(found.cores or 1, 'core')}, {found.cpu_capability}"),
        ("threads", f"{found.threads} in torch"),
        ("idle threads", f"{describe_spin(os.environ)} ({_openmp()})"),
        ("memory", f"{memory:.1f} GiB"),
        ("cuda", found.cuda or "none: training runs on the CPU"),
        ("compiler", compiler or "none: undrift train --compile is refused here"),
    ]


def _openmp() -> str:
    """Name of the OpenMP library that torch has loaded."""
    import threadpoolctl

    pools = threadpoolctl.threadpool_info()
    return next((pool["prefix"] for pool in pools if pool["user_api"] == "openmp"), "no OpenMP")


def _extras() -> list[tuple[str, str]]:
    lines = []
    for extra, (package, purpose) in EXTRAS.items():
        version = _version(package)
        missing = f"not installed, for {purpose}: pip install 'undrift[{extra}]'"
        lines.append((f"[{extra}]", missing if version is None else f"{package} {version}"))
    return lines


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _folders() -> list[tuple[str, str]]:
    cache = cache_directory()
    return [
        (name, f"{path}, {shutil.disk_usage(_existing(path)).free / GIB:.0f} GiB free")
        for name, path in (("cache", cache), ("runs", Path("runs")))
    ]


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not os.path.exists(path):  # which a name that is too long does not, without an error
        path = path.parent
    return path
