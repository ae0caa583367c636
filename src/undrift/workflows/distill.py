"""From a trained diffusion model to one that draws in a few steps: ``undrift distill``."""

from __future__ import annotations

from rich.console import Console

from undrift.advice import named
from undrift.errors import ModelFileError, UsageError
from undrift.families import family_of
from undrift.families.student.recipe import OBJECTIVES, Distillation, distilled
from undrift.families.student.teacher import distillable, teacher_of
from undrift.names import nearest
from undrift.options.distill import DistillOptions
from undrift.pipelines import DiffusionPipeline
from undrift.runs.configuration import RunConfig
from undrift.runs.directory import RunDirectory, is_pipeline, open_run
from undrift.runs.images import find_images
from undrift.runs.progress import OnTraining
from undrift.runs.unfinished import configuration_of
from undrift.training.learners.diffusion import DiffusionConfig
from undrift.training.learners.student_config import TeacherReference
from undrift.workflows.planning import Start, config_from_run, is_finished
from undrift.workflows.train import Run, train_run


def distill_run(
    teacher: str,
    options: DistillOptions,
    *,
    console: Console,
    callback: OnTraining | None = None,
) -> Run:
    """Train a student of a finished run on that run's images.

    The same call with the same ``out`` resumes it, as ``undrift train`` of the student's run does.

    Args:
        teacher: the run.
        options: method, steps and length.
        console: where to show progress.
        callback: called after every update.

    Raises:
        UsageError: a method that there is not, or a teacher that cannot be distilled so.
        ModelFileError: no run, an unfinished or a damaged one.
        DataError: its images are not there.
    """
    check_method(options.method)
    if is_pipeline(teacher):
        raise UsageError(f"{teacher}: a pipeline without images to train on; name its run")
    run = open_run(teacher)
    stored = configuration_of(run)
    config = student_run(run, stored, options)
    out = None if options.out is None else RunDirectory(options.out)
    return train_run(
        Start(out, find_images(stored.data, run.path), config, origin=str(run.path)),
        options.training(),
        console=console,
        callback=callback,
    )


def check_method(method: str) -> None:
    """Refuse what is no method of distillation.

    Raises:
        UsageError: with the methods that there are.
    """
    if method in OBJECTIVES:
        return
    near = nearest(method, list(OBJECTIVES), {})
    hint = "" if near is None else f"; did you mean {near}?"
    raise UsageError(f"{named('method')} {method}: wanted {' or '.join(OBJECTIVES)}{hint}")


def student_run(run: RunDirectory, stored: RunConfig, options: DistillOptions) -> RunConfig:
    """The configuration of a student of ``run``.

    Raises:
        UsageError: a teacher that cannot be distilled so.
        ModelFileError: an unfinished run.
    """
    trained = distillable(str(run.path), stored.model, family_of(stored.model).noun)
    if not is_finished(run, stored):
        raise ModelFileError(f"{run.path}: not finished; undrift train {run.path} goes on with it")
    return student_config(stored, trained, *teacher_of(run.pipeline), options)


def student_config(
    stored: RunConfig,
    trained: DiffusionConfig,
    teacher: DiffusionPipeline,
    reference: TeacherReference,
    options: DistillOptions,
) -> RunConfig:
    """The configuration of a student.

    Args:
        stored: that of the teacher's run.
        trained: its model.
        teacher: its pipeline.
        reference: to it.
        options: method, steps and length.

    Raises:
        UsageError: a teacher that cannot be distilled so.
    """
    plan = stored.training
    how = Distillation(options.method, options.steps, options.scales, options.learning_rate)
    seen = plan.steps * plan.batch_size
    recipe = distilled(how, teacher, reference, trained, plan.batch_size, seen)
    return config_from_run(options, stored.data, recipe, balance=plan.balance)
