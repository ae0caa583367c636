"""The text encoder: padding is masked, positions and empty texts count."""

from __future__ import annotations

import pytest
import torch

from undrift.conditioning.text import TextEncoder, TextSpec
from undrift.errors import UsageError
from undrift.schema import from_plain, to_plain

CAPTIONS = ["a red apple", "a green book on a table", "", "A Red  Apple"]


@pytest.fixture
def encoder() -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(TextSpec.fit(CAPTIONS * 3), vector=6).double()


def test_a_text_is_encoded_alike_whatever_the_length_of_its_batch(encoder: TextEncoder) -> None:
    rows = encoder.spec.rows(CAPTIONS)
    tokens, mask, pooled = encoder(rows)
    for i in range(len(CAPTIONS)):
        length = int(mask[i].sum())
        alone, all_there, vector = encoder(rows[i : i + 1, : length - 1])
        assert all_there.all()
        torch.testing.assert_close(alone[0], tokens[i, :length], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(vector[0], pooled[i], rtol=1e-12, atol=1e-12)


def test_without_its_mask_it_would_depend_on_it(
    encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = encoder.spec.rows(CAPTIONS)
    masked = encoder(rows)[2]
    for layer in encoder.layers:
        attention = layer.attention.forward
        monkeypatch.setattr(layer.attention, "forward", lambda x, mask, of=attention: of(x))
    assert not torch.allclose(encoder(rows)[2], masked, atol=1e-3)


def test_the_order_of_words_counts(encoder: TextEncoder) -> None:
    rows = encoder.spec.rows(["red book", "book red"])
    assert rows[0, :2].tolist() == rows[1, :2].flip(0).tolist()
    _, _, pooled = encoder(rows)
    assert not torch.allclose(pooled[0], pooled[1], atol=1e-3)


def test_an_empty_text_is_its_class_token_alone(encoder: TextEncoder) -> None:
    _, mask, pooled = encoder(encoder.spec.rows(["", "  \n", "a"]))
    assert mask.sum(1).tolist() == [1, 1, 2]
    assert torch.equal(pooled[0], pooled[1])
    pooled[0].sum().backward()
    assert encoder.embedding.weight.grad[0].abs().sum() > 0


def test_case_and_white_space_do_not_matter() -> None:
    spec = TextSpec.fit(CAPTIONS)
    assert spec.encode(["A Red\tApple "]) == spec.encode(["a red apple"])
    assert spec.encode(["cafe\u0301"]) == spec.encode(["caf\xe9"])


def test_long_texts_are_cut_and_counted() -> None:
    spec = TextSpec.fit(["x" * 10_000 + " y", "a b"], most=0)
    assert spec.length == 64
    assert spec.rows(["z" * 10_000]).shape == (1, 64)
    assert spec.cut(["z" * 10_000, "z", ""]) == 1
    assert TextSpec.fit(["a b", "a b b"]).length == 3


def test_the_pooled_vector_starts_at_unit_variance() -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(TextSpec.fit(CAPTIONS), vector=2048)
    pooled = encoder(encoder.spec.rows(CAPTIONS))[2]
    assert 0.8 < pooled.std().item() < 1.25


def test_a_spec_is_plain_data() -> None:
    spec = TextSpec.fit(CAPTIONS)
    assert from_plain(TextSpec, to_plain(spec), "config.json") == spec


def test_what_cannot_be_is_refused(encoder: TextEncoder) -> None:
    with pytest.raises(UsageError, match="all texts are empty"):
        TextSpec.fit(["", " "])
    with pytest.raises(UsageError, match="heads"):
        TextSpec("", width=10, heads=4)
    with pytest.raises(UsageError, match="vocabulary"):
        TextSpec("x")
    with pytest.raises(UsageError, match="at most"):
        encoder(torch.zeros(1, encoder.spec.length + 1, dtype=torch.int64))
