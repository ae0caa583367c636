"""The text encoder: padding is masked, positions and empty texts count."""

from __future__ import annotations

import pytest
import torch

from undrift.conditioning import Condition, ConditionEncoder, ConditionSpec
from undrift.conditioning.text import TextEncoder, Texts, TextSpec
from undrift.errors import UsageError
from undrift.networks import ContextSpec
from undrift.randomness import Draws
from undrift.schema import from_plain, to_plain

CAPTIONS = ["a red apple", "a green book on a table", "", "A Red  Apple"]


@pytest.fixture
def encoder() -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(TextSpec.fit(CAPTIONS * 3), vector=6).double()


def test_a_text_is_encoded_alike_whatever_the_length_of_its_batch(encoder: TextEncoder) -> None:
    rows = encoder.spec.rows(CAPTIONS)
    together = encoder.encode(rows)
    for i in range(len(CAPTIONS)):
        length = int(together.token_mask[i].sum())
        alone = encoder.encode(rows[i : i + 1, : length - 1])
        assert alone.token_mask.all()
        for ours, theirs in (
            (alone.tokens[0], together.tokens[i, :length]),
            (alone.vector[0], together.vector[i]),
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_without_its_mask_it_would_depend_on_it(
    encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = encoder.spec.rows(CAPTIONS)
    masked = encoder.encode(rows).vector
    for layer in encoder.layers:
        attention = layer.attention.forward
        monkeypatch.setattr(layer.attention, "forward", lambda x, mask, of=attention: of(x))
    assert not torch.allclose(encoder.encode(rows).vector, masked, atol=1e-3)


def test_the_order_of_words_counts(encoder: TextEncoder) -> None:
    rows = encoder.spec.rows(["red book", "book red"])
    assert rows[0, :2].tolist() == rows[1, :2].flip(0).tolist()
    pooled = encoder.encode(rows).vector
    assert not torch.allclose(pooled[0], pooled[1], atol=1e-3)


def test_an_empty_text_is_its_class_token_alone(encoder: TextEncoder) -> None:
    context = encoder(Texts.single(["", "  \n", "a"]))
    assert context.token_mask.sum(1).tolist() == [1, 1, 2]
    assert torch.equal(context.vector[0], context.vector[1])
    context.vector[0].sum().backward()
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
    pooled = encoder(Texts.single(CAPTIONS)).vector
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
    for entry in (Texts.single(["a", "b"]), ["a"], torch.zeros(1, 3)):
        with pytest.raises(UsageError, match="wanted Texts of 1 samples"):
            encoder.spec.check(entry, 1)


def test_a_condition_encodes_texts_beside_labels() -> None:
    """A text not given, an empty one and a dropped one are the same null."""
    torch.manual_seed(0)
    text = TextSpec.fit(CAPTIONS)
    encoder = ConditionEncoder(ConditionSpec(classes=3, text=text), width=8)
    assert encoder.context_spec == ContextSpec(vector=8, tokens=text.width)
    given = Condition({"labels": torch.tensor([0, 1]), "text": Texts([["a red apple"], []])})
    context = encoder(given, 2)
    assert context.tokens is not None and context.tokens.shape == (2, text.length + 1, text.width)
    without = encoder(Condition({"labels": given["labels"]}), 2)
    assert torch.equal(without.vector[1], context.vector[1])
    assert not torch.allclose(without.vector[0], context.vector[0], atol=1e-3)
    assert "text.embedding.weight" in encoder.state_dict()
    draws = Draws(seed=0, step=0, total=2, start=0, stop=2)
    assert encoder.spec.drop(given, 1.0, draws)["text"] == text.null(2, torch.device("cpu"))


def test_of_several_texts_one_is_drawn_by_step_and_position() -> None:
    spec = ConditionSpec(text=TextSpec.fit(CAPTIONS))
    given = Condition({"text": Texts([["a", "b", "c"], ["d"], []] * 100)})

    def drawn(step: int, rows: slice = slice(0, 300)) -> Texts:
        draws = Draws(0, step, 300, rows.start, rows.stop)
        return spec.vary(given[rows], draws)["text"]

    first = drawn(0)
    assert first == drawn(0) and first != drawn(1)
    assert first[100:] == drawn(0, slice(100, 300))
    assert {several for several in first.of_each[::3]} == {("a",), ("b",), ("c",)}
    assert all(25 <= first.of_each[::3].count((text,)) <= 42 for text in "abc")
    assert first.of_each[1] == ("d",) and first.of_each[2] == ()


def test_texts_are_indexed_like_tensors() -> None:
    texts = Texts.single("abcd")
    assert texts[1:3].first == ["b", "c"]
    assert texts[torch.tensor([3, 0])].first == ["d", "a"]
    assert texts[torch.tensor([True, False, False, True])].first == ["a", "d"]
    assert texts.without(torch.tensor([True, False, False, True])).first == ["", "b", "c", ""]
