"""The networks and contexts that the tests of this folder go through."""

import torch

from undrift.networks import Context, ContextSpec, MLPConfig, TransformerConfig, UNetConfig

CONFIGS = {
    "unet": UNetConfig(width=16, multipliers=(1, 2), blocks=1, attention=(1,), head_width=16),
    "unet_patch": UNetConfig(patch=2, width=16, multipliers=(1, 2, 2), blocks=1),
    "transformer": TransformerConfig(patch=2, width=32, depth=2, heads=2),
    "mlp": MLPConfig(width=32, blocks=2),
}

SPECS = {
    "none": ContextSpec(),
    "vector": ContextSpec(vector=6),
    "tokens": ContextSpec(tokens=5),
    "maps": ContextSpec(maps=2),
    "all": ContextSpec(vector=6, tokens=5, maps=2),
}


def context_for(spec, batch, *, masked=True, seed=0):
    """A random context; every token sequence has a heard and a silent token."""
    g = torch.Generator().manual_seed(seed)
    mask = torch.tensor([True, False, True, False]).expand(batch, 4)
    return Context(
        vector=torch.randn(batch, spec.vector, generator=g) if spec.vector else None,
        tokens=torch.randn(batch, 4, spec.tokens, generator=g) if spec.tokens else None,
        token_mask=mask if spec.tokens and masked else None,
        maps=torch.randn(batch, spec.maps, 5, 5, generator=g) if spec.maps else None,
    )


def inputs(batch=3, channels=3, size=(8, 8), seed=1):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, channels, *size, generator=g)
    return x, torch.linspace(-1, 1, batch)


def awaken(network, scale=0.05, seed=2):
    """Move every parameter off its start, so that zero-initialised layers let signal through."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=g))
    return network
