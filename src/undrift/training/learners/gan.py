r"""A GAN as the training loop sees it.

The discriminator is the main phase: each of its updates takes a fresh batch of reals, so that a
generator that is updated on every k-th step only has a discriminator of k steps. Penalties that are
taken on every k-th step only ("lazily") weigh k times as much then.

The gradient of a penalty is that with respect to the images that the discriminator sees, behind
augmentation; not with respect to their maps.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from undrift.codec import build_codec
from undrift.conditioning import Condition, ConditionEncoder
from undrift.data.augmentation import flip_half
from undrift.data.loader import Batch
from undrift.gan import (
    AdaptiveProbability,
    interpolated,
    transformed,
    transformed_with_maps,
    two_sided,
    zero_centred,
)
from undrift.json_types import JsonValue
from undrift.networks import Context, lay_out
from undrift.networks.gan import build_discriminator, build_generator
from undrift.pipelines import GANPipeline, Pipeline
from undrift.randomness import Draws, generator, key
from undrift.training.held_out import condition_at
from undrift.training.learner import Loss, ParameterGroup, Phase, Progress, pipeline_as
from undrift.training.learners.gan_config import GANConfig
from undrift.training.learners.gan_diagnostics import RecentBatches, diagnostics, diversity, usable

LAYOUT = torch.channels_last
"""Memory format of images and networks, on every device (``undrift.networks.layout``)."""


class GANLearner:
    """Trains a generator against a discriminator.

    Args:
        config: the model.
        seed: names the initial weights.
        device: where to train.
    """

    def __init__(self, config: GANConfig, seed: int, device: torch.device | str = "cpu") -> None:
        self.config = config
        self.codec = build_codec(config.codec).to(device)
        self._seed = seed
        self._device = torch.device(device)
        channels, *size = self.codec.latent_shape(config.spec.image_shape)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(key(seed, "weights"))
            encoders = [ConditionEncoder(config.condition, config.width) for _ in range(2)]
            made = {
                "channels": channels,
                "size": (size[0], size[1]),
                "context": encoders[0].context_spec,
            }
            self._generator = build_generator(config.network, **made)
            self._discriminator = build_discriminator(config.network, **made)
        self._encoder, self._discriminator_encoder = encoders
        self.networks = nn.ModuleDict(
            {
                "network": self._generator,
                "encoder": self._encoder,
                "discriminator": self._discriminator,
                "discriminator_encoder": self._discriminator_encoder,
            }
        ).to(device)
        for network in (self._generator, self._discriminator, *encoders):
            lay_out(network, self._device, LAYOUT)
        self._recent = RecentBatches()
        self.buffers = nn.Module()
        self._adaptive: AdaptiveProbability | None = None
        if config.adapt:
            self._adaptive = AdaptiveProbability(config.adapt)
            self.buffers.add_module("augmentation", self._adaptive)

    @property
    def averaged(self) -> Mapping[str, nn.Module]:
        """The generator and the encoder of its conditions."""
        return {"network": self._generator, "encoder": self._encoder}

    @property
    def groups(self) -> tuple[ParameterGroup, ...]:
        """Discriminator and generator, each with its encoder and its optimiser."""
        discriminator = {"network": self._discriminator, "encoder": self._discriminator_encoder}
        return (
            ParameterGroup(
                "discriminator", nn.ModuleDict(discriminator), self.config.discriminator_optimizer
            ),
            ParameterGroup(
                "generator", nn.ModuleDict(dict(self.averaged)), self.config.generator_optimizer
            ),
        )

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The discriminator, its lazy penalty if there is one, and the generator."""
        steps, every = self.config.critic_steps, self.config.penalty.every
        taken = every > 1 and self.config.penalty.r1 > 0
        lazy = (Phase("r1", "discriminator", every=every),) if taken else ()
        last = Phase("generator", "generator", every=steps, offset=steps - 1)
        return (Phase("discriminator", "discriminator"), *lazy, last)

    def loss(self, phase: str, batch: Batch, progress: Progress, draws: Draws) -> Loss:
        """Losses of the rows of ``batch`` in one of the phases."""
        spec = self._encoder.spec
        condition, pixels = spec.select(batch.condition), batch.images
        if phase == "discriminator":
            self._recent.add(batch)
        if self.config.flip:
            pixels = flip_half(pixels, draws)
            condition = spec.moved(condition, lambda maps: flip_half(maps, draws))
        condition = spec.vary(spec.derived(condition, pixels, draws), draws)
        condition = spec.drop(condition, self.config.label_dropout, draws)
        real = self.codec.encode(pixels)
        real = real.contiguous(memory_format=LAYOUT)
        if phase == "discriminator":
            return self._discriminate(real, condition, progress, draws)
        if phase == "r1":
            return self._lazy_penalty(real, condition, progress, draws)
        return self._generate(real, condition, progress, draws)

    def after_step(self, phase: str, statistics: Mapping[str, Tensor]) -> None:
        """ADA's p is updated from the logits of real images."""
        if phase == "discriminator" and self._adaptive is not None:
            self._adaptive.update(statistics["real_logit"])

    @torch.no_grad()
    def validate(
        self, pipeline: Pipeline, images: np.ndarray, condition: Condition
    ) -> Mapping[str, JsonValue]:
        """GAN training diagnostics; see `gan_diagnostics`.

        Args:
            pipeline: made by this learner.
            images: uint8 held-out images (N, H, W, C).
            condition: of the N images.

        Returns:
            ``accuracy``, ``ranking``, ``overfitting``; ``real_``, ``fake_`` and ``seen_logit`` and
            ``_sign`` of held-out, generated and training images; ``diversity`` and
            ``real_diversity``, and the same with ``class_`` where there are classes.
        """
        count = usable(len(images))
        order = torch.randperm(len(images), generator=generator(self._seed, "validation rows"))
        rows = order[:count].numpy()
        pixels = torch.from_numpy(np.ascontiguousarray(images[rows].transpose(0, 3, 1, 2)))
        pixels = pixels.to(self._device)
        spec = self._encoder.spec
        condition = condition_at(spec, condition, rows, pixels, self._seed)
        drawing = pipeline_as(pipeline, GANPipeline)
        noise = generator(self._seed, "validation")
        z = torch.randn(count, drawing.generator.latent, generator=noise).to(self._device)
        fake = drawing.generator(z, drawing.encoder(condition, count))
        recent = self._recent.newest()
        found = diagnostics(
            self._discriminator,
            self._discriminator_encoder,
            held_out=self._encoded(pixels),
            generated=fake.contiguous(memory_format=LAYOUT),
            condition=condition,
            seen=None
            if recent is None
            else (
                self._encoded(recent.images),
                condition_at(
                    spec,
                    recent.condition,
                    np.arange(len(recent.images)),
                    recent.images,
                    self._seed,
                ),
            ),
        )
        if count < 2 or not fake.isfinite().all():
            return found
        real = diversity(pixels, condition.labels)
        ours = diversity(self.codec.decode(fake), condition.labels)
        return found | ours | {f"real_{name}": value for name, value in real.items()}

    def one_step(self, pipeline: Pipeline, images: np.ndarray, condition: Condition) -> None:
        """None: a generator has no noise levels."""

    def pipeline(self, weights: Mapping[str, Tensor] | None = None) -> GANPipeline:
        """A pipeline of its own copy of the generator, in evaluation mode."""
        made, encoder = copy.deepcopy((self._generator, self._encoder))
        if weights is not None:
            own = nn.ModuleDict({"network": made, "encoder": encoder})
            # averages of a checkpoint have no counters, as batch norm's, which evaluation ignores
            counters = {k: v for k, v in own.state_dict().items() if not v.is_floating_point()}
            known = counters | dict(weights)
            own.load_state_dict({name: known[name] for name in own.state_dict()})
        return GANPipeline(
            made, encoder, self.codec, self.config.spec, network_config=self.config.network
        )

    def _discriminate(
        self, real: Tensor, condition: Condition, progress: Progress, draws: Draws
    ) -> Loss:
        penalty = self.config.penalty
        weight = 0.0 if penalty.every > 1 else _annealed(1.0, penalty.end, progress.fraction)
        penalised = bool(weight and (penalty.r1 or penalty.r2 or penalty.two_sided))
        with torch.no_grad():
            fake = self._generated(condition, named(draws, "discriminator"), len(real))
        context = self._discriminator_encoder(condition, len(real))
        real, with_real = self._augmented(real, context, progress, named(draws, "reals"))
        fake, with_fake = self._augmented(fake, context, progress, named(draws, "fakes"))
        if penalised:
            real, fake = (x.detach().float().requires_grad_() for x in (real, fake))
        real_logit = self._discriminator(real, with_real)
        fake_logit = self._discriminator(fake, with_fake)
        loss = self.config.loss.discriminator(real_logit.float(), fake_logit.float())
        statistics = {
            "real_logit": real_logit.detach().float(),
            "fake_logit": fake_logit.detach().float(),
        }
        if weight and penalty.r1:
            found = zero_centred(real_logit, real)
            loss = loss + weight * penalty.r1 * found
            statistics["r1"] = found.detach()
        if weight and penalty.r2:
            found = zero_centred(fake_logit, fake)
            loss = loss + weight * penalty.r2 * found
            statistics["r2"] = found.detach()
        if weight and penalty.two_sided:
            share = draws.uniform("interpolation")
            between = interpolated(real.detach(), fake.detach(), share)
            context = _between(with_real, with_fake, share)
            found = two_sided(self._discriminator(between, context), between)
            loss = loss + weight * penalty.two_sided * found
            statistics["gradient_penalty"] = found.detach()
        statistics |= {
            "real_sign": real_logit.detach().float().sign(),
            "fake_sign": fake_logit.detach().float().sign(),
            "augment": torch.full_like(loss.detach(), self._probability(progress)),
        }
        return Loss(loss, statistics)

    def _lazy_penalty(
        self, real: Tensor, condition: Condition, progress: Progress, draws: Draws
    ) -> Loss:
        penalty = self.config.penalty
        weight = penalty.every * penalty.r1 * _annealed(1.0, penalty.end, progress.fraction)
        context = self._discriminator_encoder(condition, len(real))
        real, context = self._augmented(real, context, progress, named(draws, "reals"))
        real = real.detach().requires_grad_()
        found = zero_centred(self._discriminator(real, context), real)
        return Loss(weight * found, {"r1": found.detach()})

    def _generate(
        self, real: Tensor, condition: Condition, progress: Progress, draws: Draws
    ) -> Loss:
        fake = self._generated(condition, named(draws, "generator"), len(real))
        with frozen(self._discriminator, self._discriminator_encoder):
            context = self._discriminator_encoder(condition, len(real))
            own = named(draws, "generator")
            fake, with_fake = self._augmented(fake, context, progress, own)
            fake_logit = self._discriminator(fake, with_fake)
            real_logit = fake_logit.detach()  # plays no part, unless the loss is one of pairs
            if self.config.loss.pairs:
                own = named(draws, "reals")
                real, with_real = self._augmented(real, context, progress, own)
                real_logit = self._discriminator(real, with_real)
        loss = self.config.loss.generator(real_logit.float(), fake_logit.float())
        return Loss(loss, {"fake_logit": fake_logit.detach().float()})

    def _encoded(self, pixels: Tensor) -> Tensor:
        return self.codec.encode(pixels).contiguous(memory_format=LAYOUT)

    def _generated(self, condition: Condition, draws: Draws, count: int) -> Tensor:
        z = draws.normal("latent", (self._generator.latent,))
        context: Context = self._encoder(condition, count)
        return self._generator(z, context).contiguous(memory_format=LAYOUT)

    def _probability(self, progress: Progress) -> float:
        """Chance of each augmentation of an image that the discriminator sees."""
        if self._adaptive is not None:
            return float(self._adaptive.probability)
        return self.config.augment * min(1.0, 5 * progress.fraction)

    def _augmented(
        self, images: Tensor, context: Context, progress: Progress, draws: Draws
    ) -> tuple[Tensor, Context]:
        """Images as the discriminator sees them, with their context, whose maps move with them."""
        probability = self._probability(progress)
        if context.maps is None:
            return transformed(images, probability, draws), context
        images, maps = transformed_with_maps(images, context.maps, probability, draws)
        return images, replace(context, maps=maps)


def _between(real: Context, fake: Context, share: Tensor) -> Context:
    """The context of `interpolated` images: maps, which augmentation moved, are mixed, too."""
    if real.maps is None or fake.maps is None:
        return real
    u = share.to(real.maps).view(-1, 1, 1, 1)
    return replace(real, maps=u * real.maps + (1 - u) * fake.maps)


def _annealed(start: float, end: float, fraction: float) -> float:
    """Half a cosine from ``start`` to ``end``."""
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


def named(draws: Draws, purpose: str) -> Draws:
    """Draws of their own for what has the same names as something else in this step."""
    return replace(draws, seed=key(draws.seed, purpose), drawn={})


@contextlib.contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Take no gradients of these weights; what is computed from them still has its own."""
    learning = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
