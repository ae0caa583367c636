"""A user's own features: a TorchScript file, an ONNX file or a Python function."""

from __future__ import annotations

import hashlib
import inspect
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.errors import ModelFileError, UsageError
from undrift.files.own_code import own_function
from undrift.files.reading import read_bytes

_BATCH = 64


class OwnFeatures:
    """What the three kinds share: batches, and checks of all that comes back.

    Args:
        what: the name that the user gave, for messages.
        kind: first half of the space's name.
        content: what the second half is the hash of.
        call: images (B, H, W, C) uint8 to an array (B, D).
        example: images (n, H, W, C) uint8 to try it on; they fix D.
    """

    def __init__(
        self,
        what: str,
        kind: str,
        content: bytes,
        call: Callable[[NDArray[np.uint8]], Any],
        example: NDArray[np.uint8],
    ) -> None:
        self._what = what
        self._name = f"{kind}@{hashlib.sha256(content).hexdigest()[:8]}"
        self._call = call
        self._dimension: int | None = None
        # two images, because an output whose first size is always 1 would pass with one
        self._dimension = self.features(example[:2]).shape[1]

    @property
    def name(self) -> str:
        """``kind@hash8``: hash of the file, or of the function's source file and name."""
        return self._name

    @property
    def description(self) -> str:
        """The space in words."""
        return f"{self.dimension} features of the user's {self._what}"

    @property
    def dimension(self) -> int:
        """D."""
        return self._dimension or 0

    @property
    def standard_fid(self) -> bool:
        """False: what the user's network is cannot be known."""
        return False

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Features (n, D), float64, of ``images`` (n, H, W, C) uint8.

        Raises:
            UsageError: it failed, or gave what is no finite array (n, D).
        """
        if images.ndim != 4 or images.dtype != np.uint8:
            raise UsageError(
                f"images {images.dtype} {images.shape}: {self._what} takes uint8 (n, H, W, C)"
            )
        parts = [
            self._checked(np.array(images[start : start + _BATCH]))
            for start in range(0, len(images), _BATCH)
        ]
        if not parts:
            return np.zeros((0, self.dimension))
        if len({part.shape[1] for part in parts}) > 1:
            raise UsageError(f"{self._what} gave different numbers of features for one set")
        return np.concatenate(parts)

    def _checked(self, block: NDArray[np.uint8]) -> NDArray[np.float64]:
        try:
            found = self._call(block)
        except Exception as error:
            # whatever a user's code raises is about the user's code
            reason = str(error).strip().splitlines() or [""]
            raise UsageError(
                f"{self._what} failed on uint8 images {block.shape}: "
                f"{type(error).__name__}: {reason[-1]}"
            ) from error
        if isinstance(found, torch.Tensor):
            found = found.detach().cpu().float().numpy()
        if not isinstance(found, np.ndarray):
            raise UsageError(
                f"{self._what} gave {type(found).__name__}: wanted one array (n, D) of numbers"
            )
        wanted = "D >= 1" if self._dimension is None else f"D = {self._dimension}"
        fits = found.ndim == 2 and len(found) == len(block) and found.shape[1] >= 1
        if not fits or self._dimension not in (None, found.shape[1]):
            raise UsageError(
                f"{self._what} gave an array {found.shape} for {len(block)} images: "
                f"wanted ({len(block)}, D), {wanted}"
            )
        if found.dtype.kind not in "fiu":
            raise UsageError(f"{self._what} gave an array of {found.dtype}: wanted real numbers")
        rows = found.astype(np.float64)
        if not np.isfinite(rows).all():
            raise UsageError(f"{self._what} gave NaN or infinity: check it on these images alone")
        return rows


def torchscript_features(
    path: Path, example: NDArray[np.uint8], device: torch.device | str = "cpu"
) -> OwnFeatures:
    """Features by a TorchScript file that takes uint8 (n, C, H, W) and gives (n, D).

    Args:
        path: the file.
        example: images (n, H, W, C) uint8 of those that it will see.
        device: where to run.

    Raises:
        UsageError: no such file, or outputs that are no features.
        ModelFileError: no TorchScript file.
    """
    blob = _bytes(path)
    try:
        with warnings.catch_warnings():
            # TorchScript is deprecated in favour of formats that pin the input's shape
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(io.BytesIO(blob), map_location=device).eval()
    except (RuntimeError, ValueError) as error:
        raise ModelFileError(
            f"{path} is no TorchScript file: wanted one made by torch.jit.save"
        ) from error

    def call(block: NDArray[np.uint8]) -> object:
        with torch.no_grad():
            return module(_channels_first(block).to(device))

    return OwnFeatures(str(path), "torchscript", blob, call, example)


def onnx_features(path: Path, example: NDArray[np.uint8]) -> OwnFeatures:
    """Features by an ONNX file: the first output (n, D), from the one input (n, C, H, W).

    The input may be uint8, or float32, which then gets the levels 0 to 255 as they are. Runs on the
    CPU, by onnxruntime.

    Args:
        path: the file, with its weights inside.
        example: images (n, H, W, C) uint8 of those that it will see.

    Raises:
        UsageError: onnxruntime is not installed, no such file, or outputs that are no features.
        ModelFileError: no ONNX file, or one with other inputs.
    """
    blob = _bytes(path)
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            f"features {path} need onnxruntime, which is not installed: pip install 'undrift[onnx]'"
        ) from error
    try:
        session = onnxruntime.InferenceSession(blob, providers=["CPUExecutionProvider"])
    except Exception as error:
        # onnxruntime's exceptions have no common base of their own
        raise ModelFileError(
            f"{path} is no ONNX file that onnxruntime can run: wanted one with its weights inside"
        ) from error
    inputs = session.get_inputs()
    kinds = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
    if len(inputs) != 1 or inputs[0].type not in kinds:
        found = ", ".join(f"{entry.name} {entry.type}" for entry in inputs)
        raise ModelFileError(
            f"{path} takes {found}: wanted one input (n, C, H, W) of uint8, or of float32 levels"
        )
    name, kind = inputs[0].name, kinds[inputs[0].type]

    def call(block: NDArray[np.uint8]) -> object:
        levels = np.ascontiguousarray(block.transpose(0, 3, 1, 2)).astype(kind)
        return session.run(None, {name: levels})[0]

    return OwnFeatures(str(path), "onnx", blob, call, example)


def function_features(spec: str, example: NDArray[np.uint8]) -> OwnFeatures:
    """Features by a Python function that takes uint8 (n, H, W, C) and gives (n, D).

    Args:
        spec: ``package.module:function``, looked for in the working directory too. Importing the
            module runs it.
        example: images (n, H, W, C) uint8 of those that it will see.

    Raises:
        UsageError: no such module or function, or outputs that are no features.
    """
    module, function = own_function("features", spec)
    try:
        source = Path(inspect.getsourcefile(module) or "").read_bytes()
    except (TypeError, OSError) as error:
        raise UsageError(
            f"features {spec!r}: {module.__name__} has no source file, so its version cannot be "
            "named; wrap it in a module of your own"
        ) from error
    content = source + f"\x1f{spec.partition(':')[2]}".encode()
    return OwnFeatures(spec, "function", content, function, example)


def _bytes(path: Path) -> bytes:
    return read_bytes(path, UsageError, "give a file of features")


def _channels_first(block: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(block).permute(0, 3, 1, 2).contiguous()
