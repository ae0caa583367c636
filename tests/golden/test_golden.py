"""What training, sampling and measuring give is what they gave when the golden set was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.golden import expectation
from tests.golden.cases import CASES, DETERMINISTIC, STOCHASTIC
from tests.golden.driver import Arrays
from torch import Tensor

from undrift import randomness
from undrift.sampling import SAMPLERS, noise
from undrift.sampling.grids import lookup
from undrift.sampling.grids.time import uniform
from undrift.sampling.guidance import ClassifierFree
from undrift.sampling.solvers import DPMpp2M
from undrift.training import loop


@pytest.mark.parametrize("name", CASES)
def test_it_gives_what_it_gave(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("golden", expectation.comparison(name))
    faults = expectation.faults(name, CASES[name](tmp_path))
    assert not faults, f"{name}: {'; '.join(faults)} (compared {expectation.comparison(name)})"


def test_every_sampler_has_a_case() -> None:
    assert sorted(SAMPLERS) == sorted((*DETERMINISTIC, *STOCHASTIC))


def test_nothing_is_expected_of_cases_that_are_gone() -> None:
    known = {name for cases in expectation._bits().values() for name in cases}
    assert known == set(CASES)
    assert {key.split("|")[0] for key in expectation._values()} == set(CASES)


def test_a_run_that_was_stopped_ends_as_one_that_was_not() -> None:
    bits = expectation._bits()
    for cases in bits.values():
        for name in ("unet", "r3gan"):
            assert cases[f"written/{name} resumed"] == cases[f"weights/{name}"]


def test_what_is_stored_is_small_and_plain() -> None:
    files = [path for path in expectation.FOLDER.parent.rglob("*") if path.is_file()]
    written = [path for path in files if "written" in path.parts]
    assert sum(path.stat().st_size for path in written) < 1_000_000
    assert {path.suffix for path in written} == {".safetensors", ".json", ".jsonl", ".yaml"}


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine, of which no bits are stored."""
    monkeypatch.setattr(expectation, "machine", lambda: "another machine")


SAME = (
    {"weights/unet", "written/unet resumed"},
    {"weights/r3gan", "written/r3gan resumed"},
    {"sampler/dpmpp_2m", "grid/karras"},  # a grid in log-SNR is the same on every path
    {"sampler on flow/dpmpp_2m", "grid/shifted"},
    {"sampler/dpmpp_3m", "sampler/dpmpp_3m_sde:0"},
    {"sampler on flow/dpmpp_3m", "sampler on flow/dpmpp_3m_sde:0"},
    {"setting/defaults", "setting/learned"},
)
"""Cases that ask for the same thing in other words."""


def test_every_other_setting_makes_a_difference() -> None:
    for cases in expectation._bits().values():
        by_digest: dict[str, set[str]] = {}
        for name, digest in cases.items():
            by_digest.setdefault(digest, set()).add(name)
        equal = [names for names in by_digest.values() if len(names) > 1]
        assert [names for names in equal if names not in SAME] == []


def reversed_key(*parts: int | str) -> int:
    return KEY(*parts[::-1])


def other_sign(*given: object) -> list[float]:
    newest, *older = WEIGHTS(*given)
    return [newest, *(-weight for weight in older)]


def next_step(streams: Tensor, number: Tensor) -> tuple[Tensor, ...]:
    return KEYS_OF(streams, number + 1)


def stronger(guidance: ClassifierFree) -> None:
    object.__setattr__(guidance, "scale", guidance.scale + 0.02)


KEY, WEIGHTS, KEYS_OF = randomness.key, DPMpp2M.weights, noise.keys_of
MUTANTS: dict[str, tuple[object, str, object]] = {
    "weights/mlp": (randomness, "key", reversed_key),
    "written/r3gan resumed": (loop, "load_optimizer_tensors", lambda *_: None),
    "written/unet loaded": (randomness, "key", reversed_key),
    "sampler/dpmpp_2m": (DPMpp2M, "weights", other_sign),
    "sampler on flow/ddpm": (noise, "keys_of", next_step),
    "grid/shifted": (lookup, "shifted", lambda schedule, steps, shift: uniform(schedule, steps)),
    "setting/guidance": (ClassifierFree, "__post_init__", stronger),
    "gan/truncation": (randomness, "key", reversed_key),
    "inpaint/moments": (randomness, "key", reversed_key),
    "numbers/likelihood, bound": (randomness, "key", reversed_key),
}
"""One for each group: a wrong sign, a step too many, another order of a key, a forgotten state."""


@pytest.mark.parametrize("machine", ["here", "elsewhere"])
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_fails(
    name: str, machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, attribute, mutant = MUTANTS[name]
    monkeypatch.setattr(owner, attribute, mutant)
    if machine == "elsewhere":
        monkeypatch.setattr(expectation, "machine", lambda: "another machine")
    assert expectation.faults(name, CASES[name](tmp_path)) != []


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("name", ["sampler/dpmpp_2m", "grid/karras", "inpaint/repaint"])
def test_another_machine_is_compared_within_tolerance(name: str, tmp_path: Path) -> None:
    assert expectation.comparison(name).startswith("within tolerance: no bits are stored for anoth")
    result = CASES[name](tmp_path)
    assert expectation.faults(name, result) == []
    result["images"] = result["images"] ^ 1  # a rounding
    assert expectation.faults(name, result) == []
    result["images"][0, 0, 0, 0] ^= 2
    (fault,) = expectation.faults(name, result)
    assert "1 of " in fault and "off by more than 1" in fault


def test_numbers_agree_within_a_share_of_their_row() -> None:
    def differ(found: object, expected: object) -> bool:
        return bool(expectation.difference(np.atleast_1d(found), np.atleast_1d(expected)))

    assert not differ(3.0002, 3.0)
    assert differ(3.0004, 3.0)
    assert not differ([1.0, 2e-5], [1.0, -2e-5]), "beside a 1, that is nothing"
    assert differ([[1.0, 1.0], [2e-5, 0.0]], [[1.0, 1.0], [-2e-5, 0.0]]), "in a row of its own"
    assert differ(float("nan"), 3.0)
    assert differ([1.0], [1.0, 1.0])


def test_weights_are_summed_up_by_size_and_order() -> None:
    weights = np.arange(12, dtype=np.float32).reshape(3, 4)
    whole = expectation.values({"w": weights})["w"]
    for other in (-weights, weights.T.copy().reshape(3, 4), weights * np.float32(1.001)):
        assert expectation.difference(expectation.values({"w": other})["w"], whole)


def store(path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, results: dict[str, Arrays]):
    """Write ``results`` as ``machine`` would; returns what has changed."""
    monkeypatch.setattr(expectation, "BITS", path / "bits.json")
    monkeypatch.setattr(expectation, "VALUES", path / "values.safetensors")
    monkeypatch.setattr(expectation, "FOLDER", path)
    monkeypatch.setattr(expectation, "machine", lambda: machine)
    expectation._bits.cache_clear()
    expectation._values.cache_clear()
    changed = expectation.write(results, set(results))
    expectation._bits.cache_clear()
    expectation._values.cache_clear()
    return changed


def test_machines_share_values_and_keep_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = {"a": {"x": np.float64(1)}, "b": {"x": np.uint8([7])}}
    try:
        assert store(tmp_path, monkeypatch, "one", first) == ["a", "b"]
        near = {"a": {"x": np.float64(1 + 1e-9)}, "b": {"x": np.uint8([7])}}
        assert store(tmp_path, monkeypatch, "two", near) == [], "two machines, bits of each"
        assert expectation.faults("a", near["a"]) == []
        assert expectation.faults("a", first["a"]) != [], "bits of the other one"
        other = {"a": {"x": np.float64(2)}, "b": {"x": np.uint8([7])}}
        assert store(tmp_path, monkeypatch, "one", other) == ["a"]
        assert "a" not in expectation._bits()["two"] and "b" in expectation._bits()["two"]
        assert expectation.stored_values("a")["x"].tolist() == [2]
    finally:
        expectation._bits.cache_clear()
        expectation._values.cache_clear()
