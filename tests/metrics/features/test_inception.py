"""The standard FID's network: parity with torch-fidelity's, exact resize, which file it takes."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.golden.inception.random_weights import images, random_weights

from undrift.errors import ModelFileError, UsageError
from undrift.metrics.features import inception
from undrift.metrics.features.inception import SHA256, InceptionFeatures
from undrift.metrics.features.inception_network import (
    InceptionNetwork,
    border_average,
    resize_as_tensorflow_1,
)

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "inception" / "golden.npz"


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with torch.device("meta"):
        own = InceptionNetwork().state_dict()
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_file(random_weights({name: tuple(value.shape) for name, value in own.items()}), path)
    return path


@pytest.fixture(scope="module")
def extractor(weights: Path) -> InceptionFeatures:
    return InceptionFeatures.open(weights)


def test_features_and_logits_agree_with_torch_fidelity(
    extractor: InceptionFeatures, golden: dict[str, np.ndarray]
):
    for index, block in enumerate(images()):
        found = extractor.features(block)
        wanted = golden[f"features{index}"]
        assert (found.shape, found.dtype) == (wanted.shape, np.float32)
        assert np.abs(found - wanted).max() < 1e-4 * wanted.std()
        logits = golden[f"logits{index}"].astype(np.float64)
        softmax = np.exp(logits - logits.max(axis=1, keepdims=True))
        softmax /= softmax.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(extractor.probabilities(block), softmax, atol=1e-3)


def test_the_resize_is_that_of_tensorflow_to_the_bit(golden: dict[str, np.ndarray]):
    for index, block in enumerate(images()):
        levels = torch.from_numpy(block).permute(0, 3, 1, 2).float()
        found = resize_as_tensorflow_1(levels, 299)[0, :, ::23, ::19].numpy()
        np.testing.assert_array_equal(found, golden[f"resized{index}"])


def test_the_resize_looks_at_position_times_scale():
    # a ramp is reproduced where the source position i * 4 / 8 is within the last pixel
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    wanted = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.0])
    assert torch.equal(resize_as_tensorflow_1(ramp, 8)[0, 0, 0], wanted)
    assert torch.equal(resize_as_tensorflow_1(ramp.mT, 8)[0, 0, :, 0], wanted)
    # shrinking takes single pixels: nothing is averaged
    board = torch.tensor([[0.0, 9.0], [9.0, 0.0]]).repeat(1, 1, 4, 4)
    assert torch.equal(resize_as_tensorflow_1(board, 4), torch.zeros(1, 1, 4, 4))
    unchanged = torch.rand(2, 3, 5, 5)
    assert torch.equal(resize_as_tensorflow_1(unchanged, 5), unchanged)


def test_the_average_at_the_border_is_over_the_pixels_there_are():
    assert torch.equal(border_average(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))


def test_the_two_last_blocks_pool_differently():
    network = InceptionNetwork()
    x = torch.rand(1, 1, 4, 4)
    assert torch.equal(network.Mixed_7b.pool(x), border_average(x))
    assert network.Mixed_7c.pool(x).max() == x.max() > network.Mixed_7b.pool(x).max()


def test_parameters_are_named_as_in_the_weight_file(golden: dict[str, np.ndarray]):
    with torch.device("meta"):
        assert sorted(InceptionNetwork().state_dict()) == golden["names"].tolist()


def test_grey_counts_as_colour_and_images_need_no_company(extractor: InceptionFeatures):
    grey = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 1), dtype=np.uint8)
    found = extractor.features(grey)
    colour = extractor.features(np.repeat(grey[1:2], 3, axis=3))
    np.testing.assert_allclose(found[1:2], colour, rtol=1e-4, atol=1e-4)
    assert extractor.features(grey[:0]).shape == (0, extractor.dimension)
    with pytest.raises(UsageError, match="4 channels.*1 or 3"):
        extractor.features(np.zeros((1, 8, 8, 4), np.uint8))
    with pytest.raises(UsageError, match="float32"):
        extractor.features(np.zeros((1, 8, 8, 3), np.float32))


def test_a_named_file_goes_by_its_own_hash_and_is_no_fid(
    extractor: InceptionFeatures, weights: Path
):
    assert extractor.name == f"inception@{hashlib.sha256(weights.read_bytes()).hexdigest()[:8]}"
    assert not extractor.standard_fid
    # a state that real weights reach without 91 MB in the tests
    assert InceptionFeatures(extractor.network, SHA256).standard_fid
    assert InceptionFeatures(extractor.network, SHA256).name == "inception@6726825d"


def test_a_pth_file_gives_the_same_features(extractor: InceptionFeatures, tmp_path: Path):
    state = {
        name: tensor
        for name, tensor in extractor.network.state_dict().items()
        if not name.endswith("num_batches_tracked")  # older files lack these
    }
    torch.save(state, tmp_path / "weights.pth")
    found = InceptionFeatures.open(tmp_path / "weights.pth")
    block = images()[1]
    np.testing.assert_array_equal(found.features(block), extractor.features(block))


def test_without_the_file_it_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(inception.urllib.request, "urlopen", never)
    with pytest.raises(UsageError, match=r"91 MB.*https://.*pth to .*weights.*download"):
        InceptionFeatures.open()
    with pytest.raises(UsageError, match="no weight file"):
        InceptionFeatures.open(tmp_path / "nothing.pth", download=True)


def test_a_download_is_announced_checked_and_kept(
    tmp_path: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path))
    monkeypatch.setattr(inception, "FILE", "weights.safetensors")
    monkeypatch.setattr(inception, "URL", weights.as_uri())
    kept = tmp_path / "weights" / "weights.safetensors"
    with pytest.raises(UsageError, match="wanted 6726825d"):
        InceptionFeatures.open(download=True)
    assert not kept.exists()
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256(weights.read_bytes()).hexdigest())
    with caplog.at_level(logging.WARNING, logger="undrift"):
        found = InceptionFeatures.open(download=True)
    assert "downloading" in caplog.text
    assert found.standard_fid
    monkeypatch.setattr(inception, "URL", "file:///nowhere")
    assert InceptionFeatures.open().name == found.name
    monkeypatch.setattr(inception, "SHA256", SHA256)
    with pytest.raises(ModelFileError, match="delete it"):
        InceptionFeatures.open()
    kept.unlink()
    with pytest.raises(UsageError, match="cannot download"):
        InceptionFeatures.open(download=True)


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("evil"),)


@pytest.mark.parametrize("content", ["noise", "evil", "other", "object"])
def test_another_file_is_refused_and_never_run(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file.pth"
    if content == "noise":
        path.write_bytes(bytes(range(256)) * 9)
    elif content == "evil":
        torch.save({"fc.bias": Evil()}, path)
    elif content == "other":
        torch.save({"fc.bias": torch.zeros(3)}, path)
    else:
        torch.save([1, 2], path)
    with pytest.raises(ModelFileError, match=r"file\.pth"):
        InceptionFeatures.open(path)
    assert not Path("evil").exists()
