"""``--init`` with captions: tokens of both vocabularies keep their embedding."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.training.small import model

import undrift.data
from undrift.conditioning.text import TextEncoder, TextSpec
from undrift.errors import UsageError
from undrift.families.diffusion.initial import copy_weights
from undrift.training.learners.diffusion import DiffusionLearner

OLD = TextSpec.fit(["a red apple", "a red car"] * 2, most=30)
NEW = TextSpec.fit(["the blue apple on a table", "the red apple"] * 2, most=60)


def learner(text: TextSpec | None, seed: int) -> DiffusionLearner:
    config = model(undrift.data.load("digits").split("train"))
    return DiffusionLearner(replace(config, spec=replace(config.spec, text=text)), seed=seed)


def embedded(made: DiffusionLearner, word: str) -> torch.Tensor:
    encoder = made.networks["encoder"].get_submodule("text")
    assert isinstance(encoder, TextEncoder)
    return encoder.embedding.weight[[number + 1 for number in encoder.spec.encode([word])[0]]]


def test_known_tokens_keep_their_embedding_and_others_start_anew() -> None:
    before, after = learner(OLD, 0), learner(NEW, 1)
    blue = embedded(after, "blue").clone()
    fresh = copy_weights(before.pipeline(), after)
    assert OLD.encode(["apple"]) != NEW.encode(["apple"]) and len(OLD.encode(["apple"])[0]) == 1
    assert torch.equal(embedded(after, "apple"), embedded(before, "apple"))
    assert len(blue) == 1 and torch.equal(embedded(after, "blue"), blue)
    assert fresh == [f"{NEW.tokens - len(NEW.places_in(OLD))} tokens"]
    theirs = before.networks["encoder"].get_submodule("text").state_dict()
    for name, tensor in after.networks["encoder"].get_submodule("text").state_dict().items():
        if name not in ("embedding.weight", "positions.weight"):
            assert torch.equal(tensor, theirs[name]), name
        assert torch.equal(tensor[0], theirs[name][0])


def test_the_same_vocabulary_starts_nothing_anew() -> None:
    assert copy_weights(learner(OLD, 0).pipeline(), learner(OLD, 1)) == []


def test_captions_on_one_side_alone_do_not_fit() -> None:
    with pytest.raises(UsageError, match="networks differ .* captions"):
        copy_weights(learner(OLD, 0).pipeline(), learner(None, 1))
