"""Options: one dataclass is the command's flags and the Python function's keywords."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

import undrift
from undrift.comparison.run import CompareCall
from undrift.errors import UsageError
from undrift.evaluation.curve.run import CurveCall
from undrift.evaluation.evaluate import EvaluateCall
from undrift.evaluation.likelihood.run import LikelihoodCall
from undrift.evaluation.tuning.run import TuningCall
from undrift.options import EvaluateOptions
from undrift.workflows.call import TrainCall


@pytest.mark.parametrize(
    ("verb", "call"),
    [
        ("evaluate", EvaluateCall),
        ("curve", CurveCall),
        ("bits_per_dim", LikelihoodCall),
        ("tune_sampler", TuningCall),
        ("compare", CompareCall),
        ("train", TrainCall),
    ],
)
def test_the_signature_of_a_function_is_its_options(verb, call):
    parameters = inspect.signature(getattr(undrift, verb)).parameters
    assert set(parameters) == {field.name for field in fields(call)}
    for field in fields(call):
        if field.default is not MISSING:
            assert parameters[field.name].default == field.default
    with pytest.raises(UsageError, match=rf"^{verb}\(\): unknown setting 'nothing'; known: "):
        getattr(undrift, verb)("nowhere", nothing=1, **({"out": "x"} if verb == "compare" else {}))


def test_values_are_converted_to_the_annotated_types(tmp_path: Path):
    options = EvaluateOptions(metrics=["fd", "kid"], out=tmp_path, n=20)
    assert options.metrics == ("fd", "kid") and options.out == str(tmp_path)
    assert EvaluateOptions(metrics="fd,kid").metrics == ("fd", "kid")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": 2.5}, "^n 2.5: wanted a whole number$"),
        ({"n": 0}, "^n 0: wanted a whole number of at least 1$"),
        ({"metrics": []}, "^metrics: wanted one name or more"),
        ({"ema": 0.3}, "^ema 0.3: wanted a share of training above 0, up to 0.25$"),
        ({"ema": 0.1, "weights": "raw"}, "^ema and weights raw exclude each other"),
        ({"split": "tests"}, "^split 'tests': wanted .*did you mean 'test'"),
        ({"guidance": float("nan")}, "^guidance nan: wanted a finite number"),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_its_name(given, message):
    with pytest.raises(UsageError, match=message):
        EvaluateOptions(**given)
