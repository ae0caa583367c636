"""Recipes of the GANs: what each method is trained with by default.

Losses, penalties and optimisers are the papers'; sizes follow the images, the device and the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from undrift.advice import named
from undrift.codec import IdentityConfig
from undrift.errors import UsageError
from undrift.families.family import Recipe, RecipeRequest
from undrift.families.points import BATCH as POINTS_BATCH
from undrift.families.points import IMAGES
from undrift.gan import Hinge, NonSaturating, RelativisticPaired, Wasserstein
from undrift.gan.augmentation import LARGEST
from undrift.networks import are_points
from undrift.networks.gan import (
    DCGANConfig,
    MLPGANConfig,
    R3GANConfig,
    SNGANConfig,
    StyleGAN2Config,
)
from undrift.networks.gan.pyramid import sizes
from undrift.options.train import TrainOptions
from undrift.pipelines import SampleSpec
from undrift.training.learners.gan_config import GANConfig, PenaltyConfig
from undrift.training.learning_rate import LearningRate
from undrift.training.optimizers import AdamWConfig

CLIP = 1000.0
"""Largest gradient norm: GANs are trained without clipping, so far above any healthy one."""

LAZY = 16
"""Steps between two times that StyleGAN2 takes R1."""

LONG = 900.0
"""Seconds of training from which a CPU gets the wide networks too, but of R3GAN."""

BATCH = 64
"""Images of a batch."""

CPU_BATCH = 16
"""The same of R3GAN and StyleGAN2 on a CPU: there four times the updates are worth the time."""

CPU_GAMMA = {"r3gan": 2.0, "stylegan2": 0.2}
"""Least weight of the penalties on a CPU, tuned on Fashion-MNIST and the digits (docs/log.md)."""

PATCHED = 16
"""Shorter side of images from which their networks on a CPU take patches of 2 x 2 pixels."""

POINTS_GAMMA = 0.01
"""Weight of R1 and R2 on points, tuned on ``ring8`` and ``grid25`` (docs/log.md)."""


GAN_WAVES = tuple(math.pi * 2**octave for octave in range(4))
"""The same for a discriminator, to which the box is [-1, 1]: the slowest goes through it once."""


def gan_recipe(request: RecipeRequest) -> Recipe:
    """The recipe of a method.

    Raises:
        UsageError: for a setting that the method has no use for, or a size that it cannot make.
    """
    settings, device, budget = request.settings, request.device, request.budget
    spec = replace(request.spec, steps=1)
    _check(settings)
    size = (spec.image_shape[1], spec.image_shape[2])
    points = are_points(size)
    mlp = settings.network == "mlp" or points
    if not mlp:
        sizes(size)
    cuda = device == "cuda"
    tuned = not cuda and not mlp and settings.method in CPU_GAMMA
    usual = POINTS_BATCH if points else CPU_BATCH if tuned else BATCH
    batch = settings.batch_size or usual
    share = 1 if cuda or (budget is not None and budget >= LONG) else 2
    # Lightness: images of more than 64 pixels have more stages, of which the last cost the most.
    share *= 1 if max(spec.image_shape[1:]) <= 64 else 2
    made = _METHODS[settings.method](_Request(spec, batch, share, cuda, points, tuned))
    model = replace(made.model, method=settings.method, flip=settings.flip)
    if spec.numbers or spec.text is not None or spec.maps:
        share = DROPOUT if settings.label_dropout is None else settings.label_dropout
        model = replace(model, label_dropout=share)
    elif settings.label_dropout is not None:
        raise UsageError(
            f"{named('label_dropout')}: method {settings.method} drops captions, numbers and "
            "maps only, and has none; leave it out"
        )
    if mlp:
        model = _as_mlp(model, points=points)
    if settings.augment is not None:
        model = replace(model, augment=settings.augment, adapt=0)
    _check_groups(settings, getattr(model.network, "group", 1))
    if settings.learning_rate is not None:
        model = _at_rate(model, settings.learning_rate)
    if settings.penalty is not None:
        model = replace(model, penalty=_scaled(model.penalty, settings.penalty, settings.method))
    # Elsewhere the games are decided by small differences of logits. Those here are float32, too.
    narrow = device == "cpu" and settings.method in CPU_GAMMA and settings.network != "mlp"
    return Recipe(model, batch, made.images, made.learning_rate, clip=CLIP, bfloat16=narrow)


@dataclass(frozen=True)
class _Method:
    """A method's model, its default number of images, and its learning rate."""

    model: GANConfig
    images: int
    learning_rate: LearningRate


@dataclass(frozen=True)
class _Request:
    """What a method's recipe depends on; ``tuned`` where convolutions are to play on a CPU."""

    spec: SampleSpec
    batch: int
    share: int
    cuda: bool
    points: bool
    tuned: bool

    @property
    def patch(self) -> int:
        return 2 if self.tuned and min(self.spec.image_shape[1:]) >= PATCHED else 1

    @property
    def side(self) -> int:
        return max(self.spec.image_shape[1:])

    @property
    def images(self) -> int:
        if self.points and not self.cuda:
            return IMAGES
        return 10_000_000 if self.cuda else 200_000

    def recipe(self, model: GANConfig, learning_rate: LearningRate | None = None) -> _Method:
        return _Method(model, self.images, learning_rate or LearningRate(warm_up=0.0, decay=0.0))


def _dcgan(request: _Request) -> _Method:
    adam = AdamWConfig(learning_rate=2e-4, betas=(0.5, 0.999))
    return request.recipe(
        GANConfig(
            request.spec,
            codec=IdentityConfig(),
            network=DCGANConfig(width=64 // request.share),
            loss=NonSaturating(),
            generator_optimizer=adam,
            discriminator_optimizer=adam,
        )
    )


def _sngan(request: _Request) -> _Method:
    adam = AdamWConfig(learning_rate=2e-4, betas=(0.5, 0.999))
    return request.recipe(
        GANConfig(
            request.spec,
            network=SNGANConfig(width=64 // request.share),
            loss=Hinge(),
            critic_steps=5,
            generator_optimizer=adam,
            discriminator_optimizer=adam,
        )
    )


def _wgan_gp(request: _Request) -> _Method:
    # The paper's toys have a weight of 0.1, too.
    rate, weight = (3e-3, 0.1) if request.points else (2e-4, 10.0)
    adam = AdamWConfig(learning_rate=rate, betas=(0.0, 0.9))
    return request.recipe(
        GANConfig(
            request.spec,
            network=SNGANConfig(width=64 // request.share, spectral_norm=False),
            loss=Wasserstein(),
            penalty=PenaltyConfig(two_sided=weight),
            critic_steps=5,
            generator_optimizer=adam,
            discriminator_optimizer=adam,
        ),
        LearningRate(warm_up=0.0, decay=1.0),
    )


def _stylegan2(request: _Request) -> _Method:
    adam = AdamWConfig(learning_rate=2.5e-3, betas=(0.0, 0.99))
    # An optimiser that also makes the penalty's steps, one in 16, is slowed down as often.
    correction = LAZY / (LAZY + 1)
    lazy = replace(
        adam,
        learning_rate=adam.learning_rate * correction,
        betas=(0.0, adam.betas[1] ** correction),
    )
    # 0.01 on 32 x 32 pixels in batches of 64, as for CIFAR-10 there; 4 times as much at twice the
    # side, which comes to 0.6 at 256, where they took 1
    gamma = 0.01 * (request.side / 32) ** 2 * 64 / request.batch
    if request.points:
        gamma = POINTS_GAMMA
    elif request.tuned:
        gamma = max(gamma, CPU_GAMMA["stylegan2"])
    return request.recipe(
        GANConfig(
            request.spec,
            network=StyleGAN2Config(width=64 // request.share, patch=request.patch),
            loss=NonSaturating(),
            penalty=PenaltyConfig(r1=gamma, every=LAZY),
            # the papers' 500,000 are a fiftieth of their runs, which ours on a CPU are far below
            adapt=500_000 if request.cuda else 100_000,
            generator_optimizer=adam,
            discriminator_optimizer=lazy,
        )
    )


def _r3gan(request: _Request) -> _Method:
    # The paper's rate is for 40,000 updates and more; a CPU makes some thousands.
    rate = 2e-4 if request.cuda else 1e-3
    # 0.05 on 32 x 32 pixels in batches of 512; a gradient's scale goes with the pixels, and
    # smaller batches want more.
    gamma = 0.05 * (request.side / 32) ** 2 * 512 / request.batch
    end, decay, beta2 = 0.1, 0.5, 0.9
    if request.points:
        # With a penalty that falls, modes that were found before are lost again.
        rate, gamma, end, decay, beta2 = 6e-3, POINTS_GAMMA, 1.0, 1.0, None
    elif request.tuned:
        gamma = max(gamma, CPU_GAMMA["r3gan"])
    adam = AdamWConfig(learning_rate=rate, betas=(0.0, 0.99), beta2_start=beta2)
    return request.recipe(
        GANConfig(
            request.spec,
            # the paper's four stages of one width are expensive: on a CPU they see few images,
            # and twice the width gives no better ones for twice the time
            network=R3GANConfig(
                width=256 // request.share if request.cuda else 128 // max(2, request.share),
                full_stages=4 if request.cuda else 1,
                patch=request.patch,
            ),
            loss=RelativisticPaired(),
            penalty=PenaltyConfig(r1=gamma, r2=gamma, end=end),
            generator_optimizer=adam,
            discriminator_optimizer=adam,
        ),
        LearningRate(warm_up=0.0, decay=decay),
    )


_METHODS: dict[str, Callable[[_Request], _Method]] = {
    "dcgan": _dcgan,
    "sngan": _sngan,
    "wgan_gp": _wgan_gp,
    "stylegan2": _stylegan2,
    "r3gan": _r3gan,
}


_DIFFUSION_ONLY = ("dropout", "init", "compile")

DROPOUT = 0.1
"""Share of captions, numbers and maps that both networks do without."""


def _check(settings: TrainOptions) -> None:
    """Refuse what only a diffusion model has a use for."""
    for name in _DIFFUSION_ONLY:
        if getattr(settings, name) not in (None, False):
            raise UsageError(
                f"{named(name)}: method {settings.method} has no use for it; leave it out"
            )
    if settings.network not in (None, "mlp"):
        raise UsageError(
            f"{named('network')} {settings.network}: method {settings.method} builds its own; "
            "give mlp or "
            "leave it out"
        )
    if settings.recipe != "images":
        raise UsageError(
            f"{named('recipe')} {settings.recipe}: method {settings.method} has no likelihood to "
            "train "
            "for; leave it out"
        )
    if settings.augment is not None and settings.augment > LARGEST:
        raise UsageError(
            f"{named('augment')} {settings.augment:g}: method {settings.method} takes at most "
            f"{LARGEST:g}; beyond that augmentations show in what is generated"
        )


def _check_groups(settings: TrainOptions, group: int) -> None:
    """Refuse batches that minibatch standard deviation finds no groups in."""
    batch = settings.batch_size
    sizes_of_groups = range(2, group + 1)
    if batch is not None and group > 1 and all(batch % size for size in sizes_of_groups):
        raise UsageError(
            f"{named('batch_size')} {batch}: method {settings.method} compares images in groups "
            "of 2 to "
            f"{group}; give a number that one of these divides"
        )


def _as_mlp(model: GANConfig, *, points: bool) -> GANConfig:
    """``model`` with MLPs in place of its networks.

    What a method's discriminator has beside its layers stays: spectral norm, or the spread of the
    minibatch. Batch norm does not, see `undrift.networks.gan.mlp`.

    Args:
        model: of the method.
        points: whether it is for toy 2-D data, whose networks are small, take Fourier features,
            and are trained without augmentation.
    """
    match model.network:
        case SNGANConfig(spectral_norm=bounded):
            network = MLPGANConfig(spectral_norm=bounded)
        case StyleGAN2Config(group=group):
            network = MLPGANConfig(group=group)
        case _:
            network = MLPGANConfig()
    if not points:
        return replace(model, network=network)
    # Two latent numbers for two coordinates: with 64, R3GAN had no mode after 3,000 updates.
    network = replace(network, width=64, layers=3, latent=2, fourier=GAN_WAVES)
    return replace(model, network=network, adapt=0)


def _at_rate(model: GANConfig, rate: float) -> GANConfig:
    """The same with the generator's rate at ``rate``; the discriminator's keeps its ratio to it."""
    ratio = rate / model.generator_optimizer.learning_rate
    theirs = model.discriminator_optimizer
    return replace(
        model,
        generator_optimizer=replace(model.generator_optimizer, learning_rate=rate),
        discriminator_optimizer=replace(theirs, learning_rate=theirs.learning_rate * ratio),
    )


def _scaled(penalty: PenaltyConfig, factor: float, method: str) -> PenaltyConfig:
    """``penalty`` with all of its weights times ``factor``.

    Raises:
        UsageError: there is none.
    """
    weights = {name: getattr(penalty, name) for name in ("r1", "r2", "two_sided")}
    if not any(weights.values()):
        raise UsageError(f"{named('penalty')}: method {method} has none; leave it out")
    return replace(penalty, **{name: factor * weight for name, weight in weights.items()})
