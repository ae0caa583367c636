"""The frozen teacher of a student: named by path and fingerprint, never saved with it."""

from __future__ import annotations

import os
from pathlib import Path

from undrift.advice import named
from undrift.errors import ModelFileError, UsageError
from undrift.families.family import ModelConfig
from undrift.pipelines import DiffusionPipeline, Pipeline
from undrift.training.learners.adapter import AdapterConfig
from undrift.training.learners.diffusion import DiffusionConfig
from undrift.training.learners.student_config import StudentConfig, TeacherReference


def distillable(run: str, model: ModelConfig, noun: str) -> DiffusionConfig:
    """The configuration ``model`` of a run, which has to be of a diffusion model.

    Args:
        run: for messages.
        model: of the run.
        noun: of its family.

    Raises:
        UsageError: it is of another kind.
    """
    if isinstance(model, StudentConfig):
        raise UsageError(f"{run}: a student already; distil its teacher")
    if isinstance(model, AdapterConfig):
        raise UsageError(f"{run}: an adapter; distil its base, {Path(model.base.path).parent}")
    if not isinstance(model, DiffusionConfig):
        raise UsageError(f"{run}: of family {noun}; only diffusion models are distilled")
    return model


def teacher_of(path: str | os.PathLike[str]) -> tuple[DiffusionPipeline, TeacherReference]:
    """The pipeline at ``path``, and what a student's configuration says of it.

    Raises:
        UsageError: a pipeline that cannot be distilled.
        ModelFileError: there is none, or a damaged one.
    """
    place = Path(path).absolute()
    pipeline = Pipeline.from_pretrained(place)
    if not isinstance(pipeline, DiffusionPipeline):
        raise UsageError(f"{path}: {pipeline.noun}, and only diffusion models are distilled")
    if pipeline.network_config is None:
        raise UsageError(f"{path}: its network is your own, which a student cannot be built from")
    return pipeline, TeacherReference(str(place), pipeline.fingerprint)


def open_teacher(reference: TeacherReference) -> DiffusionPipeline:
    """The teacher of a run that has begun.

    Raises:
        ModelFileError: it is missing, or another one than when the run began.
    """
    if not os.path.isdir(reference.path):
        raise ModelFileError(f"{reference.path}: the teacher of this run is not there; restore it")
    pipeline, found = teacher_of(reference.path)
    if found.fingerprint != reference.fingerprint:
        raise ModelFileError(
            f"{reference.path}: the teacher has changed since this run began; restore it or "
            f"distil anew with another {named('out')}"
        )
    return pipeline
