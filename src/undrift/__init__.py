"""undrift trains, samples, measures and reports diffusion models on your own images.

Everything is loaded when it is first used, so that ``import undrift`` is instant::

    import undrift

    run = undrift.train("photos/", budget="30m")
    pipeline = undrift.Pipeline.from_pretrained(run.pipeline)
    samples = pipeline(16, labels="cat", seed=0)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from undrift.threads import bound_spin

if TYPE_CHECKING:
    from undrift import data as data
    from undrift.errors import (
        DataError,
        DivergedError,
        InterruptedRunError,
        ModelFileError,
        TerminatedError,
        UndriftError,
        UsageError,
    )
    from undrift.experiments.call import train
    from undrift.experiments.compare import compare
    from undrift.experiments.curve import curve
    from undrift.experiments.evaluation import evaluate
    from undrift.experiments.journey import Run
    from undrift.experiments.likelihood import bits_per_dim
    from undrift.experiments.tuning import tune_sampler
    from undrift.pipelines import Pipeline, Samples
    from undrift.runs.progress import TrainingProgress

__version__ = "0.1.0"

_HOMES = {
    "train": "undrift.experiments.call",
    "evaluate": "undrift.experiments.evaluation",
    "bits_per_dim": "undrift.experiments.likelihood",
    "compare": "undrift.experiments.compare",
    "curve": "undrift.experiments.curve",
    "tune_sampler": "undrift.experiments.tuning",
    "Run": "undrift.experiments.journey",
    "Pipeline": "undrift.pipelines",
    "Samples": "undrift.pipelines",
    "TrainingProgress": "undrift.runs.progress",
    "UndriftError": "undrift.errors",
    "UsageError": "undrift.errors",
    "DataError": "undrift.errors",
    "ModelFileError": "undrift.errors",
    "DivergedError": "undrift.errors",
    "TerminatedError": "undrift.errors",
    "InterruptedRunError": "undrift.errors",
}

__all__ = [
    "DataError",
    "DivergedError",
    "InterruptedRunError",
    "ModelFileError",
    "Pipeline",
    "Run",
    "Samples",
    "TerminatedError",
    "TrainingProgress",
    "UndriftError",
    "UsageError",
    "__version__",
    "bits_per_dim",
    "compare",
    "curve",
    "data",
    "evaluate",
    "train",
    "tune_sampler",
]


def __getattr__(name: str) -> object:
    if name != "data" and name not in _HOMES:
        raise AttributeError(f"module 'undrift' has no attribute {name!r}")
    home = _HOMES.get(name, "undrift.data")
    if home != "undrift.errors":
        bound_spin()  # before torch is loaded
    module = importlib.import_module(home)
    return module if name == "data" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
