import pytest
import torch

from undrift.errors import UsageError
from undrift.networks import Context, ContextSpec


def full(batch, length=3):
    return Context(
        vector=torch.randn(batch, 4),
        tokens=torch.randn(batch, length, 5),
        token_mask=torch.rand(batch, length) > 0.5,
        maps=torch.randn(batch, 2, 6, 6),
    )


PARTS = ("vector", "tokens", "token_mask", "maps")


@pytest.mark.parametrize(
    "rows", [slice(1, 3), torch.tensor([2, 0]), torch.tensor([True, False, False, True])]
)
def test_slicing_takes_the_same_rows_of_every_part(rows):
    context = full(4)
    cut = context[rows]
    for part in PARTS:
        assert torch.equal(getattr(cut, part), getattr(context, part)[rows])


def test_absent_parts_stay_absent():
    context = Context(vector=torch.zeros(4, 2))
    for other in (context[:2], context.to("cpu"), Context.concatenate([context, context])):
        assert other.tokens is None
        assert other.token_mask is None
        assert other.maps is None


def test_concatenate_inverts_slicing():
    context = full(5)
    joined = Context.concatenate([context[:2], context[2:]])
    for part in PARTS:
        assert torch.equal(getattr(joined, part), getattr(context, part))


def test_concatenate_pads_shorter_token_sequences_and_silences_the_padding():
    short = Context(tokens=torch.randn(2, 3, 5))
    long = full(1, length=7)
    long = Context(tokens=long.tokens, token_mask=long.token_mask)
    joined = Context.concatenate([short, long])
    assert joined.tokens.shape == (3, 7, 5)
    assert joined.token_mask[:2].tolist() == [[True] * 3 + [False] * 4] * 2
    assert torch.equal(joined.token_mask[2:], long.token_mask)


def test_concatenate_refuses_what_does_not_fit():
    with pytest.raises(UsageError, match="vector"):
        Context.concatenate([full(1), Context(tokens=torch.randn(1, 3, 5))])
    with pytest.raises(UsageError, match="tokens"):
        Context.concatenate([full(1), Context(vector=torch.randn(1, 4))])
    with pytest.raises(UsageError, match="at least one"):
        Context.concatenate([])


def test_length_counts_samples_and_an_empty_context_is_still_a_context():
    assert len(full(3)) == 3
    assert len(Context()) == 0
    assert bool(Context())


def test_a_negative_size_is_refused():
    with pytest.raises(UsageError, match="tokens is -1"):
        ContextSpec(tokens=-1)
