"""Asking a GAN for what it has not, or a diffusion model for what only a GAN has: one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from undrift.cli.dispatch import main
from undrift.codec import Identity
from undrift.conditioning import ConditionEncoder, ConditionSpec
from undrift.networks.gan import R3GANConfig, build_generator
from undrift.pipelines import GANPipeline, SampleSpec

from .test_misuse import fails


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def gan(tmp_path: Path) -> str:
    """A saved GAN of digits without classes."""
    torch.manual_seed(0)
    config = R3GANConfig(width=8, latent=4, group_width=4, blocks=1)
    encoder = ConditionEncoder(ConditionSpec(), 4)
    size = {"channels": 1, "size": (8, 8), "context": encoder.context_spec}
    spec = SampleSpec((1, 8, 8), (), steps=1)
    made = GANPipeline(
        build_generator(config, **size), encoder, Identity(), spec, network_config=config
    )
    made.save_pretrained(tmp_path / "model")
    return "model"


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (
            "sample GAN -n 2 --steps 5",
            "--steps 5: a GAN has no such setting; it takes --truncation",
        ),
        ("sample GAN -n 2 --sampler heun", "--sampler 'heun': a GAN has no such setting"),
        ("sample GAN -n 2 --grid karras", "--grid 'karras': a GAN has no such setting"),
        ("sample GAN -n 2 --trajectory", "trajectory .*: a GAN draws in one pass"),
        ("sample GAN -n 2 --guidance 2", "--guidance 2.0: a GAN .*it takes --truncation"),
        ("sample GAN -n 2 --threshold static", "--threshold 'static': a GAN has no such setting"),
        (
            "sample GAN -n 2 --sampler dopri5 --tolerance 0.1",
            "--sampler .*: a GAN has no such",
        ),
        ("sample GAN -n 2 --analytic-first-step", "--analytic-first-step True: a GAN has no such"),
        ("sample GAN -n 2 --labels 3", "no classes"),
        ("sample GAN -n 2 --truncation 1.2", "--truncation 1.2: wanted a share from 0 to 1"),
        ("sample GAN -n 2 --truncation nan", "--truncation nan: wanted a share from 0 to 1"),
        ("likelihood GAN digits", "has no likelihood"),
        ("curve GAN --reference digits", "takes no steps: there are none to compare"),
        ("tune-sampler GAN", "takes no steps"),
        (
            "evaluate GAN --reference digits --steps 5 -n 16 --metrics kid --features pixels",
            "steps 5: a GAN has no such setting",
        ),
    ],
)
def test_what_a_gan_has_not(
    gan: str, words: str, pattern: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(capsys, words.replace("GAN", gan).split(), 2, pattern)
    assert not (Path("samples") / "0-2" / "samples.json").exists()


def test_truncation_is_recorded(gan: str) -> None:
    words = ["sample", gan, "-n", "2", "--truncation", "0.5", "--out", "drawn", "--quiet"]
    assert main(words) == 0
    assert '"truncation": 0.5' in (Path("drawn") / "samples.json").read_text()


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        ("train digits --method r3gan --size 10", "10x10: .*multiples of 4; give --size 8$"),
        ("train digits --method dcgan --recipe likelihood", "no likelihood to train for"),
        ("train digits --method dcgan --network unet", "--network unet: method dcgan builds its"),
        ("train ring8 --method r3gan --network transformer", "--network transformer: .*give mlp"),
        ("train ring8 --method r3gan --augment 0.2", "--augment: images of 2x1 are points"),
        ("train ring8 --flip", "--flip: images of 2x1 are points"),
        ("train digits --method dcgan --label-dropout 0.1", "--label-dropout: method dcgan"),
        ("train digits --method r3gan --augment 0.9", "--augment 0.9: .*r3gan takes at most 0.8"),
        ("train digits --method stylegan2 --batch-size 17", "--batch-size 17: .*groups of 2 to 8"),
        ("train digits --method wgan_gp --steps 4", "give at least 5 steps"),
        ("train digits --method sngan --images 128", "2 steps: method sngan"),
    ],
)
def test_what_a_gan_cannot_be_trained_with(
    words: str, pattern: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(capsys, words.split(), 2, pattern)
    assert not list(Path().glob("runs/*/config.yaml"))
