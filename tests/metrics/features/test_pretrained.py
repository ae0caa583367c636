"""DINOv2 and CLIP: which token, which preprocessing, what names them, and no silent download."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from undrift.errors import ModelFileError, UsageError
from undrift.metrics.features import open_extractor
from undrift.metrics.features.pretrained import PretrainedFeatures

transformers = pytest.importorskip("transformers", reason="the extra `text` is not installed")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny networks with random weights."""
    small = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28}
    folder = tmp_path_factory.mktemp("networks")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dinov2 = transformers.Dinov2Model(transformers.Dinov2Config(patch_size=14, **small))
        clip = transformers.CLIPVisionModelWithProjection(
            transformers.CLIPVisionConfig(
                patch_size=7, intermediate_size=32, projection_dim=10, **small
            )
        )
    dinov2.save_pretrained(folder / "dinov2")
    clip.save_pretrained(folder / "clip")
    return {"dinov2": folder / "dinov2", "clip": folder / "clip"}


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 28, 28, 3), dtype=np.uint8)


def test_dinov2_gives_the_class_token(folders: dict[str, Path], images: np.ndarray):
    found = PretrainedFeatures.open("dinov2", str(folders["dinov2"]))
    # no resize at 28: the preprocessing is the normalisation alone
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = torch.from_numpy((images / 255 - mean) / std).float().permute(0, 3, 1, 2)
    network = transformers.Dinov2Model.from_pretrained(folders["dinov2"]).eval()
    with torch.no_grad():
        wanted = network(pixels).pooler_output.numpy()
    assert (found.dimension, found.standard_fid) == (24, False)
    np.testing.assert_allclose(found.features(images), wanted, atol=1e-5)


def test_clip_gives_the_embedding_of_length_1(folders: dict[str, Path], images: np.ndarray):
    found = PretrainedFeatures.open("clip", str(folders["clip"]))
    mean = np.array([0.48145466, 0.4578275, 0.40821073])
    std = np.array([0.26862954, 0.26130258, 0.27577711])
    pixels = torch.from_numpy((images / 255 - mean) / std).float().permute(0, 3, 1, 2)
    network = transformers.CLIPVisionModelWithProjection.from_pretrained(folders["clip"]).eval()
    with torch.no_grad():
        wanted = F.normalize(network(pixels).image_embeds, dim=1).numpy()
    assert found.features(images).shape == (3, found.dimension) == (3, 10)
    np.testing.assert_allclose(found.features(images), wanted, atol=1e-5)


def test_the_resize_averages_when_it_shrinks(folders: dict[str, Path], images: np.ndarray):
    found = PretrainedFeatures.open("dinov2", str(folders["dinov2"]))
    # an odd factor, where single pixels would be taken without averaging
    board = np.indices((1, 252, 252, 3))[1:3].sum(axis=0) % 2 * 255
    grey = np.full((1, 28, 28, 3), 128)
    features = [found.features(x.astype(np.uint8)) for x in (board, grey)]
    white = found.features(np.full((1, 28, 28, 3), 255, np.uint8))
    assert np.abs(features[0] - features[1]).max() < 0.1 < np.abs(white - features[1]).max() / 3
    flat = found.features(np.full((1, 9, 33, 1), 70, np.uint8))
    np.testing.assert_allclose(
        flat, found.features(np.full((1, 28, 28, 3), 70, np.uint8)), atol=1e-5
    )
    with pytest.raises(UsageError, match="2 channels"):
        found.features(images[..., :2])
    assert found.features(images[:0]).shape == (0, 24)


def test_the_name_is_that_of_the_weights(folders: dict[str, Path], tmp_path: Path):
    kinds = {}
    for kind, folder in folders.items():
        shutil.copytree(folder, tmp_path / kind)
        first = PretrainedFeatures.open(kind, str(folder))
        assert PretrainedFeatures.open(kind, str(tmp_path / kind)).name == first.name
        kinds[kind] = first.name
        assert first.name.startswith(f"{kind}@")
    other = transformers.Dinov2Model.from_pretrained(folders["dinov2"])
    with torch.no_grad():
        other.embeddings.cls_token += 1e-3
    other.save_pretrained(tmp_path / "other")
    assert PretrainedFeatures.open("dinov2", str(tmp_path / "other")).name != kinds["dinov2"]


def test_nothing_is_fetched_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: np.ndarray
):
    asked: list[tuple[str, bool]] = []

    def loaded(source: str, *, local_files_only: bool, **_: object) -> None:
        asked.append((source, local_files_only))
        raise OSError("not there")

    monkeypatch.setattr(transformers.Dinov2Model, "from_pretrained", loaded)
    message = r"facebook/dinov2-large \(1.2 GB\).*dinov2:DIRECTORY.*download"
    with pytest.raises(UsageError, match=message):
        open_extractor("dinov2", images, None)
    with pytest.raises(UsageError, match="someone/else"):
        open_extractor("dinov2:someone/else", images, None, download=True)
    assert asked == [("facebook/dinov2-large", True), ("someone/else", False)]


@pytest.mark.parametrize("damage", ["truncated", "lacking", "kind", "empty"])
def test_a_damaged_directory_is_refused(damage: str, folders: dict[str, Path], tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(folders["dinov2"], folder)
    weights = folder / "model.safetensors"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "lacking":
        config = json.loads((folder / "config.json").read_text())
        config["num_hidden_layers"] = 3
        (folder / "config.json").write_text(json.dumps(config))
    elif damage == "kind":
        shutil.rmtree(folder)
        shutil.copytree(folders["clip"], folder)
    else:
        weights.unlink()
    with pytest.raises(ModelFileError, match="copy") as caught:
        PretrainedFeatures.open("dinov2", str(folder))
    assert "\n" not in str(caught.value)
