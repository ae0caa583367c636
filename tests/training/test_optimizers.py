from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from undrift.errors import ModelFileError, UsageError
from undrift.schema import from_plain, to_plain
from undrift.training import optimizers as module
from undrift.training.checkpoint import CheckpointStore
from undrift.training.muon import Muon
from undrift.training.optimizers import (
    AdamWConfig,
    MuonConfig,
    OptimizerConfig,
    build_optimizers,
    load_optimizer_tensors,
    optimizer_tensors,
    set_learning_rate,
)

CONFIGS = [AdamWConfig(weight_decay=0.01), MuonConfig(weight_decay=0.01)]


class Network(nn.Module):
    """A bit of everything: convolutions, matrices, vectors, an embedding, a frozen part."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(2, 8, 3, padding=1)
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU())
        self.label_embedding = nn.Embedding(3, 8)
        self.mix = nn.Linear(8, 8)
        self.mix2 = nn.Linear(8, 8)
        self.unused = nn.Linear(8, 8)
        self.frozen = nn.Parameter(torch.ones(8), requires_grad=False)
        self.head = nn.Conv2d(8, 2, 3, padding=1)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        h = self.body(self.stem(x)) * self.frozen[:, None, None]
        scale = self.mix2(self.mix(self.label_embedding(label)))
        return self.head(h * (1 + scale[:, :, None, None]))


def train(network: Network, optimizers: list[Any], steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(4, 2, 6, 6, generator=generator)
        label = torch.randint(3, (4,), generator=generator)
        set_learning_rate(optimizers, 1 - step / 20)
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        (network(x, label) - x.flip(1)).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()


def build(config: OptimizerConfig) -> tuple[Network, list[Any]]:
    network = Network()
    return network, build_optimizers(network.named_parameters(), config)


def resumed(config: OptimizerConfig, cut: int, directory: Path, forget: str = "") -> Network:
    """Train to step ``cut``, save, load into new objects and train to step 12."""
    network, optimizers = build(config)
    train(network, optimizers, range(cut))
    store = CheckpointStore(directory)
    tensors = optimizer_tensors(optimizers, network.named_parameters())
    store.save(cut, {"network": network.state_dict(), "optimizer": tensors}, {})
    loaded = store.load(cut).tensors
    torch.manual_seed(99)
    network, optimizers = build(config)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    network.load_state_dict(loaded["network"])
    kept = {name: t for name, t in loaded["optimizer"].items() if not forget or forget not in name}
    load_optimizer_tensors(optimizers, network.named_parameters(), kept)
    train(network, optimizers, range(cut, 12))
    return network


def equal(left: Network, right: Network) -> bool:
    return all(
        torch.equal(a, b)
        for a, b in zip(left.state_dict().values(), right.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
@pytest.mark.parametrize("cut", [0, 1, 5, 11])
def test_resuming_is_bit_equal(config: OptimizerConfig, cut: int, tmp_path: Path) -> None:
    network, optimizers = build(config)
    train(network, optimizers, range(12))
    assert equal(resumed(config, cut, tmp_path), network)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
@pytest.mark.parametrize("forget", ["body.0.weight.", "head.bias.", "mix.weight."])
def test_forgotten_state_is_noticed(config: OptimizerConfig, forget: str, tmp_path: Path) -> None:
    network, optimizers = build(config)
    train(network, optimizers, range(12))
    assert not equal(resumed(config, 5, tmp_path, forget), network)


def test_state_must_have_the_parameters_memory_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The trap that load_optimizer_tensors avoids: without it, fused AdamW walks wrong indices.
    monkeypatch.setattr(module, "_placed", lambda name, value, parameter: value.clone())
    network, optimizers = build(CONFIGS[0])
    train(network, optimizers, range(12))
    assert not equal(resumed(CONFIGS[0], 5, tmp_path), network)


def test_fused_adamw_is_adamw() -> None:
    network, optimizers = build(AdamWConfig(weight_decay=0.0))
    reference = Network()
    plain = torch.optim.AdamW(
        [p for p in reference.parameters() if p.requires_grad],
        lr=2e-3,
        betas=(0.9, 0.99),
        weight_decay=0.0,
        foreach=False,
    )
    plain.param_groups[0]["peak"] = 2e-3
    train(network, optimizers, range(8))
    train(reference, [plain], range(8))
    start = Network()
    for mine, other, before in zip(
        network.parameters(), reference.parameters(), start.parameters(), strict=True
    ):
        assert (mine - other).norm() <= 1e-3 * (other - before).norm() + 1e-12


def test_state_does_not_depend_on_the_order_of_parameters() -> None:
    config = AdamWConfig()
    network, optimizers = build(config)
    train(network, optimizers, range(5))
    state = optimizer_tensors(optimizers, network.named_parameters())
    other = Network()
    other.load_state_dict(network.state_dict())
    backwards = list(other.named_parameters())[::-1]
    reordered = build_optimizers(backwards, config)
    load_optimizer_tensors(reordered, backwards, dict(sorted(state.items())))
    train(network, optimizers, range(5, 10))
    train(other, reordered, range(5, 10))
    assert equal(network, other)


def test_names_of_the_state() -> None:
    network, optimizers = build(MuonConfig())
    assert optimizer_tensors(optimizers, network.named_parameters()) == {}
    train(network, optimizers, range(1))
    state = optimizer_tensors(optimizers, network.named_parameters())
    assert "mix.weight.momentum" in state and "head.weight.exp_avg_sq" in state
    assert state["head.bias.step"].item() == 1
    assert not any(name.startswith(("unused", "frozen")) for name in state)


def test_loading_replaces_what_was_there() -> None:
    network, optimizers = build(AdamWConfig())
    train(network, optimizers, range(3))
    load_optimizer_tensors(optimizers, network.named_parameters(), {})
    assert optimizer_tensors(optimizers, network.named_parameters()) == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update({"gone.weight.exp_avg": torch.zeros(1)}), "'gone.weight.exp_avg'"),
        (lambda s: s.update({"frozen.exp_avg": torch.zeros(8)}), "'frozen.exp_avg'"),
        (lambda s: s.update({"head.bias.exp_avg": torch.zeros(3)}), r"shape \(3,\), wanted \(2,\)"),
        (lambda s: s.pop("head.bias.step"), r"'head.bias': got \['exp_avg', 'exp_avg_sq'\]"),
        (lambda s: s.update({"head.bias.momentum": torch.zeros(2)}), "another optimiser"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(change: Any, message: str) -> None:
    network, optimizers = build(AdamWConfig())
    train(network, optimizers, range(1))
    state = optimizer_tensors(optimizers, network.named_parameters())
    change(state)
    with pytest.raises(ModelFileError, match=message):
        load_optimizer_tensors(optimizers, network.named_parameters(), state)


def test_muon_takes_hidden_matrices_only() -> None:
    network, optimizers = build(MuonConfig())
    names = {parameter: name for name, parameter in network.named_parameters()}
    taken = {
        type(optimizer): {names[p] for group in optimizer.param_groups for p in group["params"]}
        for optimizer in optimizers
    }
    hidden = {"body.0.weight", "mix.weight", "mix2.weight", "unused.weight"}
    assert taken[Muon] == hidden
    assert taken[torch.optim.AdamW] == set(names.values()) - hidden - {"frozen"}


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("network.embedding.noise_in.weight", False),
        ("network.stem.weight", False),
        ("network.tokens.weight", False),
        ("network.out.weight", False),
        ("encoder.labels.weight", False),
        ("network.blocks.3.attention.out.weight", True),
        ("network.down.0.1.residual.conv_out.weight", True),
    ],
)
def test_the_networks_own_names(name: str, hidden: bool) -> None:
    assert MuonConfig().takes(name, torch.zeros(4, 4)) == hidden


def test_degenerate_matrices_are_vectors() -> None:
    config = MuonConfig()
    assert config.takes("gain", torch.zeros(4, 4))
    assert not config.takes("gain", torch.zeros(4, 1, 1, 1))
    assert not config.takes("gain", torch.zeros(1, 4))
    assert not config.takes("gain", torch.zeros(4))
    assert not MuonConfig(exclude=("*gain*",)).takes("block.gains", torch.zeros(4, 4))


def test_only_matrices_decay() -> None:
    _, optimizers = build(AdamWConfig(weight_decay=0.1))
    for group in optimizers[0].param_groups:
        assert group["weight_decay"] == (0.1 if group["params"][0].ndim >= 2 else 0.0)


def test_the_learning_rate_scales_every_peak() -> None:
    _, optimizers = build(MuonConfig(learning_rate=0.02, rest=AdamWConfig(learning_rate=0.004)))
    assert set_learning_rate(optimizers, 0.5) == 0.01
    rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    assert rates == [0.01, 0.002, 0.002]
    assert set_learning_rate(optimizers, 1.0) == 0.02


def test_configurations_survive_plain_data() -> None:
    for config in CONFIGS:
        assert from_plain(type(config), to_plain(config), "config.yaml") == config


@pytest.mark.parametrize(
    "build_config",
    [
        lambda: AdamWConfig(learning_rate=0),
        lambda: AdamWConfig(learning_rate=float("nan")),
        lambda: AdamWConfig(weight_decay=-1),
        lambda: AdamWConfig(betas=(0.9, 1.0)),
        lambda: AdamWConfig(epsilon=0),
        lambda: MuonConfig(learning_rate=float("inf")),
        lambda: MuonConfig(momentum=1.0),
    ],
)
def test_impossible_settings_are_refused(build_config: Any) -> None:
    with pytest.raises(UsageError, match="wanted"):
        build_config()


def test_nothing_to_train() -> None:
    with pytest.raises(UsageError, match="nothing to train"):
        build_optimizers(
            [("weight", nn.Parameter(torch.zeros(2), requires_grad=False))], CONFIGS[0]
        )


def test_beta2_goes_over_as_half_a_cosine() -> None:
    parameter = nn.Parameter(torch.ones(3, 3))
    config = AdamWConfig(betas=(0.0, 0.99), beta2_start=0.9)
    optimizers = build_optimizers([("weight", parameter)], config)
    found = []
    for fraction in (0.0, 0.25, 0.5, 1.0):
        set_learning_rate(optimizers, 1.0, fraction)
        found.append(optimizers[0].param_groups[0]["betas"])
    quarter = 0.99 - 0.09 * (1 + 2**-0.5) / 2
    assert [first for first, _ in found] == [0.0] * 4
    assert [second for _, second in found] == pytest.approx([0.9, quarter, 0.945, 0.99])


def test_a_changing_beta2_decides_the_second_moment() -> None:
    """v <- b v + (1 - b) g^2 with b = 0.5 at the first update and 0.9 at the second."""
    parameter = nn.Parameter(torch.zeros(1, 1))
    config = AdamWConfig(betas=(0.0, 0.9), beta2_start=0.5)
    optimizers = build_optimizers([("weight", parameter)], config)
    for fraction, gradient in ((0.0, 1.0), (1.0, 2.0)):
        set_learning_rate(optimizers, 1.0, fraction)
        parameter.grad = torch.full_like(parameter, gradient)
        optimizers[0].step()
    second = float(optimizers[0].state[parameter]["exp_avg_sq"])
    assert second == pytest.approx(0.9 * (0.5 * 1) + 0.1 * 4)


def test_a_constant_beta2_stays_and_an_impossible_start_is_refused() -> None:
    optimizers = build_optimizers([("weight", nn.Parameter(torch.ones(3, 3)))], AdamWConfig())
    set_learning_rate(optimizers, 1.0, 0.0)
    assert optimizers[0].param_groups[0]["betas"] == (0.9, 0.99)
    with pytest.raises(UsageError, match="betas in"):
        AdamWConfig(beta2_start=1.0)
