"""A cheap look at samples while a run trains: the kernel distance to the validation images.

The kernel distance has no bias, so that a thousand samples say as much on average as many do; only
its interval is wider. It is measured on validation images, which may then choose the best weights;
the report measures the chosen ones on test images.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from undrift.data import ImageSet
from undrift.errors import UsageError
from undrift.metrics import Comparison, Images, measure, open_spaces, quick_space
from undrift.pipelines import Pipeline
from undrift.runs.directory import RunDirectory

SAMPLES = 1000
"""Samples of one evaluation."""

MOST_IMAGES = 10_000
"""Training images that the feature space is fitted on, and validation images, at most."""

SEED = 1
"""Of the samples; the same every time, and not those of the report."""

RECORD = "best.json"


class Judge:
    """Measures pipelines against the validation images, and keeps the best one in ``best/``.

    Args:
        run: where.
        training: the training split.
        validation: the validation split.
        device: where the feature network runs.

    Raises:
        UsageError: no validation images.
    """

    def __init__(
        self, run: RunDirectory, training: ImageSet, validation: ImageSet, device: str
    ) -> None:
        if len(validation) < 2:
            raise UsageError(
                "--evaluate-every: there are no validation images to measure against; hold some "
                "out with --holdout, or leave it out"
            )
        self._run = run
        self._training = training
        self._validation = validation
        self._device = device

    def judge(self, pipeline: Pipeline, step: int) -> dict[str, Any]:
        """Measure ``pipeline`` after ``step`` updates; keep it if it is the best so far.

        Returns:
            ``kid``, ``low``, ``high``, ``floor``, ``n``, ``metric``, and whether this is ``best``.
        """
        samples = pipeline(SAMPLES, seed=SEED)
        training, validation, extractor = self._spaces
        comparison = Comparison(
            Images(samples.images),
            validation,
            training,
            extractor,
            None,
            pipeline.spec.class_names,
            0,
            "validation",
            self._features,
        )
        found = measure(comparison, ["kid"])["metrics"]["kid"]
        before = best_so_far(self._run)
        # A step that is made again after a resume must not lose against itself.
        best = before is None or found["value"] < before["kid"] or before["step"] == step
        if best:
            pipeline.save_pretrained(self._run.best)
            self._run.write_json(RECORD, {"step": step, "kid": found["value"]})
        record = {name: found[name] for name in ("low", "high", "floor", "n")}
        return {"kid": found["value"], "best": best, "metric": found["name"], **record}

    @cached_property
    def _spaces(self) -> tuple[Images, Images, Any]:
        training, validation = (
            Images(split.images, split.labels).draw(MOST_IMAGES, 0, "judge")
            for split in (self._training, self._validation)
        )
        return (
            training,
            validation,
            open_spaces(training, quick_space(training), device=self._device)[0],
        )

    @cached_property
    def _features(self) -> Any:  # noqa: ANN401 - an array
        _, validation, extractor = self._spaces
        return extractor.features(validation.images)


def best_so_far(run: RunDirectory) -> dict[str, Any] | None:
    """``step`` and ``kid`` of the pipeline in ``best/``; None before there is one."""
    path = run.path / RECORD
    if not path.exists() or not run.best.is_dir():
        return None
    return dict(json.loads(path.read_text(encoding="utf-8")))
