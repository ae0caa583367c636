"""Functions of the user's own code, named ``module:function``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from undrift.errors import UsageError


def own_function(what: str, spec: str) -> tuple[ModuleType, Callable[..., Any]]:
    """Import a function, and the module that it is in. Importing the module runs it.

    Args:
        what: the parameter that named it; errors begin with it.
        spec: ``package.module:function``, looked for in the working directory too.

    Raises:
        UsageError: no such module or function.
    """
    module_name, _, function_name = spec.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        # importing runs the user's code, and that may raise anything
        raise UsageError(
            f"{what} {spec!r}: cannot import {module_name!r} "
            f"({type(error).__name__}: {error}); give module:function"
        ) from error
    finally:
        sys.path.remove(here)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise UsageError(f"{what} {spec!r}: {module_name} has no function {function_name!r}")
    return module, function
