from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import undrift.data
from undrift.errors import DataError, UsageError
from undrift.options.train import TrainOptions
from undrift.runs import configuration
from undrift.runs.recipes import resolve


def config(**settings: object) -> configuration.RunConfig:
    images = undrift.data.load("digits")
    return resolve("digits", TrainOptions(**settings), images, device="cpu")


@pytest.mark.parametrize("network", ["unet", "transformer", "mlp"])
def test_round_trip(tmp_path: Path, network: str) -> None:
    made = config(network=network, budget="2m")
    path = tmp_path / "config.yaml"
    path.write_text(configuration.dump(made))
    assert configuration.load(path) == made


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = configuration.dump(config(steps=5))
    assert old in text
    path = tmp_path / "config.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("batch_size:", "batch_siez:", "unknown key 'batch_siez'; did you mean 'batch_size'?"),
        ("kind: ve", "kind: vp_linaer", "kind: got 'vp_linaer', wanted one of"),
        ("batch_size: 64", "batch_size: 64\n  batch_size: 32", "'batch_size' appears twice"),
        ("clip: 1.0", "clip: .nan", "clip: got nan, wanted a finite number"),
        ("clip: 1.0", "clip: '1.0'", "clip: got '1.0', wanted float"),
        ("clip: 1.0", "clip: [", "not YAML"),
        ("seed: 0", "seed: true", "seed: got True, wanted int"),
        ("budget: null", "budget: 3", "budget: got 3"),
        ("source: digits", "source: &a digits", "anchors and aliases are not read"),
        ("steps: 5", "steps: " + "9" * 5000, "a number of 5,000 digits"),
        ("steps: 5", "steps: " + "9" * 30, "training: training: steps is "),
        ("steps: 5", "steps: 2000000000", "wanted 1 to 1,000,000,000"),
        ("batch_size: 64", "batch_size: 100000000", "wanted 1 to 1,000,000"),
        ("blocks: 2", "blocks: 2147483648", "blocks is 2147483648, wanted 1 to 64"),
        ("fourier: []", f"fourier: [{'1.0, ' * 1000}]", "fourier has 1,000 entries, wanted 64"),
        ("head_width:", "h" * 1000 + ":", "unknown key 'hhh"),
    ],
)
def test_what_it_refuses(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = changed(tmp_path, old, new)
    with pytest.raises(UsageError, match="config.yaml") as caught:
        configuration.load(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is missing"):
        configuration.load(tmp_path / "config.yaml")


def test_no_object_is_built_from_tags(tmp_path: Path) -> None:
    path = changed(tmp_path, "source: digits", "source: !!python/object/apply:os.getcwd []")
    with pytest.raises(UsageError, match="not YAML"):
        configuration.load(path)


def test_first_difference_names_the_setting() -> None:
    stored = config(steps=5)
    assert configuration.first_difference(stored, config(steps=5)) is None
    assert configuration.first_difference(stored, config(steps=6)) == (
        "training.steps was 5 and is now 6"
    )
    other = configuration.first_difference(stored, config(steps=5, flip=True))
    assert other == "model.flip was False and is now True"


def test_what_a_probe_measured_is_no_difference() -> None:
    asked = config(budget="60s")
    stored = replace(
        asked,
        seconds_per_step=0.05,
        training=replace(asked.training, steps=1234, micro_batch=32),
    )
    assert configuration.first_difference(stored, asked) is None
    assert "budget" in (configuration.first_difference(stored, config(budget="61s")) or "")


def test_what_changes_no_weights_is_no_difference() -> None:
    stored = config(steps=5)
    other = config(steps=5, checkpoint_every=1, grid_every=2, validate_every=3)
    renamed = replace(other, data=replace(other.data, source="elsewhere/digits/"))
    assert configuration.first_difference(stored, renamed) is None


def test_a_learning_rate_keeps_the_ratio_of_the_optimisers_rates() -> None:
    usual, slow = config().model.optimizer, config(learning_rate=6e-5).model.optimizer
    assert slow.learning_rate == pytest.approx(usual.learning_rate / 100)
    assert slow.rest.learning_rate == pytest.approx(usual.rest.learning_rate / 100)


def test_your_own_network_gets_adamw() -> None:
    images = undrift.data.load("digits")
    made = resolve("digits", TrainOptions(), images, device="cpu", own_network=True)
    assert made.model.optimizer.kind == "adamw" and made.model.network is None


def test_too_few_images(tmp_path: Path) -> None:
    import numpy as np

    np.save(tmp_path / "few.npy", np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8))
    images = undrift.data.load(tmp_path / "few.npy", holdout=0)
    with pytest.raises(DataError, match="3 images to train on, wanted at least 4"):
        resolve("few.npy", TrainOptions(), images, device="cpu")


@pytest.mark.parametrize(
    "change",
    [{"steps": 0}, {"threads": 0}, {"micro_batch": -4}, {"clip": -1.0}, {"seed": -5}, {"keep": 0}],
)
def test_plans_that_cannot_be(change: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(change))):
        replace(config(steps=3).training, **change)


def test_lengths() -> None:
    assert config(steps=7).training.steps == 7
    assert config(images=640, batch_size=64).training.steps == 10
    assert config(images=1).training.steps == 1


def test_balance_needs_labels() -> None:
    with pytest.raises(UsageError, match="balance: the data"):
        config(balance=True, conditional=False)


def test_compile_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UsageError, match="compile: no C\\+\\+ compiler found"):
        config(compile=True)
    assert config().model.compile is False
