from __future__ import annotations

import math

import pytest
import torch

from undrift.training.muon import UPDATE_RMS, Muon, orthogonalise


def matrices(count: int, m: int, n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, m, n, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("m", "n"), [(8, 8), (8, 40), (40, 8), (32, 33), (1, 5)])
def test_singular_values_end_near_one(m: int, n: int) -> None:
    values = torch.linalg.svdvals(orthogonalise(matrices(4, m, n)))
    assert values.min() > 0.3 and values.max() < 1.25
    assert 0.65 < values.median() < 1.2


@pytest.mark.parametrize(("m", "n"), [(16, 40), (40, 16)])
def test_singular_vectors_stay(m: int, n: int) -> None:
    x = matrices(1, m, n)[0]
    u, _, v = torch.linalg.svd(x, full_matrices=False)
    rotated = u.T @ orthogonalise(x[None])[0] @ v.T
    off = rotated - torch.diag(torch.diag(rotated))
    assert off.abs().max() < 1e-4
    nearest = u @ v
    cosine = (orthogonalise(x[None])[0] * nearest).sum() / (
        orthogonalise(x[None])[0].norm() * nearest.norm()
    )
    assert cosine > 0.97
    # Control: the matrix itself is not its nearest orthogonal one.
    assert (x * nearest).sum() / (x.norm() * nearest.norm()) < 0.96


def test_scale_does_not_matter_and_zero_stays_zero() -> None:
    x = matrices(3, 6, 9)
    assert torch.allclose(orthogonalise(x), orthogonalise(1000 * x), atol=1e-5)
    assert torch.equal(orthogonalise(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))


def test_a_batch_is_its_matrices() -> None:
    x = matrices(5, 12, 7)
    alone = torch.cat([orthogonalise(x[i : i + 1]) for i in range(5)])
    assert torch.allclose(orthogonalise(x), alone, atol=1e-5)


def parameters(*shapes: tuple[int, ...]) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def give_gradients(weights: list[torch.nn.Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weight in weights:
        weight.grad = torch.randn(weight.shape, generator=generator)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_agreement_with_torch_on_matrices(decay: float) -> None:
    ours, theirs = parameters((8, 16), (16, 8), (8, 16)), parameters((8, 16), (16, 8), (8, 16))
    start = [weight.detach().clone() for weight in ours]
    muon = Muon(ours, lr=0.01, momentum=0.9, weight_decay=decay)
    reference = torch.optim.Muon(
        theirs, lr=0.01, momentum=0.9, weight_decay=decay, adjust_lr_fn="match_rms_adamw"
    )
    for step in range(5):
        for weights, optimizer in ((ours, muon), (theirs, reference)):
            give_gradients(weights, step)
            optimizer.step()
    for mine, other, before in zip(ours, theirs, start, strict=True):
        # torch orthogonalises in bfloat16.
        assert (mine - other).norm() < 0.02 * (mine - before).norm()


def test_updates_have_the_size_of_adamw() -> None:
    weights = parameters((32, 64), (64, 16, 3, 3))
    before = [weight.detach().clone() for weight in weights]
    muon = Muon(weights, lr=1.0)
    give_gradients(weights, 0)
    muon.step()
    for weight, old in zip(weights, before, strict=True):
        update = weight - old
        assert update.square().mean().sqrt().item() == pytest.approx(UPDATE_RMS, rel=0.25)
        assert torch.sum(update * weight.grad) < 0  # downhill


def test_a_convolution_is_its_flattened_matrix() -> None:
    kernel = parameters((8, 4, 3, 3))
    last = [torch.nn.Parameter(kernel[0].detach().to(memory_format=torch.channels_last))]
    matrix = [torch.nn.Parameter(kernel[0].detach().flatten(1).clone())]
    optimizers = [Muon(weights, lr=0.1) for weights in (kernel, last, matrix)]
    for step in range(3):
        for weights, optimizer in zip((kernel, last, matrix), optimizers, strict=True):
            give_gradients(kernel, step)
            gradient = kernel[0].grad
            assert gradient is not None
            weights[0].grad = gradient.reshape(weights[0].shape)
            optimizer.step()
    assert torch.allclose(kernel[0].flatten(1), matrix[0], atol=1e-6)
    assert torch.allclose(kernel[0], last[0], atol=1e-6)
    assert last[0].is_contiguous(memory_format=torch.channels_last)


def test_a_parameter_without_gradient_is_left_alone() -> None:
    weights = parameters((4, 4), (4, 4))
    before = weights[1].detach().clone()
    give_gradients(weights[:1], 0)
    muon = Muon(weights, lr=0.1, weight_decay=0.1)
    assert muon.step(lambda: 3.0) == 3.0
    assert torch.equal(weights[1], before) and weights[1] not in muon.state


def test_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="matrices"):
        Muon(parameters((4,)), lr=0.1)


def test_it_minimises() -> None:
    target = matrices(1, 12, 20)[0]
    weight = torch.nn.Parameter(torch.zeros(12, 20))
    muon = Muon([weight], lr=0.1)
    steps = 200
    for step in range(steps):
        muon.param_groups[0]["lr"] = 0.2 * (1 - step / steps)
        loss = (weight - target).square().mean()
        muon.zero_grad()
        loss.backward()
        muon.step()
    assert math.sqrt(loss.item()) < 0.05
