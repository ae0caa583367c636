"""Presets of a study: seeds, lengths and samples of each of its comparisons."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from undrift.options.train import seconds
from undrift.schema import stored_as


@dataclass(frozen=True)
class Size:
    """Size of a comparison.

    Attributes:
        seeds: training runs of each method.
        images: real images of each run.
        n: samples of each run that are measured.
        budget: wall-clock time of each run at a second budget; None leaves it out.
        evaluations: while training.
        evaluation_samples: samples of each of them.
    """

    seeds: int
    images: int
    n: int
    budget: str | None = None
    evaluations: int = stored_as("looks", default=0)
    evaluation_samples: int = stored_as("look_samples", default=250)

    def times(self, scale: float) -> Size:
        """The same with ``scale`` times the images and the time."""
        budget = self.budget
        if budget is not None:
            budget = f"{seconds(budget) * scale:g}s"
        return replace(self, images=max(1, round(self.images * scale)), budget=budget)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A study.

    Attributes:
        name: as the command line calls it.
        methods: of the main comparison; the first is the diffusion model.
        factors: multiples of each method's learning rate, for stability.
        swept: methods that are trained with them.
        toys: methods that are trained on 2-D toy data.
        families: networks that are made in several sizes: "unet", "transformer", "r3gan".
        sizes: parameters of each.
        parameters: of the denoiser or generator, in every comparison on images but those of several
            sizes and of the likelihood; None leaves it to the recipe of diffusion.
        main: class-conditional models of the data.
        trials: settings tried for each method and budget of the main comparison before its runs;
            0 leaves the recipes as they are.
        sweep: the same, with the best settings at equal images, at other learning rates.
        points: 2-D toy data.
        stacked: stacked digits; None leaves them out.
        stacked_images: how many of them there are to train on.
        tail: long-tailed data.
        scaling: each family at each size, and at the middle one with a half and a quarter of the
            images.
        inpainting: unconditional models for inpainting.
        likelihood: models trained for their likelihood.
        steps: numbers of steps at which sampling is measured, from 1 up.
        inpainted: images to inpaint.
        scored: images whose likelihood is computed.
        guidances: guidance scales of the trade-off of fidelity and diversity.
        truncations: truncations of the same.
    """

    name: str
    methods: tuple[str, ...]
    factors: tuple[float, ...]
    swept: tuple[str, ...]
    toys: tuple[str, ...]
    families: tuple[str, ...]
    sizes: tuple[str, ...]
    parameters: str | None
    main: Size
    trials: int
    sweep: Size
    points: Size
    stacked: Size | None
    stacked_images: int
    tail: Size
    scaling: Size
    inpainting: Size = stored_as("filling")
    likelihood: Size
    steps: tuple[int, ...]
    inpainted: int = stored_as("filled")
    scored: int
    guidances: tuple[float, ...] = (1.0, 1.25, 1.5, 2.0, 3.0)
    truncations: tuple[float, ...] = (1.0, 0.9, 0.8, 0.65, 0.5)

    def times(self, scale: float) -> Preset:
        """The same with ``scale`` times the images and the time of every run."""
        sizes = {
            field.name: value.times(scale)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Size)
        }
        return replace(self, **sizes)


QUICK = Preset(
    name="quick",
    methods=("diffusion", "r3gan", "dcgan"),
    factors=(0.25, 0.5, 1.0, 2.0, 4.0),
    swept=("diffusion", "r3gan", "dcgan"),
    toys=("diffusion", "r3gan", "dcgan"),
    families=("unet", "r3gan"),
    sizes=("30k", "90k", "270k"),
    parameters=None,
    main=Size(seeds=5, images=2_400, n=500, budget="10s"),
    trials=0,
    sweep=Size(seeds=2, images=1_280, n=200, evaluations=4),
    points=Size(seeds=3, images=150_000, n=2500),
    stacked=None,
    stacked_images=0,
    tail=Size(seeds=3, images=2_400, n=500),
    scaling=Size(seeds=3, images=1_600, n=500),
    inpainting=Size(seeds=3, images=2_400, n=250),
    likelihood=Size(seeds=3, images=4_800, n=250),
    steps=(1, 2, 3, 4, 5, 6, 8, 12, 16),
    inpainted=32,
    scored=64,
    guidances=(1.0, 1.5, 2.5),
    truncations=(1.0, 0.75, 0.5),
)

FULL = Preset(
    name="full",
    methods=("diffusion", "r3gan", "stylegan2", "dcgan"),
    factors=(0.25, 0.5, 1.0, 2.0, 4.0),
    swept=("diffusion", "r3gan", "dcgan"),
    toys=("diffusion", "r3gan", "wgan_gp", "dcgan"),
    families=("unet", "transformer", "r3gan"),
    sizes=("50k", "150k", "450k"),
    parameters="150k",
    main=Size(seeds=5, images=9_600, n=1000, budget="45s"),
    trials=4,
    sweep=Size(seeds=7, images=3_200, n=500, evaluations=4),
    points=Size(seeds=10, images=480_000, n=2500),
    stacked=Size(seeds=3, images=12_800, n=10_000),
    stacked_images=60_000,
    tail=Size(seeds=5, images=6_400, n=1000),
    scaling=Size(seeds=3, images=3_200, n=1000),
    inpainting=Size(seeds=3, images=6_400, n=500),
    likelihood=Size(seeds=3, images=24_000, n=250),
    steps=(1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 50),
    inpainted=64,
    scored=1000,
    guidances=(1.0, 1.5, 2.5),
    truncations=(1.0, 0.75, 0.5),
)

_ONCE = Size(seeds=1, images=128, n=32)

SMOKE = Preset(
    name="smoke",
    methods=("diffusion", "dcgan"),
    factors=(1.0,),
    swept=("diffusion", "dcgan"),
    toys=("diffusion", "dcgan"),
    families=("unet", "r3gan"),
    sizes=("30k", "60k"),
    parameters="45k",
    main=Size(seeds=1, images=128, n=32, budget="1s"),
    trials=2,
    sweep=_ONCE,
    points=_ONCE,
    stacked=None,
    stacked_images=0,
    tail=_ONCE,
    scaling=_ONCE,
    inpainting=_ONCE,
    likelihood=_ONCE,
    steps=(1, 2),
    inpainted=4,
    scored=4,
    guidances=(1.0, 2.0),
    truncations=(1.0, 0.5),
)

PRESETS = {preset.name: preset for preset in (SMOKE, QUICK, FULL)}
