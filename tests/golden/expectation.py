"""What the golden cases gave when they were last written, and how a result is held against it.

Bits depend on the type of processor, on the versions that compute and on the number of threads,
which is 1 here. Where the cases have been written on such a machine (`machine`), a result has to
be equal bit by bit: its SHA-256 is in ``expected/bits.json``. On any other it has to agree within
tolerance with ``expected/values.safetensors``: uint8 by 1 of 255 on 99.9 % of the values, numbers
by a share of 1e-4 of the largest in their row, but for some (`COARSE`). Of weights, float32, the
values hold two numbers per tensor.
"""

from __future__ import annotations

import hashlib
import json
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from tests.golden.driver import Arrays

FOLDER = Path(__file__).parent / "expected"
BITS = FOLDER / "bits.json"
VALUES = FOLDER / "values.safetensors"

SHARE, LEVELS, RELATIVE = 0.999, 1, 1e-4
SMALL = 1e-2
"""Rows of smaller numbers count as this large: a bias that trains on rounding alone is near 0."""

COARSE = {"weights/unet_bfloat16": 0.05, "numbers/evaluate": 1e-3}
"""Larger shares, of cases whose rounding is of another size."""

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn")


@cache
def machine() -> str:
    """Versions and type of processor, as far as bits depend on them."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{versions}; {platform.machine()} {capability} {_processor()}"


def _processor() -> str:
    """Vendor, family and model, on which the mathematical libraries choose their code."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    facts = [line.split(":", 1) for line in lines if ":" in line]
    found = {name.strip(): value.strip() for name, value in reversed(facts)}
    return "/".join(found.get(name, "?") for name in ("vendor_id", "cpu family", "model"))


@cache
def _bits() -> dict[str, dict[str, str]]:
    return json.loads(BITS.read_text()) if BITS.exists() else {}


@cache
def _values() -> Arrays:
    return safetensors.numpy.load_file(VALUES) if VALUES.exists() else {}


def comparison(name: str) -> str:
    """How case ``name`` is compared here, in one line."""
    if name in _bits().get(machine(), {}):
        return f"bit by bit ({machine()})"
    return (
        f"within tolerance: no bits are stored for {machine()}; "
        "`python -m tests.golden --write` adds them"
    )


def digest(arrays: Arrays) -> str:
    """SHA-256 of names, types, shapes and bytes."""
    found = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        array = np.asarray(array)
        found.update(f"{name} {array.dtype} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def values(arrays: Arrays) -> Arrays:
    """What is stored of a result: images and numbers as they are, of weights two numbers each."""
    return {
        name: _summary(array) if array.dtype == np.float32 else np.atleast_1d(array)
        for name, array in arrays.items()
    }


def _summary(weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Root mean square, and the mean product with a wave, which knows the weights' order."""
    flat = weights.astype(np.float64).ravel()
    wave = np.cos(np.arange(flat.size))
    return np.array([np.sqrt(np.mean(flat**2)), np.mean(flat * wave)])


def faults(name: str, arrays: Arrays) -> list[str]:
    """In what ``arrays`` differ from what is expected of case ``name``; nothing: they agree."""
    stored = _bits().get(machine(), {}).get(name)
    if stored is not None:
        if stored == digest(arrays):
            return []
        return [f"other bits than stored; {_told(name, arrays)}"]
    return differences(name, arrays)


def _told(name: str, arrays: Arrays) -> str:
    return "; ".join(differences(name, arrays)) or "they agree within tolerance"


def differences(name: str, arrays: Arrays) -> list[str]:
    """The same within tolerance."""
    expected = stored_values(name)
    if not expected:
        return ["nothing is stored of it; `python -m tests.golden --write` does"]
    found = values(arrays)
    if expected.keys() != found.keys():
        other = sorted(expected.keys() ^ found.keys())
        return [f"the results have other names; only on one side: {other[:5]}"]
    return [
        f"{part}: {fault}"
        for part, array in found.items()
        if (fault := difference(array, expected[part], COARSE.get(name, RELATIVE)))
    ]


def difference(found: NDArray[Any], expected: NDArray[Any], share: float = RELATIVE) -> str:
    """How two arrays disagree, numbers by more than ``share``; empty if they do not."""
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        return f"{found.dtype} {found.shape}, wanted {expected.dtype} {expected.shape}"
    apart = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    if found.dtype == np.uint8:
        off = apart > LEVELS
        if np.mean(off) <= 1 - SHARE:
            return ""
        return (
            f"{np.sum(off)} of {off.size} values off by more than {LEVELS}, at most {apart.max():g}"
        )
    scale = np.maximum(np.abs(expected).max(axis=-1, keepdims=True), SMALL)
    if np.all(apart <= share * scale):
        return ""
    return f"{np.ravel(found)[:4]}, wanted {np.ravel(expected)[:4]}"


def stored_values(name: str) -> Arrays:
    """The stored values of case ``name``."""
    prefix = f"{name}|"
    return {
        key.removeprefix(prefix): array
        for key, array in _values().items()
        if key.startswith(prefix)
    }


def write(results: dict[str, Arrays], names: set[str]) -> list[str]:
    """Store ``results`` beside what is stored of the other ``names``.

    Where this type of machine is new and the values agree, its bits are added to those of the
    others; a result that has changed replaces what all machines have stored of it.

    Returns:
        Names of the cases that are new or have changed.
    """
    bits = {key: {n: d for n, d in cases.items() if n in names} for key, cases in _bits().items()}
    kept = {key: array for key, array in _values().items() if key.split("|")[0] in names}
    ours = bits.setdefault(machine(), {})
    changed = []
    for name, arrays in results.items():
        found = digest(arrays)
        if ours.get(name) == found:
            continue
        if name in ours or differences(name, arrays):
            changed.append(name)
            for cases in bits.values():
                cases.pop(name, None)
            kept = {key: array for key, array in kept.items() if key.split("|")[0] != name}
            kept |= {f"{name}|{part}": array for part, array in values(arrays).items()}
        ours[name] = found
    FOLDER.mkdir(exist_ok=True)
    ordered = {key: dict(sorted(cases.items())) for key, cases in sorted(bits.items()) if cases}
    BITS.write_text(json.dumps(ordered, indent=1) + "\n")
    arrays = {key: np.ascontiguousarray(array) for key, array in sorted(kept.items())}
    safetensors.numpy.save_file(arrays, VALUES)
    return changed
