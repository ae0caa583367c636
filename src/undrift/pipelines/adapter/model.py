"""An adapter of a frozen diffusion model: its networks, put around those of the base."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from torch import nn

from undrift.conditioning import ConditionEncoder, MapSpec
from undrift.errors import ModelFileError, UsageError
from undrift.networks.control import ControlBranch, ControlConfig, ControlledUNet
from undrift.networks.lora import LoRAConfig, LowRank, with_low_rank
from undrift.networks.unet import UNet, UNetConfig
from undrift.pipelines.diffusion.model import DiffusionModel
from undrift.pipelines.diffusion.pipeline import DiffusionPipeline
from undrift.pipelines.pipeline import Pipeline

AdapterShape = ControlConfig | LoRAConfig
"""Shape of an adapter's networks."""


@dataclass(frozen=True)
class BaseReference:
    """A frozen pipeline, which is never saved with its adapters.

    Attributes:
        path: absolute.
        fingerprint: when the adapter was made.
    """

    path: str
    fingerprint: str


@dataclass(frozen=True)
class AdapterFacts:
    """What an adapter is beside its weights.

    Attributes:
        shape: of its networks.
        base: what it adapts.
        maps: that it adds to the conditions of the base.
    """

    shape: AdapterShape
    base: BaseReference
    maps: tuple[MapSpec, ...] = ()


def open_base(reference: BaseReference) -> DiffusionPipeline:
    """The base of an adapter.

    Raises:
        ModelFileError: it is missing, or another one than when the adapter was made.
    """
    if not os.path.isdir(reference.path):
        raise ModelFileError(f"{reference.path}: the base of this adapter is not there; restore it")
    found = Pipeline.from_pretrained(reference.path)
    if not isinstance(found, DiffusionPipeline) or found.fingerprint != reference.fingerprint:
        raise ModelFileError(
            f"{reference.path}: another model than the base of this adapter (fingerprint "
            f"{found.fingerprint[:12]}, wanted {reference.fingerprint[:12]}); restore the base"
        )
    return found


def check_base(base: DiffusionPipeline, reference: BaseReference) -> None:
    """Refuse a base that the adapter was not made for.

    Raises:
        UsageError: with both fingerprints.
    """
    if base.fingerprint != reference.fingerprint:
        raise UsageError(
            f"base of fingerprint {base.fingerprint[:12]}: this adapter was made for "
            f"{reference.fingerprint[:12]}, {reference.path}"
        )


class AdaptedModel:
    """A base with an adapter: one model for sampling, and the adapter's own modules.

    Args:
        base: is copied, frozen and left as it is.
        facts: of the adapter; its networks are new.

    Attributes:
        model: base and adapter together.
        own: the adapter's modules, all that is trained and saved.

    Raises:
        UsageError: for a base that cannot have such an adapter.
    """

    def __init__(self, base: DiffusionPipeline, facts: AdapterFacts) -> None:
        model = base.model
        denoiser, encoder = copy.deepcopy((model.denoiser, model.encoder))
        for module in (denoiser, encoder):
            if module is not None:
                module.requires_grad_(False).eval()
        self.facts = facts
        self.own = nn.ModuleDict()
        self._low_rank: dict[str, LowRank] = {}
        spec = replace(model.spec, maps=(*model.spec.maps, *facts.maps))
        if isinstance(facts.shape, ControlConfig):
            if not isinstance(model.network_config, UNetConfig) or encoder is None:
                kind = "own" if model.network_config is None else model.network_config.kind
                raise UsageError(f"a control branch needs a U-Net; the base's network is {kind}")
            encoder = _with_maps(encoder, facts.maps)
            maps = encoder.context_spec.maps - (
                model.encoder.context_spec.maps if model.encoder else 0
            )
            branch = ControlBranch(facts.shape, model.network_config, spec.image_shape[0], maps)
            network = denoiser.network
            if not isinstance(network, UNet):
                raise UsageError("a control branch needs a U-Net")
            denoiser.network = ControlledUNet(network, branch)
            self.own["branch"] = branch
            for kind in encoder.spec.map_kinds[len(model.spec.maps) :]:
                self.own[kind.name] = encoder.get_submodule(kind.name)
        else:
            self._low_rank = with_low_rank(denoiser.network, facts.shape)
            for name, layer in self._low_rank.items():
                # A module's name has no dots.
                self.own[name.replace(".", "/")] = nn.ModuleDict(
                    {"lora_A": layer.lora_A, "lora_B": layer.lora_B}
                )
        self.model = DiffusionModel(denoiser, encoder, model.codec, spec, model.network_config)

    @contextmanager
    def at(self, strength: float) -> Iterator[None]:
        """Inside of it, the adapter has this strength."""
        self._set(strength)
        try:
            yield
        finally:
            self._set(1.0)

    def _set(self, strength: float) -> None:
        network = self.model.denoiser.network
        if isinstance(network, ControlledUNet):
            network.strength = strength
        for layer in self._low_rank.values():
            layer.strength = strength

    def merged(self, strength: float = 1.0) -> DiffusionModel:
        """A model of the base's own shape with the low-rank matrices added to its weights.

        Raises:
            UsageError: for a control branch, which is no change of weights.
        """
        if not self._low_rank:
            raise UsageError("a control branch is no change of the base's weights; leave merge out")
        denoiser, encoder = copy.deepcopy((self.model.denoiser, self.model.encoder))
        for module in list(denoiser.network.modules()):
            for child, layer in list(module.named_children()):
                if isinstance(layer, LowRank):
                    layer.strength = strength
                    setattr(module, child, layer.merged())
        model = self.model
        return DiffusionModel(denoiser, encoder, model.codec, model.spec, model.network_config)


def _with_maps(encoder: ConditionEncoder, maps: tuple[MapSpec, ...]) -> ConditionEncoder:
    """An encoder with the base's own modules and new ones for ``maps``."""
    known = encoder.spec
    spec = replace(known, maps=(*known.maps, *maps))
    made = ConditionEncoder(spec, max(1, encoder.context_spec.vector))
    for name, module in encoder.named_children():
        made.add_module(name, module)
    return made
