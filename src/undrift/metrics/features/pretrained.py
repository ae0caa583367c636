"""Spaces of large public networks, through transformers: DINOv2 and CLIP.

DINOv2 (Oquab et al., 2023) agrees better with people than Inception does (Stein et al., "Exposing
flaws of generative model evaluation metrics", 2023); CLIP (Radford et al., 2021) knows what words
describe, and CMMD is measured in it (Jayasumana et al., 2024).

Whole images are resized to a square, stretched where they are none (other tools cut out the
middle), by torch's bicubic filter with antialiasing, and rounded to levels as an image library
would store them; results are close to those of such a library, not the same bits.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from undrift.advice import possible
from undrift.errors import ModelFileError, UsageError
from undrift.metrics.features import cache
from undrift.metrics.features.colour import three_channels

_BATCH = 32
_VERSION = 1  # of the preprocessing below: it is part of the name


@dataclass(frozen=True)
class _Family:
    """One kind of network.

    Attributes:
        hub_id: what published numbers were measured with.
        size: of its download.
        model: class of transformers.
        mean: (3,) of the levels / 255.
        std: (3,) of the levels / 255.
        side: pixels; None for what the network's configuration says.
        words: the features, for the protocol string.
    """

    hub_id: str
    size: str
    model: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    side: int | None
    words: str


_FAMILIES = {
    "dinov2": _Family(
        "facebook/dinov2-large",
        "1.2 GB",
        "Dinov2Model",
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
        224,  # the published protocol, although it was last trained at 518
        "class token of DINOv2",
    ),
    "clip": _Family(
        "openai/clip-vit-large-patch14",
        "1.7 GB",
        "CLIPVisionModelWithProjection",
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
        None,
        "image embedding of CLIP, of length 1",
    ),
}


class PretrainedFeatures:
    """Features of a DINOv2 or CLIP image network.

    Args:
        kind: ``dinov2`` or ``clip``.
        network: the model of transformers.
        device: where to run.
    """

    def __init__(
        self, kind: str, network: torch.nn.Module, device: torch.device | str = "cpu"
    ) -> None:
        self._kind = kind
        self._family = _FAMILIES[kind]
        self.network = network.eval().requires_grad_(False).to(device)
        self.device = torch.device(device)
        config: Any = network.config
        own_side = int(config.image_size)
        self.side = own_side if self._family.side is None else min(self._family.side, own_side)
        self._dimension = int(config.hidden_size if kind == "dinov2" else config.projection_dim)
        settings = f"{_VERSION}|{kind}|{self.side}|{self._family.mean}|{self._family.std}|"
        digest = hashlib.sha256(settings.encode())
        digest.update(cache.content_hash(network.state_dict()).encode())
        self._content = digest.hexdigest()

    @classmethod
    def open(
        cls,
        kind: str,
        source: str | None = None,
        *,
        download: bool = False,
        device: torch.device | str = "cpu",
    ) -> PretrainedFeatures:
        """Load a network.

        Args:
            kind: ``dinov2`` or ``clip``.
            source: a directory with ``config.json`` and ``model.safetensors``, or a hub id; default
                the one that published numbers were measured with.
            download: fetch what is not there; otherwise the network is not touched.
            device: where to run.

        Raises:
            UsageError: transformers is not installed, or the network is not there.
            ModelFileError: another kind of network, or damaged weights.
        """
        family = _FAMILIES[kind]
        try:
            import transformers
        except ImportError as error:
            raise UsageError(
                f"{kind} features need transformers, which is not installed: "
                "pip install 'undrift[text]'"
            ) from error
        wanted = source or family.hub_id
        local = os.path.isdir(wanted)
        size = f" ({family.size})" if wanted == family.hub_id else ""
        try:
            with _without_bars(transformers.utils.logging):
                network, report = getattr(transformers, family.model).from_pretrained(
                    wanted,
                    local_files_only=local or not download,
                    use_safetensors=True,  # never a pickle
                    dtype=torch.float32,
                    attn_implementation="eager",
                    output_loading_info=True,
                )
        except OSError as error:
            if local:
                raise ModelFileError(
                    f"{wanted} cannot be loaded as {family.model}: wanted config.json and "
                    "model.safetensors in it"
                ) from error
            raise UsageError(
                f"{kind} features need {wanted}{size}, which is not here: give {kind}:DIRECTORY"
                + possible(
                    f", or fetch it from https://huggingface.co/{wanted} with {{download}}", ""
                )
            ) from error
        except Exception as error:
            # what damaged weights or another configuration raise differs between versions
            raise ModelFileError(
                f"{wanted} cannot be loaded as {family.model}: {type(error).__name__}"
            ) from error
        if report["missing_keys"] or report["mismatched_keys"]:
            raise ModelFileError(
                f"{wanted} lacks weights of {family.model}, such as "
                f"{sorted(map(str, [*report['missing_keys'], *report['mismatched_keys']]))[0]}"
            )
        return cls(kind, network, device)

    @property
    def name(self) -> str:
        """``dinov2@`` or ``clip@`` and eight hex digits of weights and preprocessing."""
        return f"{self._kind}@{self._content[:8]}"

    @property
    def description(self) -> str:
        """The space in words."""
        return (
            f"{self._family.words}, {self.dimension} features, bicubic resize with antialiasing "
            f"to {self.side}x{self.side}, nothing cut off, the aspect not kept"
        )

    @property
    def dimension(self) -> int:
        """D, the network's own."""
        return self._dimension

    @property
    def standard_fid(self) -> bool:
        """False: a distance here is no FID."""
        return False

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (n, D), float32, of grey or RGB ``images`` (n, H, W, C) uint8 of any size.

        Raises:
            UsageError: another type, shape or channel count.
        """
        parts = [np.zeros((0, self.dimension), np.float32)]
        for start in range(0, len(images), _BATCH):
            levels = three_channels(images[start : start + _BATCH], self._kind)
            with torch.no_grad():
                pixels = self._prepared(levels.to(self.device))
                parts.append(self._embedded(pixels).cpu().numpy())
        return np.concatenate(parts)

    def _prepared(self, levels: Tensor) -> Tensor:
        x = F.interpolate(
            levels.float(), size=(self.side, self.side), mode="bicubic", antialias=True
        )
        x = x.clamp(0, 255).round() / 255  # the filter overshoots at edges
        mean = torch.tensor(self._family.mean, device=x.device)[:, None, None]
        std = torch.tensor(self._family.std, device=x.device)[:, None, None]
        return (x - mean) / std

    def _embedded(self, pixels: Tensor) -> Tensor:
        found = self.network(pixel_values=pixels)
        if self._kind == "dinov2":
            # after the last normalisation, as DINOv2's own forward gives it
            return found.last_hidden_state[:, 0]
        return F.normalize(found.image_embeds, dim=1)


@contextlib.contextmanager
def _without_bars(bars: Any) -> Iterator[None]:
    """Keep transformers' bar of tensors loaded off the terminal; a download still shows its own."""
    shown = bars.is_progress_bar_enabled()
    if not shown:
        yield
        return
    hub = importlib.import_module("huggingface_hub.utils")
    bars.disable_progress_bar()
    hub.enable_progress_bars()
    try:
        yield
    finally:
        bars.enable_progress_bar()
