"""Mutants: the real source of a module with one expression replaced."""

from __future__ import annotations

import inspect
import sys
import types


def mutated(module: types.ModuleType, old: str, new: str) -> types.ModuleType:
    """Return a copy of ``module`` in which ``old``, which must occur once, reads ``new``."""
    source = inspect.getsource(module)
    if source.count(old) != 1:
        raise AssertionError(f"{module.__name__} holds {old!r} {source.count(old)} times, not once")
    made = types.ModuleType(f"{module.__name__}_mutant")
    sys.modules[made.__name__] = made  # dataclasses look up their module
    try:
        exec(compile(source.replace(old, new), made.__name__, "exec"), made.__dict__)
    finally:
        del sys.modules[made.__name__]
    return made
