"""A classifier of noisy images, trained by the loop: the exact posterior, and digits it guides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.oracle.mutation import mutated
from torch import Tensor, nn

from undrift.codec import Standardise, codec_config
from undrift.data import ImageSet, load
from undrift.diffusion import VE, X0, Denoiser, LogNormal, NoisyClassifier, classifier
from undrift.networks import UNetClassifierConfig
from undrift.pipelines import ClassifierPipeline, DiffusionPipeline, SampleSpec
from undrift.sampling.guidance import classifier as guidance
from undrift.training.learners.classifier import ClassifierConfig, ClassifierLearner
from undrift.training.loop import Trainer
from undrift.training.optimizers import AdamWConfig, MuonConfig
from undrift.training.signals import StopSignals

from .small import ALONE, digits, plan
from .test_exact_resume import resumed

SIDE, MEAN, STD = 4, 0.1, 0.25
"""Two classes of Gaussian images in the codec's space: means -0.1 and 0.1, deviation 0.25."""
CODEC = Standardise((128.0,), (60.0,))
NETWORK = UNetClassifierConfig(width=8, multipliers=(1, 2), blocks=1, classes=2)


def gaussians(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    labels = random.integers(2, size=count)
    z = random.normal(MEAN * (2 * labels - 1)[:, None, None, None], STD, (count, SIDE, SIDE, 1))
    return np.round(128 + 60 * z).astype(np.uint8), labels


def config(images: ImageSet, **changes: object) -> ClassifierConfig:
    height, width, channels = images.shape
    names = images.class_names
    network = replace(NETWORK, classes=len(names))
    spec = SampleSpec((channels, height, width), names)
    codec = codec_config(Standardise.fit(images.images))
    return replace(ClassifierConfig(spec, network, codec, levels=LogNormal(-0.4, 1.2)), **changes)


def trained(images: ImageSet, steps: int, model: ClassifierConfig) -> ClassifierPipeline:
    learner = ClassifierLearner(model, seed=0)
    done = Trainer(learner, plan(steps=steps, batch_size=64), images, world=ALONE)
    done.run(StopSignals())
    return learner.pipeline(done.ema.weights(done.plan.ema[0]))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> ClassifierPipeline:
    path = tmp_path_factory.mktemp("gaussians") / "two.npz"
    images, labels = gaussians(4000, 0)
    np.savez(path, images=images, labels=labels)
    data = load(path, holdout=0)
    network = replace(NETWORK, multipliers=(1,))
    rate = AdamWConfig(learning_rate=1e-2)
    model = config(data, codec=codec_config(CODEC), network=network, optimizer=rate)
    return trained(data, 100, model)


def misses(made: NoisyClassifier) -> list[float]:
    """Mean absolute error of p(c | x_t) at each of four noise levels."""
    images, labels = gaussians(1000, 1)
    x0 = CODEC.encode(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    found = []
    for ratio in (0.1, 0.5, 2.0, 8.0):
        level = VE()(VE().time_at(torch.tensor(-2 * np.log(ratio), dtype=torch.float64)))
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(2))
        x_t = x0 + ratio * noise
        logit = 2 * MEAN * x_t.sum((1, 2, 3)) / (STD**2 + ratio**2)  # Bayes' rule
        with torch.no_grad():
            found.append(float((made(x_t, level)[:, 1].exp() - logit.sigmoid()).abs().mean()))
    return found


def test_it_approaches_the_exact_posterior_at_every_noise_level(two: ClassifierPipeline) -> None:
    found = misses(two.model.classifier)
    assert max(found) < 0.08, found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.rule.c_noise(level)", "(0 * self.rule.c_noise(level))"),
        ("(fitted.alpha * self.rule.sigma_data * c_in)", "(0 * c_in + 1)"),
        ("(c_in * x_t)", "(-c_in * x_t)"),
    ],
)
def test_without_the_noise_level_it_misses_the_posterior(
    two: ClassifierPipeline, old: str, new: str
) -> None:
    mutant = mutated(classifier, old, new).NoisyClassifier(two.model.classifier.network, 1.0)
    assert max(misses(mutant)) > 0.12


class Kernel(nn.Module):
    """The exact denoiser of a few images, each as likely, as a network that predicts them."""

    def __init__(self, x0: Tensor) -> None:
        super().__init__()
        self.images = nn.Parameter(x0, requires_grad=False)

    def forward(self, x: Tensor, c_noise: Tensor, context: object = None) -> Tensor:
        ratio = (4 * c_noise).exp()[:, None]
        x_t = x.flatten(1) * (1 + ratio**2).sqrt()
        known = self.images.flatten(1)
        distances = torch.cdist(x_t, known).square() / (2 * ratio**2)
        return ((-distances).softmax(1) @ known).view_as(x)


@pytest.fixture(scope="module")
def read() -> ClassifierPipeline:
    images = digits()
    network = replace(NETWORK, width=16, classes=10)
    rates = MuonConfig(learning_rate=6e-3, rest=AdamWConfig(learning_rate=3e-3))
    return trained(images, 60, config(images, network=network, optimizer=rates))


@pytest.fixture(scope="module")
def unconditional(read: ClassifierPipeline) -> DiffusionPipeline:
    images = digits().images[:400]
    x0 = read.codec.encode(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    spec = SampleSpec((1, 8, 8), steps=12, sigma_min=0.05)
    return DiffusionPipeline(Denoiser(Kernel(x0), VE(), X0), None, read.codec, spec)


def accuracy(pipeline: DiffusionPipeline, **settings: object) -> float:
    """Share of digits of all classes that lie nearest to a real one of their label."""
    made = pipeline(100, labels="all", seed=0, **settings)
    real = digits()
    assert made.labels is not None and real.labels is not None
    pixels = [torch.from_numpy(one.images.astype(np.float32)).flatten(1) for one in (made, real)]
    return float((real.labels[torch.cdist(*pixels).argmin(1).numpy()] == made.labels).mean())


def test_guidance_leads_an_unconditional_model_of_digits_to_the_labels(
    unconditional: DiffusionPipeline, read: ClassifierPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = accuracy(unconditional, classifier=read, classifier_scale=1e-6)
    bayes = accuracy(unconditional, classifier=read)
    strong = accuracy(unconditional, classifier=read, classifier_scale=4)
    assert off < 0.2 and off + 0.2 < bayes < strong and strong > 0.75, (off, bayes, strong)
    wrong = mutated(guidance, "prediction.x0 + w", "prediction.x0 - w").ClassifierGuided
    monkeypatch.setattr("undrift.pipelines.diffusion.guide.ClassifierGuided", wrong)
    assert accuracy(unconditional, classifier=read, classifier_scale=4) < 0.1


def test_a_validation_says_how_it_reads_at_each_noise_level(read: ClassifierPipeline) -> None:
    held_out = load("digits").split("validation")
    learner = ClassifierLearner(config(digits()), seed=0)
    found = learner.validate(read, held_out.images, held_out.condition())
    accuracies = found["accuracies"]
    assert isinstance(accuracies, list) and len(accuracies) == 10
    assert accuracies[0] > 0.85 and accuracies[-1] < 0.4 and found["chance"] < 0.2
    assert found["cross_entropies"][-1] == pytest.approx(np.log(10), abs=0.3)
    assert found == learner.validate(read, held_out.images, held_out.condition())
    fresh = learner.validate(learner.pipeline(), held_out.images, held_out.condition())
    assert fresh["loss"] == pytest.approx(np.log(10), rel=1e-6)


def test_it_resumes_bit_by_bit(tmp_path: Path) -> None:
    images = digits()
    model = config(images, network=replace(NETWORK, classes=10, dropout=0.1))
    resumed(lambda: ClassifierLearner(model, seed=0), images, tmp_path)
