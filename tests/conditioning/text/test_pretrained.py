"""A frozen text model: what it encodes, where it is kept, and what becomes of a missing one."""

from __future__ import annotations

import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from undrift.conditioning import Condition, ConditionEncoder, ConditionSpec
from undrift.conditioning.text import PretrainedText, Texts, TextSpec, pretrained
from undrift.errors import ModelFileError, UsageError
from undrift.schema import from_plain, to_plain

from . import frozen

CAPTIONS = ["a red apple", "two green ants", "an ant that sits in the grass"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return frozen.bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, and nothing in memory."""
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path / "cache"))
    pretrained._opened.cache_clear()
    pretrained._fingerprint.cache_clear()


@pytest.fixture
def spec(folder: Path) -> PretrainedText:
    return PretrainedText.fit(str(folder), CAPTIONS)


def test_a_spec_is_plain_data_beside_a_vocabulary(spec: PretrainedText, folder: Path) -> None:
    assert (spec.source, spec.features, spec.length) == (str(folder), 16, 9)
    for text in (spec, TextSpec.fit(CAPTIONS)):
        whole = ConditionSpec(text=text)
        assert from_plain(ConditionSpec, to_plain(whole), "config.json") == whole
    assert str(folder) not in repr(spec)  # its fingerprint counts, not its place


def test_features_are_the_last_hidden_state_of_each_text(
    spec: PretrainedText, folder: Path
) -> None:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModel.from_pretrained(folder)
    for text, found in zip(CAPTIONS, spec.model.features(CAPTIONS, spec.length), strict=True):
        with torch.no_grad():
            wanted = network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        torch.testing.assert_close(found.float(), wanted, atol=2e-3, rtol=1e-3)
    (cut,) = spec.model.features([CAPTIONS[2]], 4)
    assert cut.shape == (4, 16) and spec.cut(["a " * 20, "a"]) == 1


def test_an_encoder_and_decoder_gives_its_encoder(tmp_path: Path) -> None:
    spec = PretrainedText.fit(str(frozen.t5(tmp_path / "t5")), CAPTIONS)
    assert spec.model.features(["a red apple"], 8)[0].shape == (5, 16)


def test_a_condition_is_encoded_alike_in_any_batch(spec: PretrainedText) -> None:
    torch.manual_seed(0)
    encoder = ConditionEncoder(ConditionSpec(text=spec), width=8)
    alone = encoder(Condition({"text": Texts.single(CAPTIONS[:1])}), 1)
    among = encoder(Condition({"text": Texts.single([*CAPTIONS, ""])}), 4)
    assert alone.tokens is not None and among.tokens is not None and among.vector is not None
    torch.testing.assert_close(alone.tokens[0, :6], among.tokens[0, :6])
    assert among.token_mask is not None and among.token_mask.sum(1).tolist() == [6, 6, 10, 1]
    torch.testing.assert_close(encoder(None, 1).vector[0], among.vector[3])
    assert not torch.allclose(among.vector[0], among.vector[1], atol=1e-2)
    among.vector.sum().backward()
    assert all(name.startswith("text.") for name, _ in encoder.named_parameters())
    assert sum(p.numel() for p in encoder.parameters()) < 1_000_000
    assert encoder.get_submodule("text").inward.weight.grad.abs().sum() > 0


def test_captions_are_encoded_once_and_read_from_the_cache(
    spec: PretrainedText, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = spec.model.features(CAPTIONS, spec.length)
    spec.model.prepare(CAPTIONS, spec.length, "cpu")
    pretrained._opened.cache_clear()

    def never(*_: object) -> None:
        raise AssertionError("encoded again")

    with monkeypatch.context() as patch:
        patch.setattr(pretrained.FrozenTextModel, "_computed", never)
        spec.model.prepare(CAPTIONS[::-1], spec.length, "cpu")
        found = spec.model.features(CAPTIONS, spec.length)
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    (place,) = (tmp_path / "cache/text").iterdir()
    damaged = bytearray(place.read_bytes())
    damaged[-1] ^= 1
    place.write_bytes(damaged)
    spec.model.prepare(CAPTIONS, spec.length, "cpu")
    again = spec.model.features(CAPTIONS, spec.length)
    assert all(torch.equal(a, b) for a, b in zip(again, wanted, strict=True))


def test_threads_encode_at_a_time(spec: PretrainedText, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, model = spec.model.features(CAPTIONS, 8), pretrained.FrozenTextModel
    pretrained._opened.cache_clear()
    monkeypatch.setattr(pretrained, "MOST_RECENT", 0)
    computed = model._computed

    def beside(self: pretrained.FrozenTextModel, text: str, *rest: object) -> torch.Tensor:
        if text == CAPTIONS[1]:  # meanwhile another thread encodes, and empties what is shared
            other = threading.Thread(target=self.features, args=(["an ant"], 8))
            other.start()
            other.join()
        return computed(self, text, *rest)

    monkeypatch.setattr(model, "_computed", beside)
    found = spec.model.features(CAPTIONS, 8)
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_cached_features_are_of_one_device_and_version(
    spec: PretrainedText, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = spec.model.features(CAPTIONS, 8)
    monkeypatch.setattr(pretrained.FrozenTextModel, "features", lambda *_: wanted)
    for device in ("cpu", "cpu", "cuda:0"):
        spec.model.prepare(CAPTIONS, 8, device)
    assert len([*(tmp_path / "cache/text").iterdir()]) == 2
    monkeypatch.setattr(pretrained, "version", lambda _: "0.0")
    spec.model.prepare(CAPTIONS, 8, "cpu")
    assert len([*(tmp_path / "cache/text").iterdir()]) == 3


def test_a_moved_model_is_named_by_the_environment(
    spec: PretrainedText, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, here = spec.encode(["an ant"]), tmp_path / "here"
    shutil.copytree(spec.source, here)
    moved = replace(spec, source="/another/machine")
    monkeypatch.setenv("UNDRIFT_TEXT_ENCODER", str(here))
    assert moved.encode(["an ant"]) == wanted and moved.model.folder == here
    pretrained._opened.cache_clear()
    monkeypatch.setenv("UNDRIFT_TEXT_ENCODER", str(frozen.bert(tmp_path / "other", seed=1)))
    with pytest.raises(ModelFileError, match="^UNDRIFT_TEXT_ENCODER .*other: not the text encoder"):
        moved.encode(["an ant"])
    monkeypatch.delenv("UNDRIFT_TEXT_ENCODER")
    with pytest.raises(ModelFileError, match="restore it, or set UNDRIFT_TEXT_ENCODER to the fol"):
        moved.encode(["an ant"])


def test_a_missing_or_changed_model_is_one_line(spec: PretrainedText, folder: Path) -> None:
    moved = folder.with_name("moved")
    folder.rename(moved)
    try:
        with pytest.raises(ModelFileError, match="the text encoder is not there; restore it"):
            spec.encode(["an ant"])
        frozen.bert(folder, seed=1)
        pretrained._fingerprint.cache_clear()
        with pytest.raises(ModelFileError, match="has changed since this model was trained"):
            spec.encode(["an ant"])
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        moved.rename(folder)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("missing/folder/x", ModelFileError, "not there; name a folder"),
        ("empty", ModelFileError, "wanted a text model, with config.json"),
        ("damaged", ModelFileError, "the text encoder cannot be loaded"),
    ],
)
def test_what_is_no_text_model_is_refused(
    name: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    for file in ("config.json", "x.safetensors"):
        (tmp_path / "damaged" / file).write_text("{")
    with pytest.raises(error, match=message) as caught:
        PretrainedText.fit(str(tmp_path / name), CAPTIONS)
    assert "\n" not in str(caught.value)


def test_without_transformers_the_extra_is_named(
    spec: PretrainedText, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"transformers is missing; install undrift\[text\]"):
        spec.encode(["an ant"])
