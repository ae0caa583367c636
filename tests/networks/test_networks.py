"""What every network must do, whatever its kind and context."""

import dataclasses

import pytest
import torch
from tests.networks.cases import CONFIGS, SPECS, awaken, context_for, inputs

from undrift.errors import UsageError
from undrift.networks import (
    Context,
    ContextSpec,
    NetworkConfig,
    UNetConfig,
    build_network,
    count_flops,
    count_parameters,
)
from undrift.schema import from_plain, to_plain


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def build(name, spec="none", channels=3, size=(8, 8)):
    return build_network(CONFIGS[name], channels=channels, size=size, context=SPECS[spec])


every_network = pytest.mark.parametrize("name", CONFIGS)
every_spec = pytest.mark.parametrize("spec", SPECS)


@every_network
@pytest.mark.parametrize(
    ("channels", "size"), [(1, (8, 8)), (3, (7, 9)), (4, (13, 6)), (2, (1, 1)), (1, (1, 17))]
)
def test_any_size_and_channels_come_back_in_shape(name, channels, size):
    network = awaken(build(name, "all", channels, size))
    x, c_noise = inputs(2, channels, size)
    out = network(x, c_noise, context_for(SPECS["all"], 2))
    assert out.shape == x.shape
    assert out.isfinite().all()


@every_network
def test_starts_at_zero(name):
    x, c_noise = inputs()
    network = build(name, "all")
    assert torch.equal(network(x, c_noise, context_for(SPECS["all"], 3)), torch.zeros_like(x))


@every_network
@pytest.mark.parametrize("spec", ["none", "all"])  # either side of every branch
def test_one_graph(name, spec):
    network = awaken(build(name, spec))
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    x, c_noise = inputs()
    context = context_for(SPECS[spec], 3)
    torch.testing.assert_close(compiled(x, c_noise, context), network(x, c_noise, context))
    torch.compiler.reset()


@every_network
def test_a_graph_break_would_be_noticed(name):
    """Negative control of the test above."""

    class Broken(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = build(name)

        def forward(self, x, c_noise):
            torch._dynamo.graph_break()
            return self.network(x, c_noise)

    compiled = torch.compile(Broken(), fullgraph=True, backend="eager")
    with pytest.raises(torch._dynamo.exc.Unsupported):
        compiled(*inputs())
    torch.compiler.reset()


@every_network
@every_spec
def test_gradients_reach_every_parameter(name, spec):
    network = awaken(build(name, spec))
    x, c_noise = inputs()
    out = network(x, c_noise, context_for(SPECS[spec], 3))
    (out * torch.randn_like(out)).sum().backward()
    still = [
        path for path, p in network.named_parameters() if p.grad is None or not p.grad.abs().any()
    ]
    assert not still


@every_network
def test_learning_from_the_start_wakes_every_parameter(name):
    """Zero-initialised layers wake up one after the other, within a few updates."""
    network = build(name, "all")
    x, c_noise = inputs()
    context = context_for(SPECS["all"], 3)
    target = torch.randn_like(x)
    before = {path: p.detach().clone() for path, p in network.named_parameters()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.3)
    for _ in range(5):
        optimizer.zero_grad()
        (network(x, c_noise, context) - target).square().mean().backward()
        optimizer.step()
    asleep = [path for path, p in network.named_parameters() if torch.equal(p, before[path])]
    assert not asleep


@every_network
def test_learns_to_fit_a_batch(name):
    network = build(name, "vector")
    x, c_noise = inputs(4)
    context = context_for(SPECS["vector"], 4)
    target = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(50):
        optimizer.zero_grad()
        loss = (network(x, c_noise, context) - target).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.5 * target.square().mean().item()


@every_network
@pytest.mark.parametrize("part", ["vector", "tokens", "maps"])
def test_every_part_of_the_context_is_heard_by_its_own_sample_only(name, part):
    network = awaken(build(name, "all")).double()
    x, c_noise = (tensor.double() for tensor in inputs())
    context = to_double(context_for(SPECS["all"], 3))
    changed = getattr(context, part).clone()
    changed[1] += 1
    other = dataclasses.replace(context, **{part: changed})
    difference = (network(x, c_noise, other) - network(x, c_noise, context)).abs().amax((1, 2, 3))
    assert difference[1] > 1e-6
    assert difference[[0, 2]].max() < 1e-12


@every_network
def test_noise_level_is_heard(name):
    network = awaken(build(name))
    x, c_noise = inputs()
    assert not torch.allclose(network(x, c_noise), network(x, c_noise + 0.1), atol=1e-5)


@every_network
def test_samples_do_not_depend_on_their_batch(name):
    network = awaken(build(name, "all")).double()
    x, c_noise = (tensor.double() for tensor in inputs(4))
    context = to_double(context_for(SPECS["all"], 4))
    together = network(x, c_noise, context)
    alone = torch.cat(
        [network(x[i : i + 1], c_noise[i : i + 1], context[i : i + 1]) for i in range(4)]
    )
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)


@every_network
def test_masked_tokens_are_silent(name):
    network = awaken(build(name, "tokens"))
    x, c_noise = inputs()
    context = context_for(SPECS["tokens"], 3)
    noisy = context.tokens.clone()
    noisy[~context.token_mask] = 100.0
    heard = network(x, c_noise, dataclasses.replace(context, tokens=noisy))
    torch.testing.assert_close(heard, network(x, c_noise, context))
    unmasked = dataclasses.replace(context, tokens=noisy, token_mask=None)
    assert not torch.allclose(network(x, c_noise, unmasked), heard, atol=1e-5)


@every_network
def test_a_sample_without_any_token_is_finite_and_learns(name):
    network = awaken(build(name, "tokens"))
    x, c_noise = inputs()
    context = context_for(SPECS["tokens"], 3)
    silent = dataclasses.replace(context, token_mask=torch.zeros(3, 4, dtype=torch.bool))
    out = network(x, c_noise, silent)
    out.sum().backward()
    assert out.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


@every_network
@pytest.mark.parametrize("part", ["vector", "tokens", "maps"])
def test_a_missing_part_is_an_error(name, part):
    network = build(name, part)
    x, c_noise = inputs()
    for context in (None, Context()):
        with pytest.raises(UsageError, match=rf"context\.{part}"):
            network(x, c_noise, context)


@every_network
def test_state_dict_round_trip(name):
    network = awaken(build(name, "all"))
    twin = build(name, "all")
    twin.load_state_dict(network.state_dict())
    x, c_noise = inputs()
    context = context_for(SPECS["all"], 3)
    assert torch.equal(twin(x, c_noise, context), network(x, c_noise, context))


@every_network
def test_state_is_what_is_learned(name):
    network = build(name, "all")
    assert set(network.state_dict()) == {path for path, _ in network.named_parameters()}


@every_network
def test_dropout_only_acts_in_training(name):
    config = dataclasses.replace(CONFIGS[name], dropout=0.5)
    network = awaken(build_network(config, channels=3, size=(8, 8), context=SPECS["none"]))
    x, c_noise = inputs()
    network.train()
    assert not torch.equal(network(x, c_noise), network(x, c_noise))
    network.eval()
    assert torch.equal(network(x, c_noise), network(x, c_noise))


@every_network
def test_bfloat16_autocast_agrees_roughly(name):
    network = awaken(build(name, "all"))
    x, c_noise = inputs()
    context = context_for(SPECS["all"], 3)
    exact = network(x, c_noise, context)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(x, c_noise, context).float()
    rough.sum().backward()
    assert (rough - exact).square().mean().sqrt() < 0.05 * exact.square().mean().sqrt()
    assert not torch.equal(rough, exact)


@every_network
def test_memory_format_does_not_matter(name):
    network = awaken(build(name))
    x, c_noise = inputs()
    there = network(x.contiguous(memory_format=torch.channels_last), c_noise)
    torch.testing.assert_close(there, network(x, c_noise), rtol=1e-4, atol=1e-5)


@dataclasses.dataclass(frozen=True)
class Holder:
    network: NetworkConfig


@every_network
def test_config_survives_plain_data(name):
    held = Holder(CONFIGS[name])
    assert from_plain(Holder, to_plain(held), "test") == held


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "mlp"])
def test_twice_the_pixels_are_about_twice_the_work(name):
    network = build(name)
    flops = count_flops(network, channels=3, size=(8, 8), context=SPECS["none"])
    wider = count_flops(network, channels=3, size=(8, 16), context=SPECS["none"])
    assert 1.8 * flops < wider < 2.3 * flops


def test_flops_and_parameters_of_a_known_layer():
    layer = torch.nn.Conv2d(3, 5, 3, padding=1)

    class Single(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x, c_noise, context):
            return self.layer(x)

    flops = count_flops(Single(), channels=3, size=(4, 6), context=ContextSpec())
    assert flops == 2 * 3 * 5 * 9 * 4 * 6
    assert count_parameters(Single()) == 3 * 5 * 9 + 5
    layer.bias.requires_grad_(False)
    assert count_parameters(Single()) == 3 * 5 * 9


def test_nonsense_sizes_are_refused():
    for channels, size in ((0, (8, 8)), (3, (0, 8))):
        with pytest.raises(UsageError, match="wanted 1 or more"):
            build_network(UNetConfig(), channels=channels, size=size, context=ContextSpec())


def to_double(context):
    def double(part):
        return None if part is None else part.double()

    return Context(
        double(context.vector), double(context.tokens), context.token_mask, double(context.maps)
    )
