"""A finished run is its pipeline: one that is missing is an error, one that was moved is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.pipelines.models import small
from tests.report.fake_run import make_run

import undrift
from undrift.errors import ModelFileError, UsageError
from undrift.pipelines import Pipeline
from undrift.runs.loading import load_pipeline


def test_a_pipeline_that_a_killed_replacement_left_is_found(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(ModelFileError, match="pipeline: missing, though the run is finished"):
        load_pipeline(run)
    model = small()
    model.save_pretrained(run / ".pipeline.replaced")
    assert load_pipeline(run).fingerprint == model.fingerprint
    assert Pipeline.from_pretrained(run / "pipeline").fingerprint == model.fingerprint
    small(seed=1).save_pretrained(run / "pipeline")  # the next writer puts it back, and replaces it
    assert load_pipeline(run).fingerprint == small(seed=1).fingerprint
    assert not (run / ".pipeline.replaced").exists()


def test_a_pipeline_in_no_run_is_named_where_it_is(tmp_path: Path) -> None:
    small().save_pretrained(tmp_path / ".model.replaced")
    with pytest.raises(ModelFileError, match=r"killed while it was replaced; rename .*\.replaced"):
        load_pipeline(tmp_path / "model")


def test_load_opens_a_run_and_a_pipeline(tmp_path: Path) -> None:
    model = small()
    model.save_pretrained(tmp_path / "model")
    run = make_run(tmp_path / "run")
    small(seed=1).save_pretrained(run / "pipeline")
    assert undrift.load(tmp_path / "model").fingerprint == model.fingerprint
    assert undrift.load(run).fingerprint == small(seed=1).fingerprint
    with pytest.raises(UsageError, match="weights 'mean': wanted one of ema, raw"):
        undrift.load(run, weights="mean")  # type: ignore[arg-type]
