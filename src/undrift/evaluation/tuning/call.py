"""``undrift.tune_sampler``: the command's flags as keywords."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from undrift.ambient import own_settings
from undrift.arguments import checked
from undrift.evaluation.tuning.run import TuneSampler, run_tuning


@own_settings()
@checked
def tune_sampler(
    target: str | os.PathLike[str],
    steps: Sequence[int],
    *,
    samples: int = 128,
    seed: int = 0,
    guidance: float | None = None,
    aim: Literal["images", "solution"] = "images",
    reference: str | os.PathLike[str] | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    out: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Learn the best sampler of each number of steps and store it in the pipeline.

    See ``undrift tune-sampler`` for the keywords.

    Returns:
        ``result["rows"]``: for each number of steps ``error``, ``fixed`` (the best classical
        sampler and its error), ``reduction`` with ``low`` and ``high`` (95 %), and ``distance`` to
        the data ``before`` and ``after`` the last step was fitted to them, or None.

    Raises:
        UndriftError: what the command would print; see ``undrift.errors``.
    """
    return run_tuning(
        TuneSampler(
            target=os.fspath(target),
            steps=tuple(steps),
            samples=samples,
            seed=seed,
            guidance=guidance,
            aim=aim,
            reference=None if reference is None else os.fspath(reference),
            device=device,
            out=None if out is None else os.fspath(out),
        )
    )
