"""``undrift train digits --method r3gan``, then sample and evaluate, as a user would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import undrift
from undrift.cli.dispatch import main
from undrift.errors import DivergedError, UsageError
from undrift.options.train import TrainOptions
from undrift.pipelines import GANPipeline
from undrift.runs.events import read_events
from undrift.runs.loading import load_pipeline
from undrift.training.learner import Loss
from undrift.training.learners.gan import GANLearner
from undrift.workflows import closing
from undrift.workflows.preview import resolve_config

SETTINGS: dict[str, Any] = {
    "method": "stylegan2",
    "steps": 4,
    "batch_size": 8,
    "threads": 1,
    "evaluate_every": 2,
}
METHODS = ("r3gan", "stylegan2", "wgan_gp", "sngan", "dcgan")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gan") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closing, "FEWEST", 16)
        patch.setattr(closing, "PIXELS", 0)
        undrift.train("digits", out=out, **SETTINGS)
    return out


def test_a_run_leaves_what_every_run_leaves(run: Path) -> None:
    assert {"config.yaml", "report.html", "pipeline", "grid.png", "metrics.jsonl"} <= {
        path.name for path in run.iterdir()
    }
    page = (run / "report.html").read_text()
    assert "class-conditional StyleGAN2 of" in page and "held-out" in page
    assert 'id="watch-' in page and "within a class of what real ones do" in page
    assert "of training and" in page and "for real, none of them augmented" in page
    assert "best Gaussian denoiser" not in page and "From noise to image" not in page
    first = json.loads((run / "evaluation" / "first.json").read_text())
    assert "fd" in first["metrics"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["r3gan", "wgan_gp", "sngan", "dcgan"])
def test_every_method_goes_the_whole_way(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "FEWEST", 16)
    monkeypatch.setattr(closing, "PIXELS", 0)
    settings = SETTINGS | {"method": method, "steps": 5, "evaluate_every": None}
    page = undrift.train("digits", out=tmp_path / "run", **settings).report.read_text()
    signs_mean_nothing = method in ("r3gan", "wgan_gp")
    assert ("images stood at" in page) == signs_mean_nothing != ("for real, none" in page)
    assert isinstance(load_pipeline(tmp_path / "run", ema=0.1), GANPipeline)


def test_the_same_command_again_changes_nothing(run: Path) -> None:
    before = (run / "report.html").stat().st_mtime_ns
    again = undrift.train("digits", out=run, **SETTINGS)
    assert not again.trained and (run / "report.html").stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="other settings"):
        undrift.train("digits", out=run, **(SETTINGS | {"method": "r3gan"}))


def test_it_samples(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "s"
    words = ["sample", str(run), "-n", "4", "--labels", "3", "--truncation", "0.5"]
    assert main([*words, "--out", str(out)]) == 0
    record = json.loads((out / "samples.json").read_text())
    assert record["nfe"] == 1 and record["settings"]["truncation"] == 0.5
    assert main(["sample", str(run), "-n", "4", "--steps", "5", "--out", str(tmp_path / "t")]) == 2
    assert "--steps 5: a GAN has no such setting; it takes --truncation" in capsys.readouterr().err
    raw = load_pipeline(run, weights="raw")
    assert isinstance(raw, GANPipeline)


def test_it_is_evaluated(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "e.json"
    words = ["evaluate", str(run), "-n", "100", "--metrics", "kid", "--features", "pixels"]
    assert main([*words, "--out", str(out), "--quiet"]) == 0
    assert json.loads(out.read_text())["metrics"]["kid"]["value"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["likelihood"], "has no likelihood"),
        (["curve"], "takes no steps"),
        (["tune-sampler"], "takes no steps"),
    ],
)
def test_what_a_gan_cannot_do_is_refused(
    run: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, str(run)]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_recipe_that_is_stored_whole(method: str, tmp_path: Path) -> None:
    from undrift.runs import configuration

    config = resolve_config("digits", TrainOptions(method=method, steps=5))
    path = tmp_path / "config.yaml"
    path.write_text(configuration.dump(config))
    assert configuration.load(path) == config
    plain = yaml.safe_load(path.read_text())
    assert plain["model"]["kind"] == "gan" and plain["model"]["method"] == method
    usual = resolve_config("digits", TrainOptions(steps=5)).training.precision
    narrow = method in ("r3gan", "stylegan2") and config.training.device == "cpu"
    assert plain["training"]["precision"] == (usual if narrow else "float32")


def test_a_planted_nan_ends_the_run_and_is_its_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = GANLearner.loss

    def loss(learner: GANLearner, phase: str, *rest: Any) -> Loss:
        found = sound(learner, phase, *rest)
        factor = float("nan") if phase == "generator" and rest[1].step >= 2 else 1.0
        return Loss(found.per_sample * factor, found.statistics)

    monkeypatch.setattr(GANLearner, "loss", loss)
    settings = SETTINGS | {"method": "dcgan", "steps": 30, "evaluate_every": None}
    with pytest.raises(DivergedError, match="10 updates in a row"):
        undrift.train("digits", out=tmp_path / "run", **settings)
    events = read_events(tmp_path / "run" / "metrics.jsonl")
    assert sum(event.kind == "skip" for event in events) == 10
    (stopped,) = [event.entries for event in events if event.kind == "verdict"]
    assert stopped["state"] == "not_finite" and "training diverged" in stopped["verdict"]
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "failed"


def test_the_constants_are_the_papers() -> None:
    """But for the least penalty of a CPU, in batches of 16."""
    styled = resolve_config("digits", TrainOptions(method="stylegan2", device="cpu")).model
    assert styled.penalty.every == 16 and styled.penalty.r1 == 0.2
    share = 16 / 17  # the discriminator also makes the lazy penalty's steps
    assert styled.generator_optimizer.learning_rate == 0.0025
    assert styled.generator_optimizer.betas == (0.0, 0.99)
    assert styled.discriminator_optimizer.learning_rate == pytest.approx(0.0025 * share)
    assert styled.discriminator_optimizer.betas == pytest.approx((0.0, 0.99**share))
    paired = resolve_config("digits", TrainOptions(method="r3gan", device="cpu")).model
    assert paired.penalty.r1 == paired.penalty.r2 == 2.0
    assert (paired.penalty.every, paired.penalty.end) == (1, 0.1)
    both = (paired.generator_optimizer, paired.discriminator_optimizer)
    assert all((rule.betas, rule.beta2_start) == ((0.0, 0.99), 0.9) for rule in both)
    critic = resolve_config("digits", TrainOptions(method="wgan_gp", device="cpu")).model
    assert (critic.critic_steps, critic.penalty.two_sided) == (5, 10.0)
    assert critic.generator_optimizer.betas == (0.0, 0.9)


@pytest.mark.parametrize("method", ["r3gan", "stylegan2", "wgan_gp"])
def test_a_penalty_is_weighed_in_units_of_the_recipe(method: str) -> None:
    usual = resolve_config("digits", TrainOptions(method=method, steps=5)).model  # type: ignore[arg-type]
    settings = TrainOptions(method=method, steps=5, penalty=0.25)  # type: ignore[arg-type]
    made = resolve_config("digits", settings).model
    for name in ("r1", "r2", "two_sided"):
        assert getattr(made.penalty, name) == 0.25 * getattr(usual.penalty, name)
    assert (made.penalty.every, made.penalty.end) == (usual.penalty.every, usual.penalty.end)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": "unet"}, "network unet: method"),
        ({"label_dropout": 0.1}, "^label_dropout"),
        ({"recipe": "likelihood"}, "no likelihood"),
        ({"size": 10}, "multiples of 4"),
        ({"init": "elsewhere"}, "^init"),
        ({"method": "wgan_gp", "steps": 4}, "every 5th step only; give at least 5 steps"),
        ({"method": "sngan", "images": 64}, "1 step: method sngan"),
        ({"method": "sngan", "penalty": 2.0}, "penalty: method sngan has none"),
        ({"method": "diffusion", "penalty": 2.0}, "penalty: a diffusion model has no"),
    ],
)
def test_settings_that_a_gan_has_no_use_for_are_refused(
    settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_config("digits", TrainOptions(**({"method": "r3gan"} | settings)))


def test_the_log_has_both_sides(run: Path) -> None:
    events = list(read_events(run / "metrics.jsonl"))
    trained = [event.entries for event in events if event.kind == "train"]
    assert {"discriminator", "generator"} <= set(trained[-1]["phases"])
    validated = [event.entries for event in events if event.kind == "validation"]
    wanted = {"accuracy", "ranking", "overfitting", "diversity", "real_class_diversity"}
    wanted |= {f"{kind}_sign" for kind in ("real", "fake", "seen")}
    assert wanted <= set(validated[-1])
    evaluated = [event.entries for event in events if event.kind == "evaluation"]
    assert len(evaluated) == 2 and {"fd", "fd_low", "coverage", "state", "fraction"} <= set(
        evaluated[0]
    )
    assert "2 evaluations" in (run / "report.html").read_text()
    for side in ("discriminator", "generator"):
        assert trained[-1]["phases"][side]["grad_norm"] > 0
