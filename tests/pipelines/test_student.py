"""Student pipelines: noise by (seed, i, step), files, guidance as an input, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.pipelines.models import CLASSES, SMALL_MLP, shaken

from undrift.codec import Standardise
from undrift.conditioning import Condition, ConditionEncoder, Number
from undrift.diffusion import Denoiser, VPCosine, edm, parameterization
from undrift.distillation import StudentInputs
from undrift.errors import ModelFileError, UsageError
from undrift.networks import build_network
from undrift.pipelines import Pipeline, SampleSpec, StudentPipeline
from undrift.pipelines.student import StudentFacts, StudentModel
from undrift.pipelines.student.model import student_condition

NUMBERS = (Number("angle", 0.0, 1.0, -2.0, 2.0),)


def student(
    inputs: StudentInputs | None = None,
    steps: tuple[int, ...] = (1, 2, 4),
    kind: str = "edm",
    numbers: tuple[Number, ...] = (),
    schedule=None,
) -> StudentPipeline:
    spec = SampleSpec((1, 6, 5), CLASSES, steps=2, numbers=numbers)
    facts = StudentFacts("consistency", steps, inputs or StudentInputs())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = ConditionEncoder(student_condition(spec, facts.inputs), 8)
        context = encoder.context_spec
        network = build_network(SMALL_MLP, channels=1, size=(6, 5), context=context)
    shaken(network)
    rule = edm(1.0) if kind == "edm" else parameterization(kind)
    denoiser = Denoiser(network, schedule or VPCosine(), rule)
    codec = Standardise((110.0,), (55.0,))
    return StudentPipeline(StudentModel(denoiser, encoder, codec, spec, SMALL_MLP, facts)).to("cpu")


GUIDED = StudentInputs((1.0, 4.0))


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.abs(a.astype(int) - b.astype(int)).max() <= 1)


@pytest.mark.parametrize("inputs", [StudentInputs(), GUIDED, StudentInputs(end=True)])
def test_an_image_depends_on_seed_and_place_only(inputs):
    drawing = student(inputs)
    whole = drawing(6, seed=3)
    assert whole.images.shape == (6, 6, 5, 1) and whole.nfe == 2
    assert whole.settings["steps"] == 2
    assert close(drawing(2, seed=3, first=4).images, whole.images[4:])
    assert close(drawing(6, seed=3, batch_size=4).images, whole.images)
    assert not close(drawing(6, seed=4).images, whole.images)
    assert not close(drawing(6, seed=3, steps=4).images, whole.images)


def test_later_steps_have_noise_of_their_own_and_flow_maps_none(monkeypatch):
    from undrift.sampling import ImageNoise

    asked = []
    step = ImageNoise.step
    monkeypatch.setattr(
        ImageNoise, "step", lambda self, k, *a: asked.append(k) or step(self, k, *a)
    )
    student()(2, steps=4)
    assert asked == [1, 2, 3]
    student(StudentInputs(end=True), ())(2, steps=7)
    assert asked == [1, 2, 3]


@pytest.mark.parametrize("kind", ["edm", "epsilon", "x0", "v", "flow"])
def test_the_image_itself_is_returned_bit_by_bit(kind):
    x = torch.randn(3, 1, 6, 5)
    zero = torch.zeros((), dtype=torch.float64)
    model = student(kind=kind, schedule=VPCosine()).model
    assert torch.equal(model.estimate(Condition(), 3, [1.0] * 3)(x, zero, zero), x)


@pytest.mark.parametrize("inputs", [StudentInputs(), GUIDED, StudentInputs(end=True)])
def test_it_is_saved_and_loaded(tmp_path, inputs):
    drawing = student(inputs, numbers=NUMBERS).with_level(0.7)
    drawing.save_pretrained(tmp_path / "student")
    again = Pipeline.from_pretrained(tmp_path / "student")
    assert isinstance(again, StudentPipeline) and again.model.facts == drawing.model.facts
    assert again.fingerprint == drawing.fingerprint != drawing.with_level(0.8).fingerprint
    given = {"numbers": {"angle": 0.3}, "labels": "bee", "seed": 5}
    assert np.array_equal(again(3, **given).images, drawing(3, **given).images)
    weights = tmp_path / "student" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ModelFileError):
        Pipeline.from_pretrained(tmp_path / "student")


def test_guidance_and_conditions_reach_the_network():
    drawing = student(GUIDED, numbers=NUMBERS)
    base = drawing(2, labels="ant", guidance=1.0).images
    assert not close(drawing(2, labels="ant", guidance=4.0).images, base)
    assert not close(drawing(2, labels="bee", guidance=1.0).images, base)
    assert not close(drawing(2, labels="ant", guidance=1.0, numbers={"angle": 1}).images, base)
    mixed = drawing(4, labels="ant", guidance=[1.0, 4.0]).images
    assert close(mixed[::2], drawing(4, labels="ant", guidance=1.0).images[::2])
    assert close(mixed[1::2], drawing(4, labels="ant", guidance=4.0).images[1::2])
    dial = drawing.dial
    assert dial is not None and (dial.name, dial.neutral, dial.range) == ("guidance", 1.0, (1, 4))
    assert student().dial is None


@pytest.mark.parametrize(
    ("inputs", "settings", "line"),
    [
        (None, {"steps": 3}, "steps 3: this consistency student takes 1, 2 or 4"),
        (None, {"guidance": 2.0}, "guidance 2: this student was distilled without guidance"),
        (GUIDED, {"guidance": 5.0}, "guidance 5: this student was distilled under 1 to 4"),
        (StudentInputs((2.0, 2.0)), {"guidance": 1.0}, "guidance 1: .* under 2$"),
        (None, {"sampler": "euler"}, "a few-step student has no such setting"),
        (None, {"trajectory": 1}, "draws in one pass; leave it out"),
    ],
)
def test_what_it_cannot_is_one_line(inputs, settings, line):
    with pytest.raises(UsageError, match=line):
        student(inputs)(2, **settings)


def test_a_student_has_no_likelihood():
    with pytest.raises(UsageError, match="StudentPipeline has no likelihood"):
        student().likelihood(np.zeros((1, 6, 5, 1), np.uint8), None)  # type: ignore[arg-type]


def test_an_encoder_of_other_inputs_is_refused():
    model = student().model
    with pytest.raises(UsageError, match="other conditions"):
        StudentModel(
            model.denoiser,
            model.encoder,
            model.codec,
            model.spec,
            SMALL_MLP,
            StudentFacts("consistency", inputs=GUIDED),
        )
