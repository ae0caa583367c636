"""undrift trains, samples, measures and reports diffusion models on your own images.

Everything is loaded when it is first used, so that ``import undrift`` is instant::

    import undrift

    run = undrift.train("photos/", budget="30m")
    pipeline = undrift.load(run.directory)
    samples = pipeline(16, labels="cat", seed=0)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from undrift.threads import bound_spin
from undrift.version import __version__

if TYPE_CHECKING:
    from undrift import data as data
    from undrift.comparison import compare
    from undrift.errors import (
        DataError,
        DivergedError,
        InterruptedRunError,
        ModelFileError,
        TerminatedError,
        UndriftError,
        UsageError,
    )
    from undrift.evaluation import evaluate
    from undrift.evaluation.curve import curve
    from undrift.evaluation.likelihood import bits_per_dim
    from undrift.evaluation.tuning import tune_sampler
    from undrift.pipelines import Pipeline, Samples
    from undrift.runs.loading import load_pipeline as load
    from undrift.runs.progress import TrainingProgress
    from undrift.workflows.call import adapt, distill, train
    from undrift.workflows.train import Run

_HOMES = {
    "train": "undrift.workflows.call",
    "adapt": "undrift.workflows.call",
    "distill": "undrift.workflows.call",
    "evaluate": "undrift.evaluation",
    "bits_per_dim": "undrift.evaluation.likelihood",
    "compare": "undrift.comparison",
    "curve": "undrift.evaluation.curve",
    "tune_sampler": "undrift.evaluation.tuning",
    "Run": "undrift.workflows.train",
    "load": "undrift.runs.loading:load_pipeline",
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
    "adapt",
    "bits_per_dim",
    "compare",
    "curve",
    "data",
    "distill",
    "evaluate",
    "load",
    "train",
    "tune_sampler",
]


def __getattr__(name: str) -> object:
    if name != "data" and name not in _HOMES:
        raise AttributeError(f"module 'undrift' has no attribute {name!r}")
    home = _HOMES.get(name, "undrift.data")
    if home != "undrift.errors":
        bound_spin()  # before torch is loaded
    place, _, attribute = home.partition(":")
    module = importlib.import_module(place)
    return module if name == "data" else getattr(module, attribute or name)


def __dir__() -> list[str]:
    return sorted(__all__)
