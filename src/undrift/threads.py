"""How long idle OpenMP threads spin before they sleep.

torch computes with a team of OpenMP threads. Between two parallel regions they spin, so that the
next region starts at once: by default 300,000 rounds (some 10 ms) in GNU's runtime and 200 ms in
Intel's and LLVM's. Beside a second busy process that is a loss for both: the spinning threads hold
the cores on which the other team's late thread should run, and every region waits for it. 5,000
rounds outlast the gaps between the regions of a training step and not more. Measured in
``benchmarks/busy_machine.py``.

A runtime reads these variables once, when torch loads it.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping

SPIN = {
    "GOMP_SPINCOUNT": "5000",  # rounds, in GNU's runtime
    "KMP_BLOCKTIME": "1",  # milliseconds, in Intel's and LLVM's; old versions read whole ones only
}
"""Variables that bound the spinning, and undrift's values."""

CHOICES = (*SPIN, "OMP_WAIT_POLICY")
"""Variables with which users choose for themselves; with any of them set undrift sets none."""


def spin_bound(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a new process needs beside ``environment``: none, or `SPIN`."""
    return {} if any(name in environment for name in CHOICES) else dict(SPIN)


def bound_spin() -> None:
    """Bound the spinning in this process and its children, before torch is loaded.

    With torch loaded it is too late for this process. Where that matters, because torch has several
    threads and nobody chose, the log says so, once.
    """
    if "torch" not in sys.modules:
        os.environ.update(spin_bound(os.environ))
    elif spin_bound(os.environ) and sys.modules["torch"].get_num_threads() > 1:
        _warn_late()


def describe_spin(environment: Mapping[str, str]) -> str:
    """Return what bounds the spinning of a process with this ``environment``, and who set it."""
    found = {name: environment[name] for name in CHOICES if name in environment}
    settings = " ".join(f"{name}={value}" for name, value in found.items())
    if not found:
        return "the runtime's default"
    return f"{settings}, set by {'undrift' if found == SPIN else 'you'}"


@functools.cache
def _warn_late() -> None:
    import logging  # costs a tenth of what `undrift --help` takes

    settings = " ".join(f"{name}={value}" for name, value in SPIN.items())
    logging.getLogger("undrift").warning(
        "undrift: torch was loaded before undrift could limit how long its idle threads spin; "
        "beside another busy process it can be a hundred times slower: start Python with %s, or "
        "use undrift before torch is imported",
        settings,
    )
