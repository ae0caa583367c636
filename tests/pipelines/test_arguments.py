"""Every argument of every method of a pipeline: used, or refused in one line before any work."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest
import torch
from tests.pipelines.models import small
from tests.pipelines.test_gan import pipeline as gan

from undrift.errors import UndriftError, UsageError
from undrift.likelihood import BoundMethod, FlowMethod, LikelihoodRequest
from undrift.pipelines import Pipeline, SampleSpec, image_grid
from undrift.schema import to_plain

ABSURD = [
    *("", "x", "\0", b"", -1, 0.5, 10**400, -(10**400), 10**5000, float("nan"), float("inf"), True),
    *(object(), [], [[]], {}, set(), 1j, range(0), range(10**9)),
    *(np.zeros((2, 2)), np.datetime64("2020-01-01"), np.array("x"), np.array([1, "x"], object)),
    *(torch.float64, torch.zeros(2, 2), torch.empty(1, device="meta")),
]
MADE = {"diffusion": small, "gan": lambda: gan("dcgan")}


def asked(pipeline: Pipeline, method: str) -> dict[str, object]:
    """The smallest request."""
    steps = {"steps": 1} if "Diffusion" in type(pipeline).__name__ else {}
    if method == "__call__":
        return {"n": 1, **steps}
    if method == "inpaint":
        channels, height, width = pipeline.spec.image_shape
        quick = steps or {"iterations": 0, "candidates": 2, "restarts": 1}
        images = np.zeros((1, height, width, channels), np.uint8)
        return {"images": images, "mask": np.ones((height, width), bool), **quick}
    if method == "likelihood":
        images = np.zeros((2, *pipeline.spec.image_shape[1:], 1), np.uint8)
        labels = np.array([0, 2])
        request = LikelihoodRequest(BoundMethod(2), 2, "given")
        return {"images": images, "request": request, "labels": labels}
    if method in ("save_pretrained", "from_pretrained"):
        return {"directory": "made"}
    return {"device": "cpu"}


CALLS = [
    (name, family) for name in ("__call__", "inpaint", "to", "from_pretrained") for family in MADE
]


@pytest.mark.parametrize(("method", "family"), [*CALLS, ("likelihood", "diffusion")])
def test_an_absurd_value_is_used_or_refused_in_one_line(family, method):
    pipeline = MADE[family]()
    function = getattr(pipeline, method)
    request = asked(pipeline, method)
    for name in inspect.signature(function).parameters:
        for value in ABSURD:
            try:
                function(**{**request, name: value})
            except UndriftError as error:
                assert "\n" not in str(error), (name, type(value))
                assert len(str(error)) < 400, (name, type(value))


@pytest.mark.parametrize("family", MADE)
def test_nothing_is_drawn_before_an_argument_is_refused(family):
    pipeline = MADE[family]()
    asked = []
    for name, value in [("guidance", "x"), ("labels", [[0]]), ("trajectory", -1), ("first", 0.5)]:
        with pytest.raises(UsageError, match=name):
            pipeline(2, on_progress=asked.append, **{name: value})
    assert asked == []


@pytest.mark.parametrize("family", MADE)
@pytest.mark.parametrize("scalar", [np.int16, np.uint64, np.array, torch.tensor])
def test_numbers_of_numpy_and_torch_are_numbers(family, scalar):
    pipeline = MADE[family]()
    plain = pipeline(2, seed=3, first=1, batch_size=1, labels=1)
    made = pipeline(
        scalar(2), seed=scalar(3), first=scalar(1), batch_size=scalar(1), labels=scalar(1)
    )
    assert (made.images == plain.images).all()
    assert json.dumps(made.settings) == json.dumps(plain.settings)


@pytest.mark.parametrize(
    "labels",
    [
        *(np.array([0, 2]), np.array(["ant", "cat"]), torch.tensor([0, 2]), (0, "cat")),
        *(range(0, 3, 2), np.str_("cat"), np.array(2), np.array([0, "cat"], object)),
    ],
    ids=repr,
)
def test_whatever_is_accepted_can_be_written(labels):
    made = small()(2, steps=1, labels=labels)
    assert json.loads(json.dumps(made.settings)) == made.settings
    assert (small()(2, steps=1, labels=made.settings["labels"]).labels == made.labels).all()


def test_settings_of_numpy_and_torch_can_be_written():
    pipeline = small()
    made = pipeline(
        1,
        steps=np.int64(2),
        guidance=torch.tensor(1.5),
        sampler=np.str_("heun"),
        grid=torch.tensor([0.9, 0.5, 0.0], dtype=torch.float64),
        threshold=np.str_("static"),
        analytic_first_step=np.bool_(True),
    )
    plain = pipeline(
        1,
        steps=2,
        guidance=1.5,
        sampler="heun",
        grid=[0.9, 0.5, 0.0],
        threshold="static",
        analytic_first_step=True,
    )
    assert json.dumps(made.settings) == json.dumps(plain.settings)
    assert (made.images == plain.images).all()
    adaptive = pipeline(1, sampler="dopri5", tolerance=np.float32(0.5))
    assert json.dumps(adaptive.settings)


@pytest.mark.parametrize("wrap", [torch.from_numpy, np.ndarray.tolist, np.asfortranarray])
def test_images_and_masks_of_other_kinds(wrap):
    pipeline = small()
    images = np.arange(30, dtype=np.uint8).reshape(1, 6, 5, 1)
    mask = np.arange(30).reshape(6, 5) % 2 == 0
    plain = pipeline.inpaint(images, mask, steps=2)
    given = images if wrap is np.ndarray.tolist else wrap(images)  # lists have no uint8
    made = pipeline.inpaint(given, wrap(mask), steps=2)
    assert (made.images == plain.images).all()


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", torch.device("meta"), 0])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(UsageError, match=r"device .*: wanted a device of this machine"):
        small().to(device)
    with pytest.raises(UsageError, match=r"device .*: wanted a device of this machine"):
        small()(1, device=device)


def test_a_dtype_is_no_device():
    with pytest.raises(UsageError, match=r"device torch\.float64: wanted a device"):
        small().to(torch.float64)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"n": 10**8}, "n 100000000: give a whole number from 1 to 10000000"),
        ({"steps": 10**7}, "steps 10000000: give a whole number from 1 to 100000"),
        ({"seed": 2**63}, r"seed 9223372036854775808: wanted a whole number below 2\^63"),
        ({"first": 2**32}, "first 4294967296: give a whole number from 0 to"),
    ],
)
def test_numbers_are_bounded(keywords, message):
    with pytest.raises(UsageError, match=message):
        small()(**{"n": 1, **keywords})


@pytest.mark.parametrize("images", [None, [], np.zeros((1, 2, 2)), "x", object()])
def test_a_grid_is_of_images(images):
    with pytest.raises(UsageError, match="image"):
        image_grid(images)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"labels": np.array([0.5, 1.0])}, "labels of type float64 .*: wanted .2,. whole numbers"),
        ({"labels": np.array([0, 3])}, "labels from 0 to 3: wanted numbers from 0 to 2"),
        ({"labels": [True, False]}, "labels of type bool"),
        ({"numbers": [1]}, "1 numbers for 2 images"),
        ({"batch_size": 0}, "batch_size 0: give a whole number of at least 1"),
        ({"request": "elbo"}, "request 'elbo': wanted a LikelihoodRequest"),
    ],
)
def test_what_cannot_be_scored_is_refused(keywords, message):
    pipeline = small()
    with pytest.raises(UsageError, match=message):
        pipeline.likelihood(**asked(pipeline, "likelihood") | keywords)


def test_labels_of_images_to_score_may_be_of_any_whole_numbers():
    pipeline = small()
    request = asked(pipeline, "likelihood")
    plain = pipeline.likelihood(**request).nats
    for labels in ([0, 2], np.array([0, 2], np.uint8), torch.tensor([0, 2])):
        assert (pipeline.likelihood(**request | {"labels": labels}).nats == plain).all()


@pytest.mark.parametrize("kind", [SampleSpec, LikelihoodRequest, BoundMethod, FlowMethod])
def test_an_absurd_field_is_used_or_refused_in_one_line(kind):
    given = {SampleSpec: {"image_shape": (1, 6, 5)}}
    given[LikelihoodRequest] = {"method": BoundMethod(2), "value_levels": 2}
    for name in inspect.signature(kind).parameters:
        for value in ABSURD:
            try:
                kind(**given.get(kind, {}) | {name: value})
            except UsageError as error:
                assert "\n" not in str(error) and len(str(error)) < 400, (name, type(value))


def test_a_spec_of_numpys_numbers_can_be_written():
    spec = SampleSpec(
        np.array([1, 6, 5]),
        np.array(["ant", "bee"]),
        class_frequencies=torch.tensor([0.25, 0.75]),
        steps=np.int64(3),
        rho=np.float32(7),
    )
    plain = SampleSpec((1, 6, 5), ("ant", "bee"), (0.25, 0.75), steps=3, rho=7.0)
    assert spec == plain and json.dumps(to_plain(spec)) == json.dumps(to_plain(plain))
