"""Saved pipelines come back the same; damaged ones never do."""

from __future__ import annotations

import json
import os
import random
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch
from tests.pipelines.models import SMALL_MLP, SMALL_UNET, Own, own, small

from undrift.diffusion import VE, Flow, SubVP, VPCosine, VPLinear
from undrift.errors import ModelFileError, UsageError
from undrift.files import manifest
from undrift.networks import TransformerConfig
from undrift.pipelines import DiffusionPipeline, Pipeline

FILES = {"config.json", "model.safetensors", "MANIFEST.json"}


@pytest.fixture
def saved(tmp_path):
    small().save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.parametrize(
    "schedule", [VE(40.0), VPLinear(0.2, 15.0), VPCosine(0.01), Flow(), SubVP()], ids=repr
)
@pytest.mark.parametrize("kind", ["epsilon", "x0", "v", "flow", "edm"])
def test_round_trip(tmp_path, schedule, kind):
    pipeline = small(schedule=schedule, kind=kind, frequencies=(0.5, 0.2, 0.3))
    pipeline.save_pretrained(tmp_path / "a" / "b")
    assert set(os.listdir(tmp_path / "a" / "b")) == FILES
    back = Pipeline.from_pretrained(tmp_path / "a" / "b")
    assert isinstance(back, DiffusionPipeline)
    assert back.spec == pipeline.spec
    assert back.denoiser.schedule == schedule
    assert back.denoiser.parameterization == pipeline.denoiser.parameterization
    assert back.network_config == SMALL_MLP
    assert not back.denoiser.network.training
    assert (back(3, guidance=2).images == pipeline(3, guidance=2).images).all()


@pytest.mark.parametrize(
    "config",
    [SMALL_UNET, TransformerConfig(patch=1, width=16, depth=1, heads=2)],
    ids=lambda c: c.kind,
)
def test_round_trip_of_other_networks(tmp_path, config):
    pipeline = small(config=config, channels=3)
    pipeline.save_pretrained(str(tmp_path / "p"))
    back = Pipeline.from_pretrained(str(tmp_path / "p"))
    difference = back(3).images.astype(int) - pipeline(3).images
    assert np.abs(difference).max() <= 1  # another memory format


def test_loading_leaves_the_global_generator_alone(saved):
    torch.manual_seed(0)
    wanted = torch.randn(3)
    torch.manual_seed(0)
    Pipeline.from_pretrained(saved)
    assert torch.equal(torch.randn(3), wanted)


def test_a_network_of_ones_own(tmp_path):
    pipeline = own()
    pipeline.save_pretrained(tmp_path / "p")
    back = Pipeline.from_pretrained(tmp_path / "p", network=Own())
    assert (back(3).images == pipeline(3).images).all()
    with pytest.raises(UsageError, match=r"network of its own, Own: give it.*network="):
        Pipeline.from_pretrained(tmp_path / "p")
    with pytest.raises(ModelFileError, match="has shape .*the model wants"):
        Pipeline.from_pretrained(tmp_path / "p", network=Own(width=7))


def test_a_network_where_none_is_wanted(saved):
    with pytest.raises(UsageError, match="builds its own mlp: leave network= out"):
        Pipeline.from_pretrained(saved, network=Own())


def test_tied_weights_survive(tmp_path):
    pipeline = own(width=30)
    pipeline.denoiser.network.outer.bias = pipeline.denoiser.network.inner.bias
    pipeline.save_pretrained(tmp_path / "p")
    back = Pipeline.from_pretrained(tmp_path / "p", network=Own(width=30))
    assert (back(2).images == pipeline(2).images).all()


def test_saving_again_replaces_a_pipeline_and_nothing_else(tmp_path, saved):
    small(seed=1).save_pretrained(saved)
    assert (Pipeline.from_pretrained(saved)(2).images == small(seed=1)(2).images).all()
    assert os.listdir(tmp_path) == ["saved"]  # nothing left beside it
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"cat")
    with pytest.raises(UsageError, match="holds other files"):
        small().save_pretrained(tmp_path / "photos")
    assert (tmp_path / "photos" / "cat.png").read_bytes() == b"cat"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="is a file"):
        small().save_pretrained(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    small().save_pretrained(tmp_path / "empty")
    Pipeline.from_pretrained(tmp_path / "empty")


@pytest.mark.parametrize("damaged", [False, True])
def test_saving_again_deletes_nothing_that_is_not_the_pipelines_own(tmp_path, saved, damaged):
    (saved / "samples").mkdir()
    (saved / "samples" / "0.png").write_bytes(b"drawn")
    if damaged:
        (saved / "MANIFEST.json").write_bytes(b"{")
    before = {path: path.read_bytes() for path in saved.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="also holds 'samples', which replacing it would delete"):
        small(seed=1).save_pretrained(saved)
    assert {path: path.read_bytes() for path in saved.rglob("*") if path.is_file()} == before
    assert os.listdir(tmp_path) == ["saved"]
    shutil.rmtree(saved / "samples")
    small(seed=1).save_pretrained(saved)  # a damaged manifest is no reason not to
    assert (Pipeline.from_pretrained(saved)(2).images == small(seed=1)(2).images).all()


def test_a_file_that_the_old_manifest_lists_is_replaced_too(saved):
    data = b"of an older version"
    (saved / "vocabulary.json").write_bytes(data)
    files = {path.name: path.read_bytes() for path in saved.iterdir() if path.name != manifest.NAME}
    listing = {name: manifest.facts(content) for name, content in files.items()}
    (saved / manifest.NAME).write_bytes(manifest.encode(listing))
    small(seed=1).save_pretrained(saved)
    assert not (saved / "vocabulary.json").exists()


def test_an_interrupted_save_leaves_the_old_pipeline(monkeypatch, tmp_path, saved):
    """Whatever call fails, the old pipeline or the new one is there, whole."""
    new = small(seed=1)
    old_images, new_images = small()(2).images, new(2).images
    reached = 0
    for failing in range(12):
        calls = 0

        def broken(real, failing=failing):
            def call(*args, **keywords):
                nonlocal calls
                calls += 1
                if calls == failing + 1:
                    raise OSError(28, "No space left on device")
                return real(*args, **keywords)

            return call

        with monkeypatch.context() as patch:
            for name in ("fsync", "rename"):
                patch.setattr(os, name, broken(getattr(os, name)))
            try:
                new.save_pretrained(saved)
            except UsageError as error:
                assert "No space left" in str(error)
                reached += 1
        images = Pipeline.from_pretrained(saved)(2).images
        assert (images == old_images).all() or (images == new_images).all()
        assert os.listdir(tmp_path) == ["saved"]
        if (images == new_images).all():
            break
    assert reached >= 5


def test_a_schedule_of_ones_own_cannot_be_saved(tmp_path):
    pipeline = own()
    pipeline.denoiser.schedule = lambda t: Flow()(t)
    with pytest.raises(UsageError, match="not one that undrift can build again"):
        pipeline.save_pretrained(tmp_path / "p")
    assert not (tmp_path / "p").exists()


def refused(directory, match=None):
    with pytest.raises(ModelFileError, match=match) as error:
        Pipeline.from_pretrained(directory)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_random_damage_is_always_found(tmp_path, saved):
    """Bit flips, cuts, swaps, extra bytes and missing files, of every file."""
    small(seed=1).save_pretrained(tmp_path / "other")
    draw = random.Random(0)
    for trial in range(200):
        name = sorted(FILES)[trial % 3]
        shutil.rmtree(tmp_path / "hurt", ignore_errors=True)
        shutil.copytree(saved, tmp_path / "hurt")
        path = tmp_path / "hurt" / name
        data = bytearray(path.read_bytes())
        damage = ("flip", "flip", "flip", "cut", "grow", "swap", "zero")[trial // 3 % 7]
        if damage == "flip":
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        elif damage == "cut":
            del data[draw.randrange(len(data)) :]
        elif damage == "grow":
            data += b" "
        elif damage == "zero":
            data = bytearray(len(data))
        path.write_bytes(data)
        if damage == "swap":
            if name == "config.json":  # the same in both: change what it says instead
                path.write_bytes(bytes(data).replace(b'"sigma_data": 1.0', b'"sigma_data": 2.0'))
            else:
                shutil.copy(tmp_path / "other" / name, path)
        refused(tmp_path / "hurt")


@pytest.mark.parametrize("name", sorted(FILES))
def test_missing_files(saved, name):
    (saved / name).unlink()
    assert name in refused(saved, "is missing")


def test_places_that_are_no_pipeline(tmp_path, saved):
    refused(tmp_path / "nowhere", "no such directory")
    (tmp_path / "run").mkdir()
    refused(tmp_path / "run", "MANIFEST.json is missing")
    shutil.copytree(saved, tmp_path / "run" / "pipeline")
    refused(tmp_path / "run", "is a run: give .*pipeline")
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", "no such directory")


def rewritten(directory, config=None, weights=None):
    """Change files and write a manifest that agrees: what is left must find the rest."""
    plain = json.loads((directory / "config.json").read_bytes())
    state = safetensors.torch.load((directory / "model.safetensors").read_bytes())
    if config:
        config(plain)
    if weights:
        weights(state)
    files = {
        "config.json": json.dumps(plain).encode(),
        "model.safetensors": safetensors.torch.save(state),
    }
    for name, data in {**files, manifest.NAME: listed(files)}.items():
        (directory / name).write_bytes(data)


def listed(files):
    """The manifest of files: name -> content."""
    return manifest.encode({name: manifest.facts(data) for name, data in files.items()})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (lambda c: c.update(kind="flow"), "is of kind 'flow', wanted one of diffusion, gan"),
        (lambda c: c.update(format=99), "format 99, this version of undrift reads 1"),
        (lambda c: c.update(sampel=1), "unknown key 'sampel'"),
        (lambda c: c.pop("codec"), "'codec' is missing"),
        (lambda c: c["network"].update(width="wide"), "width: got 'wide'"),
        (lambda c: c["network"].update(width=0), "config.json: network: mlp: width is 0, wanted 1"),
        (lambda c: c["network"].update(width=2**31), "wanted 1 to 65,536"),
        (lambda c: c["network"].update(blocks=2**31), "blocks is 2147483648, wanted 1 to 512"),
        (lambda c: c["network"].update(width=2**15), "more than"),
        (lambda c: c["spec"].update(shape=[10**9, 10**9, 1]), "wanted 1 to 16,384"),
        (lambda c: c.update(width=2**40), "wanted 1 to 65,536"),
        (lambda c: c["spec"].update(steps=10**12), "wanted 1 to 100,000"),
        (lambda c: c["network"].update(kind="resnet"), "kind: got 'resnet'"),
        (lambda c: c["network"].update(width=17), "the model wants"),
        (lambda c: c["spec"].update(class_names=["ant", "bee"]), "encoder of 3 classes, spec of 2"),
        (lambda c: c["spec"].update(shape=[1, 6, 6]), "the model wants"),
        (lambda c: c["schedule"].update(kind="unheard"), "kind: got 'unheard'"),
        (lambda c: c["parameterization"].update(kind="y"), "unknown parameterization"),
    ],
)
def test_configurations_that_do_not_fit(saved, config, message):
    rewritten(saved, config=config)
    refused(saved, message)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda w: w.pop("encoder.labels.weight"), "encoder.labels.weight is missing"),
        (lambda w: w.update(more=torch.zeros(1)), "more is not in this model"),
        (lambda w: w.update({"encoder.labels.weight": torch.zeros(9, 9)}), r"shape \(9, 9\)"),
    ],
)
def test_weights_that_do_not_fit(saved, weights, message):
    rewritten(saved, weights=weights)
    refused(saved, message)


def test_files_that_are_not_what_they_are_called(saved):
    config = (saved / "config.json").read_bytes()
    for files, message in [
        ({"config.json": b"\xff", "model.safetensors": b""}, "is not JSON"),
        (
            {"config.json": b"[]", "model.safetensors": b""},
            "is of kind None, wanted one of diffusion, gan",
        ),
        ({"config.json": config, "model.safetensors": b"junk"}, "is not a safetensors file"),
        ({"config.json": config}, "lists config.json, wanted"),
        ({"../config.json": config, "model.safetensors": b""}, "is not a manifest"),
    ]:
        for name, data in {**files, manifest.NAME: listed(files)}.items():
            if "/" not in name:
                (saved / name).write_bytes(data)
        refused(saved, message)
