"""GAN pipelines: latents by (seed, i), truncation, files, and what they refuse."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from undrift.codec import Identity
from undrift.conditioning import ConditionEncoder, ConditionSpec
from undrift.errors import ModelFileError, UsageError
from undrift.networks.gan import (
    DCGANConfig,
    R3GANConfig,
    SNGANConfig,
    StyleGAN2Config,
    build_generator,
)
from undrift.pipelines import GANPipeline, Pipeline, SampleSpec

CONFIGS = {
    "stylegan2": StyleGAN2Config(width=4, latent=6),
    "r3gan": R3GANConfig(width=8, latent=6, group_width=4),
    "sngan": SNGANConfig(width=4, latent=6),
    "dcgan": DCGANConfig(width=4, latent=6),
}


def pipeline(name: str = "stylegan2", classes: int = 3) -> GANPipeline:
    torch.manual_seed(0)
    encoder = ConditionEncoder(ConditionSpec(classes=classes), 5)
    size = {"channels": 3, "size": (8, 12), "context": encoder.context_spec}
    made = build_generator(CONFIGS[name], **size)
    with torch.no_grad():
        made.train()(torch.randn(8, 6), encoder(None, 8))
    names = tuple("abc"[:classes])
    spec = SampleSpec((3, 8, 12), names, steps=1)
    return GANPipeline(made, encoder, Identity(), spec, network_config=CONFIGS[name])


@pytest.fixture(scope="module")
def drawing() -> GANPipeline:
    return pipeline()


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return np.abs(a.astype(int) - b.astype(int)).max() <= 1


def test_an_image_depends_on_seed_and_place_only(drawing: GANPipeline) -> None:
    whole = drawing(6, seed=3)
    assert whole.images.shape == (6, 8, 12, 3) and whole.images.dtype == np.uint8
    assert whole.nfe == 1 and whole.labels.shape == (6,)
    parts = [drawing(2, seed=3, first=4), drawing(6, seed=3, batch_size=4)]
    assert close(parts[0].images, whole.images[4:]) and close(parts[1].images, whole.images)
    assert not close(drawing(6, seed=4).images, whole.images)


def test_labels_are_heard(drawing: GANPipeline) -> None:
    one, other = drawing(2, labels="a", seed=0), drawing(2, labels="b", seed=0)
    assert not close(one.images, other.images)
    assert other.labels.tolist() == [1, 1]


def mean_difference(images: np.ndarray) -> float:
    """Mean over pairs of different images of their root mean square difference."""
    flat = torch.from_numpy(images.reshape(len(images), -1)).double()
    return float(torch.pdist(flat).mean()) / flat.shape[1] ** 0.5


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("classes", [0, 3])
def test_truncation_is_a_dial_of_diversity(name: str, classes: int) -> None:
    made = pipeline(name, classes)
    with torch.no_grad():
        for parameter in made.generator.parameters():
            parameter.mul_(1.5)  # away from the start, whose images differ by few levels
    label = "a" if classes else None
    found = [
        mean_difference(made(12, labels=label, truncation=psi).images)
        for psi in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert found[0] == 0 and all(a < b for a, b in itertools.pairwise(found)), found


@pytest.mark.parametrize("name", ["stylegan2", "r3gan"])
def test_truncation_keeps_the_class(name: str) -> None:
    """A mean style over all classes would lead every class to one image."""
    images = pipeline(name)(6, labels="all", truncation=0.0).images
    assert close(images[:3], images[3:])
    assert not close(images[0], images[1]) and not close(images[1], images[2])


def test_a_truncated_image_depends_on_seed_and_place_only(drawing: GANPipeline) -> None:
    whole = drawing(6, seed=3, truncation=0.5)
    assert close(drawing(2, seed=3, first=4, truncation=0.5).images, whole.images[4:])


def test_progress_is_told_by_batches(drawing: GANPipeline) -> None:
    told = []
    drawing(5, batch_size=2, on_progress=told.append)
    assert [(p.done, p.total, p.finished) for p in told] == [(1, 3, 2), (2, 3, 4), (3, 3, 5)]
    assert told[0].preview.shape == (2, 8, 12, 3)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"steps": 20}, "a GAN has no such setting; it takes truncation"),
        ({"sampler": "heun"}, "a GAN has no such setting; it takes truncation"),
        ({"grid": "karras"}, "a GAN has no such setting; it takes truncation"),
        ({"trajectory": 2}, "draws in one pass"),
        ({"guidance": 2.0}, "a GAN has no such setting; it takes truncation"),
        ({"truncation": 1.5}, "from 0 to 1"),
        ({"n": 0}, "at least 1"),
        ({"labels": "z"}, "z"),
    ],
)
def test_what_a_gan_has_not_is_refused(
    drawing: GANPipeline, setting: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        drawing(**{"n": 2, **setting})


def test_it_has_no_likelihood(drawing: GANPipeline) -> None:
    with pytest.raises(UsageError, match="has no likelihood"):
        drawing.likelihood(np.zeros((1, 8, 12, 3), np.uint8), None)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("classes", [0, 3])
def test_saved_and_loaded_it_draws_the_same(tmp_path: Path, name: str, classes: int) -> None:
    made = pipeline(name, classes)
    made.save_pretrained(tmp_path / "p")
    loaded = Pipeline.from_pretrained(tmp_path / "p")
    assert isinstance(loaded, GANPipeline)
    assert loaded.fingerprint == made.fingerprint
    np.testing.assert_array_equal(loaded(4, seed=1).images, made(4, seed=1).images)
    files = {path.name for path in (tmp_path / "p").iterdir()}
    assert files == {"config.json", "model.safetensors", "MANIFEST.json"}


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_changed_byte_is_found(tmp_path: Path, drawing: GANPipeline, file: str) -> None:
    drawing.save_pretrained(tmp_path / "p")
    path = tmp_path / "p" / file
    data = bytearray(path.read_bytes())
    place = data.index(b"width") if file == "config.json" else len(data) // 2
    data[place] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ModelFileError, match=file):
        Pipeline.from_pretrained(tmp_path / "p")


def test_the_file_is_plain(tmp_path: Path, drawing: GANPipeline) -> None:
    drawing.save_pretrained(tmp_path / "p")
    plain = json.loads((tmp_path / "p" / "config.json").read_text())
    assert plain["kind"] == "gan" and plain["network"]["kind"] == "stylegan2"
    with pytest.raises(UsageError, match="leave network= out"):
        Pipeline.from_pretrained(tmp_path / "p", network=torch.nn.Identity())
