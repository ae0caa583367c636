"""A user's own features: what is accepted, what is refused, what names them."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from undrift.errors import ModelFileError, UsageError
from undrift.metrics.features import open_extractor
from undrift.metrics.features.own import (
    function_features,
    onnx_features,
    torchscript_features,
)


class Means(nn.Module):
    """Means over rows of the first channel, uint8 (n, C, H, W) to (n, H)."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float()[:, 0].mean(dim=2) * self.scale


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (70, 5, 4, 3), dtype=np.uint8)


def script(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(module).save(path)
    return path


def module(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, body: str) -> None:
    """A module in the working directory, forgotten after the test."""
    (folder / f"{name}.py").write_text("import numpy as np\nimport torch\n" + body)
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)


def test_torchscript_gets_channels_first_levels(images: np.ndarray, tmp_path: Path):
    path = script(Means(), tmp_path / "own.pt")
    found = torchscript_features(path, images)
    np.testing.assert_allclose(found.features(images), images[..., 0].mean(axis=2), rtol=1e-5)
    assert (found.dimension, found.standard_fid) == (5, False)
    assert found.name.startswith("torchscript@")
    assert found.name == open_extractor(str(path), images, None).name
    assert found.name != torchscript_features(script(Means(2.0), tmp_path / "b.pt"), images).name
    assert found.features(images[:0]).shape == (0, 5)


def onnx_file(path: Path, kind: str, batch: int | str = "n", inputs: int = 1) -> Path:
    onnx = pytest.importorskip("onnx", reason="the extra `onnx` is not installed")
    helper, types = onnx.helper, onnx.TensorProto
    element = {"uint8": types.UINT8, "float": types.FLOAT, "int64": types.INT64}[kind]
    nodes = [
        helper.make_node("Cast", ["x0"], ["y"], to=types.FLOAT),
        helper.make_node("ReduceMean", ["y", "axes"], ["z"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "means",
        [
            helper.make_tensor_value_info(f"x{i}", element, [batch, 3, "h", "w"])
            for i in range(inputs)
        ],
        [helper.make_tensor_value_info("z", types.FLOAT, [batch, 3])],
        [helper.make_tensor("axes", types.INT64, [2], [2, 3])],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    built.ir_version = 8
    path.write_bytes(built.SerializeToString())
    return path


@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_onnx_gets_channels_first_levels(kind: str, images: np.ndarray, tmp_path: Path):
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    path = onnx_file(tmp_path / "own.onnx", kind)
    found = onnx_features(path, images)
    np.testing.assert_allclose(found.features(images), images.mean(axis=(1, 2)), rtol=1e-5)
    assert found.name.startswith("onnx@")
    assert found.name == open_extractor(str(path), images, None).name


def test_an_onnx_file_that_does_not_fit_is_refused(images: np.ndarray, tmp_path: Path):
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    with pytest.raises(ModelFileError, match="x0 tensor.int64.*wanted one input"):
        onnx_features(onnx_file(tmp_path / "a.onnx", "int64"), images)
    with pytest.raises(ModelFileError, match="wanted one input"):
        onnx_features(onnx_file(tmp_path / "b.onnx", "uint8", inputs=2), images)
    with pytest.raises(UsageError, match="failed on uint8 images"):
        onnx_features(onnx_file(tmp_path / "c.onnx", "uint8", batch=9), images)
    (tmp_path / "d.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelFileError, match="no ONNX file"):
        onnx_features(tmp_path / "d.onnx", images)


def test_a_function_gets_the_images_as_they_are(
    images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    body = "def f(x):\n    return x.mean(axis=(1, 2))\ng = f\n"
    module(tmp_path, monkeypatch, "own_means", body)
    path = list(sys.path)
    found = function_features("own_means:f", images)
    assert sys.path == path
    np.testing.assert_allclose(found.features(images), images.mean(axis=(1, 2)))
    assert found.name.startswith("function@")
    assert found.name != function_features("own_means:g", images).name
    assert found.name == open_extractor("own_means:f", images, None).name
    module(tmp_path, monkeypatch, "own_means", body + "# changed\n")
    assert found.name != function_features("own_means:f", images).name


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return x.mean()", "gave float64: wanted one array"),
        ("return [1.0]", "gave list"),
        ("return x.mean(axis=(1, 2))[:1]", r"gave an array \(1, 3\) for 2 images"),
        ("return x.mean(axis=(1, 2, 3))", r"gave an array \(2,\)"),
        ("return x.reshape(len(x), -1)[:, :0]", r"\(2, 0\)"),
        ("return np.full((len(x), 2), np.nan)", "NaN"),
        ("return np.ones((len(x), 2), complex)", "complex128"),
        ("return np.array([['a']] * len(x))", "real numbers"),
        ("raise RuntimeError('first\\nlast')", "failed .*RuntimeError: last$"),
    ],
)
def test_what_are_no_features_is_refused(
    body: str,
    message: str,
    images: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    module(tmp_path, monkeypatch, "own_wrong", f"def f(x):\n    {body}\n")
    with pytest.raises(UsageError, match=message) as caught:
        function_features("own_wrong:f", images)
    assert "\n" not in str(caught.value)


def test_another_width_later_on_is_refused(
    images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    module(tmp_path, monkeypatch, "own_width", "def f(x):\n    return np.ones((len(x), len(x)))\n")
    found = function_features("own_width:f", images)
    with pytest.raises(UsageError, match=r"\(64, 64\) for 64 images: wanted \(64, D\), D = 2"):
        found.features(images)
    with pytest.raises(UsageError, match="takes uint8"):
        found.features(images.astype(np.float32))


def test_what_cannot_be_found_is_refused(
    images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="cannot import 'nowhere'"):
        function_features("nowhere:f", images)
    with pytest.raises(UsageError, match="has no function 'nothing'"):
        function_features("json:nothing", images)
    with pytest.raises(UsageError, match="no source file"):
        function_features("math:sqrt", images)
    with pytest.raises(UsageError, match="none.pt is missing"):
        torchscript_features(tmp_path / "none.pt", images)
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    with pytest.raises(ModelFileError, match="no TorchScript"):
        torchscript_features(tmp_path / "bad.pt", images)
