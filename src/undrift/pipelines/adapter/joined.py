"""Several low-rank adapters of one base at once, each with a weight."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from undrift.ambient import own_settings
from undrift.errors import UsageError
from undrift.pipelines.adapter.model import check_base
from undrift.pipelines.adapter.pipeline import AdapterPipeline
from undrift.pipelines.diffusion.pipeline import DiffusionPipeline
from undrift.pipelines.pipeline import Pipeline


@own_settings()
@torch.no_grad()
def with_adapters(base: Pipeline, adapters: Sequence[tuple[Pipeline, float]]) -> DiffusionPipeline:
    """``base`` with the changes of its weights by all of ``adapters``, each times its weight.

    Args:
        base: the model that all of them were made for.
        adapters: low-rank ones with their weights; 1 is as trained, 0 without, below 0 away from.

    Raises:
        UsageError: for one that is not low-rank, or was made for another base.
    """
    if not isinstance(base, DiffusionPipeline) or isinstance(base, AdapterPipeline):
        raise UsageError(f"adapter: {base.noun} takes none; name the base of the adapters")
    state = base.state_dict()
    changed = {name: tensor.clone() for name, tensor in state.items()}
    for adapter, weight in adapters:
        if not isinstance(adapter, AdapterPipeline):
            raise UsageError(f"adapter: it is {adapter.noun}; name what `undrift adapt` made")
        check_base(base, adapter.adapted.facts.base)
        for name, tensor in adapter.merged(weight).state_dict().items():
            changed[name] += tensor.to(state[name]) - state[name]
    return base.with_weights(changed)
