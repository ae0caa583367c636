"""The learned schedule, the loss that goes with it, and the recipe that uses both."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import pytest
import torch
from tests.training.small import ALONE, digits, model, plan

import undrift.data
from undrift.conditioning import Condition
from undrift.data.augmentation import PARAMETERS
from undrift.diffusion import Denoiser, GaussianMixture, LogSNR, edm
from undrift.errors import UsageError
from undrift.likelihood.learned import LearnedSchedule, VariationalConfig, VariationalObjective
from undrift.likelihood.reconstruction import Reconstruction
from undrift.likelihood.span import Span
from undrift.likelihood.values import ValueGrid
from undrift.options.train import TrainOptions
from undrift.randomness import Draws, generator
from undrift.runs import configuration
from undrift.runs.recipes import resolve
from undrift.training.checkpoint import CheckpointStore
from undrift.training.learners.diffusion import DiffusionLearner
from undrift.training.loop import Trainer
from undrift.training.signals import StopSignals

F64 = torch.float64
SPAN = Span(-8.0, 9.0)
PATH = LogSNR((9.0, -8.0))


class Exact(torch.nn.Module):
    """What a perfect network with edm's scaling says of N(0, s^2) data."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.law = GaussianMixture(torch.zeros(1, 2), [std])

    def forward(self, x, c_noise, context=None):
        level = PATH(PATH.time_at(-8 * c_noise.double()))
        x_t = x.double()  # c_in is 1 on this path
        rule = edm(1.0)
        x0 = self.law.posterior_mean(x_t, level)
        fitted = level.like(x_t)
        row = rule.row(fitted, 1.0)
        return ((x0 - row.c_skip * x_t) / row.c_out).to(x.dtype)


def diffusion_term(std: float) -> float:
    low, high = (math.log1p(math.exp(end) * std**2) for end in (SPAN.low, SPAN.high))
    return (high - low) / 2


def losses(schedule: LearnedSchedule, std: float = 0.4, n: int = 4096, step: int = 0):
    x0 = std * torch.randn((n, 2), generator=generator(0, "data", step), dtype=F64)
    denoiser = Denoiser(Exact(std), PATH, edm(1.0))
    return VariationalObjective(schedule)(denoiser, x0, None, Draws(0, step, n, 0, n))


@pytest.mark.parametrize("bins", [1, 16])
def test_the_loss_is_the_bound_in_nats_per_dimension(bins):
    schedule = LearnedSchedule(SPAN, bins)
    found = losses(schedule)
    error = float(found.per_sample.std()) / 64
    assert abs(float(found.per_sample.mean()) - diffusion_term(0.4)) < 4 * error
    assert float(found.log_snr.min()) >= SPAN.low and float(found.log_snr.max()) <= SPAN.high


def test_what_is_learned_changes_the_variance_and_not_the_mean():
    schedule = LearnedSchedule(SPAN, 32)
    before = losses(schedule)
    for step in range(1, 6):
        found = losses(schedule, step=step)
        integrand = found.per_sample / found.weight * found.log_snr.exp() / 2
        schedule.learn(found.log_snr, integrand)
    after = losses(schedule, step=9)
    error = float(after.per_sample.std()) / 64
    assert abs(float(after.per_sample.mean()) - diffusion_term(0.4)) < 4 * error
    assert float(after.per_sample.var()) < 0.9 * float(before.per_sample.var())
    assert schedule.path.knots[0] == 9.0 and schedule.path.knots[-1] == -8.0
    # time is spent where the integrand is large: the clean half
    assert schedule.path(0.5).log_snr > 1


def test_one_bin_stays_linear():
    schedule = LearnedSchedule(SPAN, 1)
    schedule.learn(torch.tensor([3.0, 8.0]), torch.tensor([9.0, 0.1]))
    torch.testing.assert_close(schedule.path(0.5).log_snr, LogSNR((9.0, -8.0))(0.5).log_snr)


def test_a_path_of_knots_goes_there_and_back():
    path = LogSNR((9.0, 5.0, 4.5, -8.0), start=0.01)
    t = torch.linspace(0, 1, 201, dtype=F64)
    level = path(t)
    assert float(level.sigma[0]) == 0 and float(level.alpha[0]) == 1
    assert bool((level.log_snr.diff() < 0).all())
    torch.testing.assert_close(level.alpha**2 + level.sigma**2, torch.ones_like(t))
    torch.testing.assert_close(path.time_at(level.log_snr[1:]), t[1:])
    assert float(path.time_at(torch.tensor(math.inf))) == 0
    assert float(path.time_at(-50.0)) == 1
    inner = torch.cat([t[1:2] / 2, t[5:200:7] + 1e-4])
    h = 1e-7
    ahead, behind = path(inner + h), path(inner - h)
    at = path(inner)
    torch.testing.assert_close(
        (ahead.alpha - behind.alpha) / (2 * h), at.alpha_dot, rtol=1e-4, atol=1e-6
    )
    torch.testing.assert_close(
        (ahead.sigma - behind.sigma) / (2 * h), at.sigma_dot, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LogSNR((3.0,)), "two or more finite numbers that fall"),
        (lambda: LogSNR((-3.0, 4.0)), "two or more finite numbers that fall"),
        (lambda: LogSNR(start=0.0), "between 0 and 1"),
        (lambda: VariationalConfig(17, 3.0, 4.0), "the lower first"),
        (lambda: VariationalConfig(17, 4.0, 3.0, bins=0), "wanted 1 to 100,000"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def variational():
    images = digits()
    return model(
        images,
        schedule=LogSNR((7.2, -10.0)),
        likelihood=VariationalConfig(17, 7.2, -10.0, bins=8),
    )


def test_a_likelihood_run_resumes_bit_by_bit(tmp_path):
    def trainer(store):
        return Trainer(
            DiffusionLearner(variational(), 0), plan(steps=6), digits(), world=ALONE, store=store
        )

    with StopSignals() as stop:
        whole = trainer(None)
        whole.run(stop)
        store = CheckpointStore(tmp_path)
        first = trainer(store)
        first.run(stop, until=3)
        first.save()
        second = trainer(store)
        second.restore(store.newest())
        second.run(stop)
    wanted, found = whole.learner.buffers.state_dict(), second.learner.buffers.state_dict()
    assert float(wanted["schedule.visits"].sum()) == 6 * 16
    assert set(wanted) == {"schedule.moments", "schedule.visits"}
    for name, tensor in wanted.items():
        assert torch.equal(tensor, found[name]), name
    for name, tensor in whole.learner.networks.state_dict().items():
        assert torch.equal(tensor, second.learner.networks.state_dict()[name]), name


def unschooled_bits(second_moment: float) -> float:
    """Expected bits of a network that answers 0, so that D = alpha x_t on a path of variance 1.

    SNR E|x_0 - D|^2 = alpha^2 sigma^2 m + alpha^4 per dimension. It knows nothing of levels and
    pays for the noise at the clean end, a sixth of a level: more than log2(17) bits.
    """
    high, low = 7.2, -10.0
    alpha2 = [1 / (1 + math.exp(-end)) for end in (high, low)]
    softplus = [math.log1p(math.exp(end)) for end in (high, low)]
    diffusion = (softplus[0] - softplus[1] + (second_moment - 1) * (alpha2[0] - alpha2[1])) / 2
    sigma2 = 1 - alpha2[1]
    prior = (sigma2 + alpha2[1] * second_moment - 1 - math.log(sigma2)) / 2
    return (diffusion + prior) / math.log(2)


def test_validation_is_in_bits_and_the_pipeline_walks_the_learned_path():
    images = digits()
    found = []
    for seed in range(8):
        learner = DiffusionLearner(variational(), seed)
        few, condition = images.images[:40], images.condition()[:40]
        validated = learner.validate(learner.pipeline(), few, condition)
        assert validated["loss"] == validated["bits_per_dim"]
        found.append(validated["bits_per_dim"])
    shown = torch.from_numpy(images.images[:40]).permute(0, 3, 1, 2)
    codec = learner.codec
    grid = ValueGrid(17)
    cost = Reconstruction(grid, codec, 1, math.exp(-7.2 / 2))(grid.index(shown)).mean() / 64
    wanted = unschooled_bits(float(codec.encode(shown).square().mean()))
    wanted += float(cost) / math.log(2)
    error = statistics.stdev(found) / math.sqrt(len(found))
    assert error < 0.06 and abs(statistics.mean(found) - wanted) < 4 * error
    learner.buffers.schedule.learn(torch.tensor([6.0, 6.1]), torch.tensor([9.0, 9.0]))
    path = learner.pipeline().denoiser.schedule
    assert isinstance(path, LogSNR) and len(path.knots) == 9


def test_losses_by_level_are_those_of_the_level_wherever_the_schedule_has_gone():
    images = digits().images[:40]
    learner = DiffusionLearner(variational(), 0)
    linear = learner.validate(learner.pipeline(), images, Condition())
    for _ in range(20):
        learner.buffers.schedule.learn(torch.tensor([-9.5, 6.0]), torch.tensor([0.2, 9.0]))
    assert abs(float(learner.buffers.schedule.path(0.5).log_snr) - (7.2 - 10) / 2) > 1
    bent = learner.validate(learner.pipeline(), images, Condition())
    x0 = learner.codec.encode(torch.from_numpy(images).permute(0, 3, 1, 2)).double()
    assert bent["log_snr"] == linear["log_snr"]
    for i, log_snr in enumerate(bent["log_snr"]):
        alpha2 = 1 / (1 + math.exp(-log_snr))
        noise = torch.randn(x0.shape, generator=generator(0, "validation", i)).double()
        x_t = math.sqrt(alpha2) * x0 + math.sqrt(1 - alpha2) * noise
        # the network answers 0
        wanted = float((math.sqrt(alpha2) * x_t - x0).square().mean())
        assert bent["losses"][i] == pytest.approx(wanted, rel=1e-4)
        assert linear["losses"][i] == pytest.approx(wanted, rel=1e-4)


def config(**settings):
    data = undrift.data.load("digits")
    return resolve(
        "digits", TrainOptions(recipe="likelihood", steps=3, **settings), data, device="cpu"
    )


def test_the_recipe_follows_the_levels_of_the_data(tmp_path):
    made = config()
    likelihood = made.model.likelihood
    assert likelihood.value_levels == 17 and likelihood.bins > 1
    level = 255 / 16 / made.model.codec.std[0]
    periods = [2 * math.pi / wave for wave in made.model.network.fourier]
    assert periods == pytest.approx([level * n for n in (1, 2, 4, 8, 16, 32)])
    # six standard deviations between levels: 15 bytes apart where rounding brings them nearest
    assert likelihood.log_snr_max == pytest.approx(2 * math.log(6 * made.model.codec.std[0] / 15))
    assert made.model.schedule.knots == (likelihood.log_snr_max, likelihood.log_snr_min)
    path = tmp_path / "config.yaml"
    path.write_text(configuration.dump(made))
    assert configuration.load(path) == made
    plain = resolve("digits", TrainOptions(steps=3), undrift.data.load("digits"), device="cpu")
    assert plain.model.likelihood is None and plain.model.network.fourier == ()
    assert replace(plain.model.network, fourier=made.model.network.fourier) == made.model.network


@pytest.mark.parametrize(("data", "network"), [("digits", "mlp"), ("ring8", None)])
def test_a_perceptron_hears_the_waves_too(data, network):
    settings = TrainOptions(recipe="likelihood", steps=3, network=network)
    model = resolve(data, settings, undrift.data.load(data), device="cpu").model
    periods = [2 * math.pi / wave * model.codec.std[0] for wave in model.network.fourier]
    level = 255 / 16 if data == "digits" else 1
    assert model.network.kind == "mlp"
    assert periods == pytest.approx([level * n for n in (1, 2, 4, 8, 16, 32)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flip": True}, "flip trains on images that are not in the data"),
        ({"augment": 0.1}, "augment trains on images that are not in the data"),
        ({"network": "transformer"}, "the transformer has no Fourier features"),
    ],
)
def test_the_recipe_refuses_what_changes_the_images(settings, message):
    assert PARAMETERS
    with pytest.raises(UsageError, match=message):
        config(**settings)
