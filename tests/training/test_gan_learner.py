"""GANs through the one training loop: phases, exact resume, latents, logs, averages."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from undrift.errors import UsageError
from undrift.training.checkpoint import CheckpointStore
from undrift.training.learners.gan import GANLearner
from undrift.training.learners.gan_config import GANConfig, PenaltyConfig
from undrift.training.loop import Trainer
from undrift.training.signals import StopSignals

from .games import GAMES, SPEC, state, trainer


def differences(a: Trainer, b: Trainer) -> list[str]:
    ours, theirs = state(a), state(b)
    assert ours.keys() == theirs.keys()
    return [name for name in ours if not torch.equal(ours[name], theirs[name])]


def whole(game: GANConfig) -> Trainer:
    straight = trainer(game)
    straight.run(StopSignals())
    return straight


def cut(directory: Path, game: GANConfig, k: int, drop: str = "", watched: bool = True) -> Trainer:
    """Train k steps while looking as hard as can be, then everything anew to the end."""
    first = trainer(game, store=CheckpointStore(directory), watched=watched)
    first.run(StopSignals(), until=k)
    checkpoint = CheckpointStore(directory).newest()
    assert checkpoint is not None and checkpoint.step == k
    second = trainer(game, store=CheckpointStore(directory), watched=watched)
    untouched = {name: t.clone() for name, t in second.learner.buffers.state_dict().items()}
    second.restore(checkpoint)
    if drop == "buffers":
        second.learner.buffers.load_state_dict(untouched)
    if drop in second._optimizers:
        second._optimizers[drop][0].state.clear()
    second.run(StopSignals())
    return second


@pytest.mark.parametrize("name", GAMES)
def test_a_cut_run_is_bit_equal_to_a_whole_one(tmp_path: Path, name: str) -> None:
    """Step 4 is in the middle of everything: of R1's interval, the critic's turns, ADA's count."""
    assert differences(whole(GAMES[name]), cut(tmp_path, GAMES[name], 5)) == []


@pytest.mark.parametrize("drop", ["buffers", "generator", "discriminator"])
def test_a_checkpoint_without_it_fails(tmp_path: Path, drop: str) -> None:
    game = GAMES["stylegan2"]
    assert differences(whole(game), cut(tmp_path, game, 5, drop=drop, watched=False)) != []


def test_phases_run_when_they_are_due() -> None:
    def due(name: str) -> dict[str, list[int]]:
        learner = GANLearner(GAMES[name], seed=0)
        return {p.name: [s for s in range(6) if p.due(s)] for p in learner.phases}

    assert due("stylegan2") == {
        "discriminator": [0, 1, 2, 3, 4, 5],
        "r1": [0, 3],
        "generator": [0, 1, 2, 3, 4, 5],
    }
    assert due("wgan_gp") == {"discriminator": [0, 1, 2, 3, 4, 5], "generator": [2, 5]}


def test_a_narrow_run_is_another_but_its_weights_are_wide() -> None:
    narrow = whole(GAMES["narrow"])
    wide = trainer(GAMES["narrow"], precision="float32")
    wide.run(StopSignals())
    assert differences(narrow, wide) != []
    assert all(t.dtype == torch.float32 for t in narrow.learner.networks.state_dict().values())
    first, second = (run.learner.networks["network"].out.weight for run in (narrow, wide))
    assert 0 < (first - second).norm() < 0.05 * second.norm()


@pytest.mark.parametrize("name", GAMES)
def test_what_is_stored_of_an_average_makes_a_pipeline(name: str) -> None:
    """Batch norm counts its batches in whole numbers, which averages do not store."""
    run = trainer(GAMES[name], steps=3)
    run.run(StopSignals())
    first = f"{run.plan.ema[0]}/"
    kept = {n.removeprefix(first): t for n, t in run.ema.state().items() if n.startswith(first)}
    assert all(tensor.is_floating_point() for tensor in kept.values())
    live = run.learner.pipeline(run.ema.weights(run.plan.ema[0]))
    stored = GANLearner(GAMES[name], seed=5).pipeline(kept)
    assert np.array_equal(stored(4, seed=1).images, live(4, seed=1).images)


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name.split(".")[0] for name in after if not torch.equal(before[name], after[name])}


def test_each_phase_moves_its_own_networks() -> None:
    run = trainer(GAMES["wgan_gp"])
    before = {n: t.clone() for n, t in run.learner.networks.state_dict().items()}
    run.run(StopSignals(), until=2)
    learned = {n: t for n, t in run.learner.networks.state_dict().items() if "running" not in n}
    learned = {n: t for n, t in learned.items() if "num_batches" not in n}
    assert moved(before, learned) == {"discriminator", "discriminator_encoder"}
    run.run(StopSignals(), until=3)
    assert {"network"} <= moved(before, learned)


def latents(steps: int) -> list[Tensor]:
    """What the generator is given in ``steps`` steps, two times in each."""
    run, given = trainer(GAMES["dcgan"]), []
    run.learner.networks["network"].register_forward_pre_hook(
        lambda _, asked: given.append(asked[0])
    )
    run.run(StopSignals(), until=steps)
    return given


def test_each_step_of_either_side_has_latents_of_its_own_and_always_the_same() -> None:
    given = latents(2)
    assert [z.shape for z in given] == [(8, 4)] * 4
    apart = [not torch.equal(a, b) for a, b in itertools.combinations(given, 2)]
    assert all(apart)
    assert all(torch.equal(a, b) for a, b in zip(given, latents(2), strict=True))


def test_the_log_tells_of_every_phase_and_of_held_out_reals() -> None:
    run = trainer(GAMES["stylegan2"], watched=True, steps=4)
    run.run(StopSignals())
    train = run._observer.of("train")[0]
    assert set(train["phases"]) == {"discriminator", "r1", "generator"}
    first = train["phases"]["discriminator"]
    assert {"loss", "grad_norm", "real_sign", "fake_sign", "augment"} <= set(first)
    assert train["loss"] == first["loss"] and "level_losses" not in train
    looked = run._observer.of("validation")[0]
    assert 0 <= looked["accuracy"] <= 1 and -1 <= looked["real_sign"] <= 1


@pytest.mark.parametrize("name", GAMES)
def test_a_checkpoints_averages_which_have_no_counters_make_a_pipeline(name: str) -> None:
    learner = GANLearner(GAMES[name], seed=0)
    weights = {
        f"{part}.{key}": tensor + 0.01
        for part, module in learner.averaged.items()
        for key, tensor in module.state_dict().items()
        if tensor.is_floating_point()
    }
    made = learner.pipeline(weights).state_dict()
    assert all(torch.equal(made[key], tensor) for key, tensor in weights.items())


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="only R1 alone"):
        PenaltyConfig(r1=1.0, r2=1.0, every=4)
    with pytest.raises(UsageError, match="not both"):
        GANConfig(SPEC, augment=0.1, adapt=100)
