"""Learned samplers live in the pipeline, are used where they apply, and are never half there."""

from __future__ import annotations

import json
import os

import pytest
import torch
from tests.pipelines.models import small

from undrift.errors import ModelFileError, UsageError
from undrift.files import manifest
from undrift.pipelines import DiffusionPipeline
from undrift.pipelines.diffusion.learned import FACTS, TABLES, LearnedFacts, LearnedSampler
from undrift.sampling import DPMpp2M, karras
from undrift.sampling.learned import Table, tabulate


def learned(pipeline, steps, guidance=1.0):
    """The default rule's table with its end moved, so that the images tell which was used."""
    schedule = pipeline.denoiser.schedule
    table = tabulate(DPMpp2M(), schedule, karras(schedule, steps))
    numbers = table.coefficients.clone()
    numbers[-1, -1] *= 0.8
    facts = LearnedFacts(steps, guidance, "refined", 0.1, "dpmpp_2m on karras", 0.2, 0, 64)
    return LearnedSampler(Table(table.times, table.model_times, numbers), facts)


@pytest.fixture
def pipeline() -> DiffusionPipeline:
    made = small()
    made.learned = {2: learned(made, 2), 3: learned(made, 3), 5: learned(made, 5, guidance=2.0)}
    return made


@pytest.fixture
def saved(tmp_path, pipeline):
    pipeline.save_pretrained(tmp_path / "p")
    return tmp_path / "p"


def test_they_survive_saving_and_loading(saved, pipeline):
    assert set(os.listdir(saved)) == {
        "config.json", "model.safetensors", FACTS, TABLES, "MANIFEST.json"
    }  # fmt: skip
    back = DiffusionPipeline.from_pretrained(saved)
    assert sorted(back.learned) == [2, 3, 5]
    for steps, one in back.learned.items():
        mine = pipeline.learned[steps]
        assert one.facts == mine.facts
        for part in ("times", "model_times", "coefficients"):
            assert torch.equal(getattr(one.table, part), getattr(mine.table, part))
    assert (back(3, steps=3).images == pipeline(3, steps=3).images).all()


def test_a_pipeline_without_them_has_none(tmp_path):
    small().save_pretrained(tmp_path / "p")
    assert len(os.listdir(tmp_path / "p")) == 3
    assert DiffusionPipeline.from_pretrained(tmp_path / "p").learned == {}


def test_saving_without_them_takes_them_away(saved):
    small().save_pretrained(saved)
    assert DiffusionPipeline.from_pretrained(saved).learned == {}
    assert not (saved / FACTS).exists()


def test_the_learned_one_is_used_where_it_applies(pipeline):
    made = pipeline(4, steps=3)
    assert made.settings["sampler"] == made.settings["grid"] == "learned"
    assert made.nfe == 3
    plain = small()(4, steps=3)
    assert (made.images != plain.images).any()
    named = pipeline(4, steps=3, sampler="learned")
    assert (made.images == named.images).all()
    two = pipeline(4, steps=5, guidance=2.0)
    assert two.settings["sampler"] == "learned" and two.nfe == 10


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 3, "sampler": "dpmpp_2m"},
        {"steps": 3, "grid": "karras"},
        {"steps": 3, "guidance": 2.0},
        {"steps": 5},
        {"steps": 4},
        {},
        {"grid": [1.0, 0.5, 0.2, 0.0]},
    ],
    ids=str,
)
def test_elsewhere_the_ordinary_one_is(pipeline, settings):
    made, plain = pipeline(3, **settings), small()(3, **settings)
    assert made.settings == plain.settings and made.settings["sampler"] == "dpmpp_2m"
    assert (made.images == plain.images).all()


def test_what_was_not_learned_cannot_be_asked_for(pipeline):
    with pytest.raises(UsageError, match="of 4 steps: this pipeline has 2, 3, 5.*tune-sampler"):
        pipeline(1, steps=4, sampler="learned")
    with pytest.raises(UsageError, match="of 4 steps: this pipeline has none"):
        small()(1, sampler="learned")
    with pytest.raises(UsageError, match="brings its own grid"):
        pipeline(1, steps=3, sampler="learned", grid="karras")


def test_other_weights_have_learned_nothing(pipeline):
    other = pipeline.with_weights(small(seed=1).state_dict())
    assert other.learned == {} and sorted(pipeline.learned) == [2, 3, 5]


def test_they_are_part_of_what_a_pipeline_is_known_by(pipeline):
    assert pipeline.fingerprint != small().fingerprint
    before = pipeline.fingerprint
    pipeline.learned = {3: pipeline.learned[3]}
    assert pipeline.fingerprint != before


@pytest.mark.parametrize("name", [FACTS, TABLES])
def test_damage_is_noticed(saved, name):
    data = bytearray((saved / name).read_bytes())
    for at in range(0, len(data), max(1, len(data) // 7)):
        data[at] ^= 1
        (saved / name).write_bytes(data)
        with pytest.raises(ModelFileError, match="SHA-256"):
            DiffusionPipeline.from_pretrained(saved)
        data[at] ^= 1
    (saved / name).unlink()
    with pytest.raises(ModelFileError, match="is missing"):
        DiffusionPipeline.from_pretrained(saved)


def rewritten(directory, name, data):
    """Tamper, and set the manifest right."""
    (directory / name).write_bytes(data)
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    listing = {name: manifest.facts(data) for name, data in files.items() if name != manifest.NAME}
    (directory / manifest.NAME).write_bytes(manifest.encode(listing))


def facts_with(directory, change):
    facts = json.loads((directory / FACTS).read_text())
    change(facts)
    return json.dumps(facts).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: facts.update(format=2), "not of format 1"),
        (lambda facts: facts["samplers"].pop(), "list different samplers"),
        (lambda facts: facts["samplers"][0].update(steps=4), "4.times is missing"),
        (lambda facts: facts["samplers"][0].update(steps="2"), "wanted int"),
        (lambda facts: facts["samplers"][0].update(other=1), "unknown key"),
    ],
)
def test_facts_that_do_not_fit_are_refused(saved, change, message):
    rewritten(saved, FACTS, facts_with(saved, change))
    with pytest.raises(ModelFileError, match=message):
        DiffusionPipeline.from_pretrained(saved)


@pytest.mark.parametrize("data", [b"", b"{", b"\x00" * 40])
def test_tables_that_are_none_are_refused(saved, data):
    rewritten(saved, TABLES, data)
    with pytest.raises(ModelFileError, match=TABLES):
        DiffusionPipeline.from_pretrained(saved)


def test_bound_is_what_sampling_asks(pipeline):
    """The first step's noise and prediction are those of the images of that seed."""
    denoise, noise = pipeline.bound(range(2, 5), seed=7, guidance=2.0)
    sampled = pipeline(3, first=2, seed=7, guidance=2.0, steps=1, sampler="euler")
    schedule = pipeline.denoiser.schedule
    times = karras(schedule, 1)
    with torch.no_grad():
        x0 = denoise(noise * schedule(times[0]).sigma, times[0]).x0
    images = pipeline.codec.decode(x0).permute(0, 2, 3, 1).numpy()
    assert (images == sampled.images).all()
