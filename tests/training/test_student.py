"""Students in the training loop: exact resumes, a frozen teacher, and what they begin as."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.training import test_exact_resume as resume
from tests.training.small import ALONE, digits, model, plan
from tests.training.students import student, student_config, teacher

from undrift.codec import IdentityConfig
from undrift.conditioning import Condition
from undrift.conditioning.maps.spec import MapSpec
from undrift.data.loader import Batch
from undrift.distillation import (
    AdversarialFlowConfig,
    ConsistencyConfig,
    FlowMapConfig,
    MatchingConfig,
    MeanFlowConfig,
    ProgressiveConfig,
    ReflowConfig,
    few_step_times,
)
from undrift.errors import UsageError
from undrift.families.student.family import StudentFamily
from undrift.networks import MLPConfig, UNetConfig
from undrift.networks.gan import R3GANConfig
from undrift.pipelines import StudentPipeline
from undrift.randomness import Draws
from undrift.training.learner import Progress
from undrift.training.learners import student_rivals
from undrift.training.learners.student import StudentLearner
from undrift.training.learners.student_progressive import ProgressiveStudentLearner
from undrift.training.learners.student_rivals import student_learner
from undrift.training.loop import Trainer
from undrift.training.signals import StopSignals

# forward mode imports what torch itself has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")

METHODS = {
    "consistency": {},
    "guided": {"guidance": (1.0, 4.0)},
    "flow map": {"objective": FlowMapConfig()},
    "guided flow map": {"objective": FlowMapConfig(), "guidance": (1.0, 4.0)},
    "mean flow": {"objective": MeanFlowConfig()},
    "mean flow by jvp": {"objective": MeanFlowConfig(derivative="jvp")},
    "reflow": {"objective": ReflowConfig(pairs=2)},
    "progressive": {"objective": ProgressiveConfig(first=8)},
    "guided progressive": {"objective": ProgressiveConfig(first=8), "guidance": (1.0, 4.0)},
    "adversarial": {
        "objective": AdversarialFlowConfig(
            discriminator=R3GANConfig(width=8, group_width=4, full_stages=1)
        ),
        "spec": replace(model(digits()).spec, steps=1),
    },
    "matching": {"objective": MatchingConfig(every=2)},
    "guided matching": {"objective": MatchingConfig(every=2), "guidance": (1.0, 4.0)},
    "taught": {"objective": ConsistencyConfig(direction="teacher")},
}


@pytest.mark.parametrize("changes", METHODS.values(), ids=METHODS)
def test_resume_is_bit_equal(tmp_path, monkeypatch, changes):
    """Of progressive distillation also within its second stage, which begins at step 4 of 8."""
    monkeypatch.setattr(resume, "learner", lambda images: student(images, **changes))
    whole = resume.whole()
    staged = isinstance(changes.get("objective"), ProgressiveConfig)
    for k in (3, 6) if staged else (3,):
        assert resume.differences(whole, resume.cut(tmp_path / str(k), k)) == []


def test_the_teacher_stays_and_the_student_moves():
    images = digits()
    made = student(images, guidance=(1.0, 4.0))
    assert made._teacher is not None
    before = {n: t.clone() for n, t in made._teacher.weights.state_dict().items()}
    begun = {n: t.clone() for n, t in made.networks.state_dict().items()}
    Trainer(made, plan(steps=2), images, world=ALONE).run(StopSignals())
    after = made._teacher.weights.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    moved = made.networks.state_dict()
    assert any(not torch.equal(begun[name], moved[name]) for name in begun)


@pytest.mark.parametrize("changes", METHODS.values(), ids=METHODS)
def test_a_student_begins_as_its_teacher(changes):
    images = digits()
    made, taught = student(images, **changes), teacher(images)
    condition = Condition({"labels": torch.tensor([1, 7, 3])})
    x, t = torch.randn(3, 1, 8, 8), torch.tensor(0.02, dtype=torch.float64)
    ours = made.pipeline().model.estimate(condition, 3, [3.0] * 3)(x, t, torch.zeros_like(t))
    theirs = taught.bound_denoiser(condition, 3)(x, t).x0
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_maps_reach_a_student_as_they_reach_its_teacher():
    images = digits()
    spec = replace(model(images).spec, maps=(MapSpec("lowres", (1, 8, 8), "lowres", factor=2),))
    taught = teacher(images, spec=spec)
    config = student_config(images, model(images, spec=spec), flip=True)
    made = StudentLearner(config, seed=0, teacher=taught)
    Trainer(made, plan(steps=2), images, world=ALONE).run(StopSignals())
    made = StudentLearner(config, seed=0, teacher=taught)
    given = {"labels": "3", "maps": {"lowres": np.full((4, 4), 200, np.uint8)}}
    other = given | {"maps": {"lowres": np.zeros((4, 4), np.uint8)}}
    drawn = made.pipeline()(2, **given).images
    assert not np.array_equal(drawn, made.pipeline()(2, **other).images)


def test_a_guided_target_is_the_teachers_guided_step():
    images = digits()
    made, taught = student(images, guidance=(1.0, 4.0)), teacher(images)
    condition = Condition({"labels": torch.tensor([1, 7, 3])})
    x, t = torch.randn(3, 1, 8, 8), torch.full((3,), 0.02, dtype=torch.float64)
    scale = torch.tensor([1.0, 0.0, 3.0], dtype=torch.float64)
    found = made._taught(x, t, condition, scale)
    given = taught.bound_denoiser(condition, 3)(x, t).x0
    away = taught.bound_denoiser(Condition(), 3)(x, t).x0
    wanted = torch.stack([given[0], away[1], away[2] + 3 * (given[2] - away[2])])
    torch.testing.assert_close(found, wanted)


def test_only_the_last_step_of_a_matched_student_has_a_gradient(monkeypatch):
    """By its steps: a student of four passes at most four times, once with a graph."""
    made = student(
        digits(), objective=MatchingConfig(), spec=replace(model(digits()).spec, steps=4)
    )
    passes, build = [], made._estimate

    def counted(*given):
        estimate = build(*given)

        def one(x_t, t, s):
            passes.append((float(t[0]), torch.is_grad_enabled()))
            return estimate(x_t, t, s)

        return one

    monkeypatch.setattr(made, "_estimate", counted)
    lengths = set()
    for step in range(12):
        passes.clear()
        x = made._sampled(Condition(), 2, None, Draws(0, step, 2, 0, 2))
        assert x.requires_grad and [graph for _, graph in passes][:-1] == [False] * (
            len(passes) - 1
        )
        assert passes[0][0] == 1.0 and passes == sorted(passes, reverse=True)
        lengths.add(len(passes))
    assert lengths == {1, 2, 3, 4}


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_matched_student_draws_at_the_levels_that_it_was_trained_at(monkeypatch, steps):
    spec = replace(model(digits()).spec, steps=steps)
    half = IdentityConfig(sigma_data=0.5)
    changes = {"objective": MatchingConfig(level=0.8), "method": "distribution-matching"}
    made = student(digits(), spec=spec, codec=half, **changes)
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(
        student_rivals,
        "few_step_times",
        lambda *given: seen.append(few_step_times(*given)) or seen[0],
    )
    made._sampled(Condition(), 2, None, Draws(0, 0, 2, 0, 2))
    pipeline = StudentFamily().finished(made.pipeline(), pytest.fail, pytest.fail)
    assert isinstance(pipeline, StudentPipeline)
    assert torch.equal(pipeline.model.times(steps), seen[0])
    assert pipeline.model.facts.level == pytest.approx(0.4)  # sigma / alpha
    assert pipeline.few_steps == tuple(sorted({1, steps}))
    with pytest.raises(UsageError, match="steps 8: this distribution-matching student takes 1"):
        pipeline(1, steps=8)


def test_the_fake_score_learns_the_student_and_never_the_teacher():
    images = digits()
    made = student(images, objective=MatchingConfig(every=5))
    before = {n: t.clone() for n, t in made.networks.state_dict().items()}
    Trainer(made, plan(steps=4), images, world=ALONE).run(StopSignals())
    moved = {n for n, t in made.networks.state_dict().items() if not torch.equal(before[n], t)}
    assert moved and all(name.startswith("fake") for name in moved)
    Trainer(made, plan(steps=5), images, world=ALONE).run(StopSignals())
    after = made.networks.state_dict()
    assert any(not torch.equal(before[n], after[n]) for n in before if n.startswith("network"))


def test_draws_of_guidance_fill_their_range():
    images = digits()
    made, seen = student(images, guidance=(1.0, 4.0)), []
    taught = made._taught
    made._taught = lambda x, t, c, scale: seen.append(scale) or taught(x, t, c, scale)  # type: ignore[method-assign]
    Trainer(made, plan(steps=3), images, world=ALONE).run(StopSignals())
    scales = torch.cat(seen)
    assert 1 <= scales.min() < 1.5 and 3.5 < scales.max() <= 4 and len(scales.unique()) == 48


def test_a_later_stage_learns_from_the_student_as_it_was():
    images = digits()
    made = student(images, objective=ProgressiveConfig(first=8))  # to 2 steps: two stages
    began = [p.clone() for p in made.networks["before"].parameters()]
    trainer = Trainer(made, plan(steps=4), images, world=ALONE)
    trainer.run(StopSignals(), until=2)
    assert all(map(torch.equal, made.networks["before"].parameters(), began))
    was = [p.clone() for p in made.networks["network"].parameters()]
    trainer.run(StopSignals())
    assert all(map(torch.equal, made.networks["before"].parameters(), was))
    assert not all(map(torch.equal, made.networks["network"].parameters(), was))
    assert int(made.buffers.stage) == 1 and made.pipeline().few_steps == (2,)


def test_the_student_as_it_was_teaches_without_dropout():
    images = digits()
    network = UNetConfig(width=8, multipliers=(1,), blocks=1, dropout=0.5)
    config = student_config(images, network=network, objective=ProgressiveConfig(first=8))
    made = student_learner(config, seed=0, teacher=teacher(images, network=network))
    assert isinstance(made, ProgressiveStudentLearner)
    made.buffers.stage.fill_(1)
    made.networks.train()
    x, t = torch.randn(3, 1, 8, 8), torch.full((3,), 0.02, dtype=torch.float64)
    teach = made._stages_teacher(Condition({"labels": torch.tensor([1, 7, 3])}), None)
    assert torch.equal(teach(x, t, 0 * t), teach(x, t, 0 * t))
    assert made.networks["network"].training


def test_a_progressive_student_is_validated_by_its_last_steps_whatever_its_stage():
    images = digits()
    made = student(images, objective=ProgressiveConfig(first=8))
    found = []
    for stage in (0, 1):
        made.buffers.stage.fill_(stage)
        found.append(made.validate(made.pipeline(), images.images[:64], images.condition()[:64]))
    assert found[0] == found[1] and found[0]["loss"] > 0


def test_validation_is_the_same_every_time():
    images = digits()
    made = student(images, guidance=(1.0, 4.0))
    found = [made.validate(made.pipeline(), images.images, images.condition()) for _ in range(2)]
    assert found[0] == found[1] and found[0]["loss"] > 0


@pytest.mark.parametrize("name", ["adversarial", "matching"])
def test_beside_a_second_network_validation_is_the_distance_of_samples(name):
    """The student's own samples are nearest; a validation is the same every time."""
    images = digits()
    made = student(images, **METHODS[name])
    pipeline = made.pipeline()
    own = pipeline(48, seed=5, labels=list(images.labels[:48])).images

    def distance(held_out):
        return made.validate(pipeline, held_out, images.condition()[:48])["sample_distance"]

    assert distance(own) == distance(own)
    assert abs(distance(own)) < 0.2 * distance(images.images[:48])
    assert made.validate(pipeline, own[:3], images.condition()[:3]) == {}  # too few to say


def test_the_held_out_loss_depends_on_the_maps_derived_from_held_out_images(monkeypatch):
    images = digits()
    spec = replace(model(images).spec, maps=(MapSpec("grey", (1, 8, 8), "grey"),))
    config = student_config(images, model(images, spec=spec))
    made = StudentLearner(config, seed=0, teacher=teacher(images, spec=spec))

    def loss():
        return made.validate(made.pipeline(), images.images, images.condition())["loss"]

    right = loss()
    monkeypatch.setattr(MapSpec, "derived", lambda self, pixels, *_, **__: 255 - pixels)
    assert loss() != pytest.approx(right, rel=1e-3)


@pytest.mark.parametrize("changes", [METHODS["consistency"], METHODS["flow map"]])
def test_the_condition_gap_is_0_of_a_student_that_ignores_its_labels_only(changes):
    images = digits()
    made = student(images, **changes)

    def gap():
        found = made.validate(made.pipeline(), images.images, images.condition())
        return found["condition_gaps"]["labels"]["gap"]

    assert abs(gap()) > 0
    for name, weight in made.networks["encoder"].named_parameters():
        if name.startswith("labels."):
            torch.nn.init.zeros_(weight)
    assert gap() == 0


def test_what_does_not_fit_is_refused():
    images = digits()
    with pytest.raises(UsageError, match="steps 3: method consistency takes 1, 2 or 4"):
        student_config(images, spec=replace(model(images).spec, steps=3))
    bare = replace(model(images).spec, class_names=(), class_frequencies=(), steps=2)
    with pytest.raises(UsageError, match="no classes and takes no prompts"):
        student_config(images, spec=bare, guidance=(1.0, 2.0))
    config = student_config(images, network=MLPConfig())
    with pytest.raises(UsageError, match="does not fit the student's network"):
        StudentLearner(config, seed=0, teacher=teacher(images))
    with pytest.raises(UsageError, match="need a teacher; give one"):
        student_config(images, teacher=None, guidance=(1.0, 2.0))
    lonely = StudentLearner(
        student_config(images, objective=ConsistencyConfig(direction="teacher")), 0
    )
    draws = Draws(0, 0, 4, 0, 4)
    batch = Batch(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), Condition())
    with pytest.raises(UsageError, match="give it a teacher"):
        lonely.loss("distill", batch, Progress(0, 1, 0, 0.0), draws)
