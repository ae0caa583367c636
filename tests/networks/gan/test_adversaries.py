"""Generators and discriminators: shapes, conditions, truncation, second derivatives."""

from dataclasses import replace

import pytest
import torch

from undrift.errors import UsageError
from undrift.gan import zero_centred
from undrift.networks import Context, ContextSpec
from undrift.networks.gan import (
    DCGANConfig,
    MLPGANConfig,
    R3GANConfig,
    SNGANConfig,
    StyleGAN2Config,
    build_discriminator,
    build_generator,
)
from undrift.schema import from_plain, to_plain

from ..cases import awaken

CONFIGS = {
    "dcgan": DCGANConfig(width=4, latent=6),
    "sngan": SNGANConfig(width=4, latent=6),
    "wgan_gp": SNGANConfig(width=4, latent=6, spectral_norm=False),
    "stylegan2": StyleGAN2Config(width=4, latent=6, group=2),
    "r3gan": R3GANConfig(width=8, latent=6, group_width=4),
    "mlp": MLPGANConfig(width=8, latent=6),
    "stylegan2_patch": StyleGAN2Config(width=4, latent=6, group=2, patch=2),
    "r3gan_patch": R3GANConfig(width=8, latent=6, group_width=4, patch=2),
}
SHAPES = [(1, (8, 8)), (3, (12, 20)), (2, (28, 28)), (4, (4, 4))]


def build(name, channels=1, size=(8, 8), vector=0, maps=0):
    torch.manual_seed(0)
    spec = ContextSpec(vector=vector, maps=maps)
    made = {"channels": channels, "size": size, "context": spec}
    return build_generator(CONFIGS[name], **made), build_discriminator(CONFIGS[name], **made)


def latents(generator, batch=4, seed=0):
    return torch.randn(batch, generator.latent, generator=torch.Generator().manual_seed(seed))


def context(batch=4, seed=1, size=(8, 8)):
    noise = torch.Generator().manual_seed(seed)
    vector = torch.randn(batch, 5, generator=noise)
    return Context(vector=vector, maps=torch.randn(batch, 3, *size, generator=noise))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("channels", "size"), SHAPES)
def test_shapes(name, channels, size):
    generator, discriminator = build(name, channels, size)
    images = generator(latents(generator))
    assert images.shape == (4, channels, *size)
    assert discriminator(images).shape == (4,)


@pytest.mark.parametrize("name", CONFIGS)
def test_both_hear_the_context(name):
    generator, discriminator = (awaken(network).eval() for network in build(name, vector=5))
    z = latents(generator)
    images = generator(z, context())
    assert not torch.allclose(images, generator(z, context(seed=2)))
    assert not torch.allclose(
        discriminator(images, context()), discriminator(images, context(4, 2))
    )
    with pytest.raises(UsageError, match=r"context\.vector"):
        generator(z)


def silent(network):
    """Parameters without a gradient, or with one that is rounding next to the largest."""
    norms = {
        n: 0.0 if p.grad is None else float(p.grad.norm()) for n, p in network.named_parameters()
    }
    return {name for name, norm in norms.items() if not norm > 1e-6 * max(norms.values())}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_learns_through_both(name):
    generator, discriminator = (awaken(network) for network in build(name, vector=5, maps=3))
    images = generator(latents(generator), context())
    discriminator(images, context()).square().sum().backward()
    constants = {f"blocks.0.{layer}.bias" for layer in ("conv_in", "conv_out", "skip")}
    # the batch norms of the block and behind it take out any constant that comes before them
    assert silent(generator) == (constants if name in ("sngan", "wgan_gp") else set())
    assert silent(discriminator) == set()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_penalty_reaches_every_weight(name):
    """Between the kinks of its layers a discriminator is linear: constants add to no slope."""
    generator, discriminator = (awaken(network) for network in build(name, vector=5, maps=3))
    seen = generator(latents(generator), context()).detach().requires_grad_()
    zero_centred(discriminator(seen, context()), seen).sum().backward()
    gradients = {n: p.grad for n, p in discriminator.named_parameters() if p.grad is not None}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    deaf = silent(discriminator)
    assert "head.linear.bias" in deaf and {n.split(".")[-1] for n in deaf} == {"bias"}


@pytest.mark.parametrize("name", CONFIGS)
def test_truncation_draws_towards_one_image(name):
    generator = awaken(build(name)[0])
    with torch.no_grad():
        generator(latents(generator, 16, 3))
        generator.eval()
        z = latents(generator)
        whole, half, none = (generator(z, None, psi) for psi in (1.0, 0.5, 0.0))
    torch.testing.assert_close(whole, generator(z).detach())
    if "r3gan" in name:  # without z nothing weighs the basis: black on black, but still one image
        assert generator.stem.bias is None
    assert none.std(0).max() < 1e-6 < half.std(0).mean() < whole.std(0).mean()


@pytest.mark.parametrize("size", [(10, 8), (8, 6), (2, 2)])
def test_sides_that_are_no_multiples_of_four_are_refused(size):
    with pytest.raises(UsageError, match="multiples of 4"):
        build("r3gan", size=size)


@pytest.mark.parametrize("kind", [R3GANConfig, StyleGAN2Config])
def test_a_patch_is_one_by_default_and_divides_the_images(kind):
    """Files from before there were patches say nothing of them."""
    stored = to_plain(kind(width=8))
    del stored["patch"]
    assert from_plain(kind, stored, "network") == kind(width=8, patch=1)
    with pytest.raises(UsageError, match="patch 3: images of 28x28"):
        build_generator(kind(patch=3), channels=1, size=(28, 28), context=ContextSpec())
    with pytest.raises(UsageError, match="patch is 0"):
        kind(patch=0)


@pytest.mark.parametrize("name", ["stylegan2", "stylegan2_patch", "r3gan", "r3gan_patch"])
def test_every_pixel_is_drawn_and_judged(name):
    generator, discriminator = (awaken(network) for network in build(name, size=(12, 20)))
    with torch.no_grad():
        images = generator(latents(generator, 64))
    assert images.std(0).min() > 1e-3 * images.std()
    seen = images[:2].requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(seen).sum(), seen)
    assert slope.abs().amax((0, 1)).min() > 0


@pytest.mark.parametrize("name", ["stylegan2", "stylegan2_patch", "r3gan", "r3gan_patch"])
def test_under_autocast_a_penalty_pulls_the_same_way(name):
    """The whole discriminator's, after both derivatives."""
    config = replace(CONFIGS[name], width=16)
    made = build_discriminator(config, channels=1, size=(16, 16), context=ContextSpec())
    discriminator = awaken(made)
    images = torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    pulls = []
    for narrow in (False, True):
        discriminator.zero_grad()
        seen = images.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            logits = discriminator(seen)
            assert logits.dtype == torch.float32
            zero_centred(logits, seen).sum().backward()
        found = [p.grad.flatten() for p in discriminator.parameters() if p.grad is not None]
        pulls.append(torch.cat(found))
    exact, rough = pulls
    assert 1e-4 < (rough - exact).norm() / exact.norm() < 0.1


@pytest.mark.parametrize("name", CONFIGS)
def test_both_see_every_place_of_their_maps(name):
    size = (12, 20)
    given = context(size=size)
    generator, discriminator = build(name, size=size, vector=5, maps=3)
    z = latents(generator)
    if name != "mlp":
        plain = build(name, size=size, vector=5)[0]
        assert generator(z, given).equal(plain(z, given))  # at the start they add nothing
    awaken(generator)
    maps = given.maps.clone().requires_grad_()
    images = generator(z, replace(given, maps=maps))
    logits = discriminator(images.detach(), replace(given, maps=maps))
    for seen in (images, logits):
        (slope,) = torch.autograd.grad(seen.square().sum(), maps)
        assert slope.abs().amin((0, 1)).min() > 0 and slope.shape == maps.shape
    for network, x in ((generator, z), (discriminator, images)):
        with pytest.raises(UsageError, match=r"context\.maps"):
            network(x, replace(given, maps=None))


@pytest.mark.parametrize("name", ["stylegan2", "r3gan_patch"])
def test_a_map_moves_what_lies_under_it(name):
    """Far from a change of the finest stage's map the image stays as it was."""
    generator = awaken(build(name, size=(32, 32), vector=5, maps=3)[0]).eval()
    for layer in generator.maps.layers[:-1]:
        torch.nn.init.zeros_(layer.weight)
    given, z = context(size=(32, 32)), latents(generator)
    maps = given.maps.clone()
    maps[:, :, 20, 6] += 1.0
    with torch.no_grad():
        moved = generator(z, replace(given, maps=maps)) - generator(z, given)
    places = moved.abs().amax((0, 1)).nonzero()
    assert len(places) and (places - torch.tensor([20, 6])).abs().max() < 12


def test_a_dcgan_has_batch_norm_and_the_others_judge_each_image_alone():
    for name in CONFIGS.keys() - {"sngan"}:  # whose weights move with every pass in training
        discriminator = awaken(build(name)[1])
        images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(5))
        together = discriminator(images)
        alone = torch.cat([discriminator(image[None]) for image in images])
        assert torch.allclose(together, alone, atol=1e-3) == (
            name not in ("dcgan", "stylegan2", "stylegan2_patch")
        )
