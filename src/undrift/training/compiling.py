"""Whether torch.compile can work here, tested before the first step."""

from __future__ import annotations

import importlib.util
import os
import shutil

from undrift.advice import named
from undrift.errors import UsageError

CPU_COMPILERS = ("g++", "clang++", "cl")


def check_compiler(device: str) -> None:
    """Make sure that the compiler which torch.compile needs is there.

    Args:
        device: ``cpu``, which needs a C++ compiler, or ``cuda``, which needs triton.

    Raises:
        UsageError: if it is not.
    """
    if device == "cuda":
        if importlib.util.find_spec("triton") is None:
            raise UsageError(
                f"{named('compile')}: triton is not installed; install it, or leave it out"
            )
        return
    own = os.environ.get("CXX")
    candidates = (own,) if own else CPU_COMPILERS
    if not any(shutil.which(compiler) for compiler in candidates):
        raise UsageError(
            f"{named('compile')}: no C++ compiler found ({', '.join(candidates)}); "
            "install one, or leave it out"
        )


def is_from_compiler(error: RuntimeError) -> bool:
    """Whether torch's compiler, or the one that it calls, failed."""
    return type(error).__module__.startswith(("torch._dynamo.", "torch._inductor."))
