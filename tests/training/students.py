"""Teachers and students small enough to be trained in milliseconds."""

from __future__ import annotations

from dataclasses import replace

from tests.pipelines.models import shaken
from tests.training.small import learner, model

from undrift.data import ImageSet
from undrift.pipelines import DiffusionPipeline
from undrift.training.learners.diffusion import DiffusionConfig
from undrift.training.learners.student import StudentLearner
from undrift.training.learners.student_config import StudentConfig, TeacherReference
from undrift.training.learners.student_rivals import student_learner


def teacher(images: ImageSet, **changes: object) -> DiffusionPipeline:
    made = learner(images, **changes)
    shaken(made.networks["network"])
    return made.pipeline()


def student_config(images: ImageSet, trained: DiffusionConfig | None = None, **changes: object):
    trained = trained or model(images)
    assert trained.network is not None
    config = StudentConfig(
        spec=replace(trained.spec, steps=2),
        codec=trained.codec,
        teacher=TeacherReference("/nowhere", "0"),
        network=trained.network,
        width=trained.width,
        schedule=trained.schedule,
        label_dropout=0.1,
    )
    return replace(config, **changes)


def student(images: ImageSet, **changes: object) -> StudentLearner:
    return student_learner(student_config(images, **changes), seed=0, teacher=teacher(images))
