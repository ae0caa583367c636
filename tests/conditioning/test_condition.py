import pytest
import torch

from undrift.conditioning import NO_LABEL, Condition
from undrift.errors import UsageError


def both(batch=4):
    return Condition({"labels": torch.arange(batch), "augment": torch.randn(batch, 3) + 5})


def test_dropout_is_per_sample():
    """A single toss for the whole batch, a known bug elsewhere, could not give this."""
    mask = torch.tensor([True, False, True, False])
    dropped = both().drop({"labels": mask})
    assert dropped["labels"].tolist() == [NO_LABEL, 1, NO_LABEL, 3]


def test_dropping_touches_only_what_is_named_and_leaves_the_original():
    condition = both()
    mask = torch.tensor([False, True, False, False])
    dropped = condition.drop({"augment": mask})
    assert dropped["augment"][1].tolist() == [0, 0, 0]
    assert torch.equal(dropped["augment"][[0, 2, 3]], condition["augment"][[0, 2, 3]])
    assert torch.equal(dropped["labels"], condition["labels"])
    assert condition["augment"][1].abs().min() > 0


def test_dropping_nobody_is_the_identity():
    condition = both()
    dropped = condition.drop({name: torch.zeros(4, dtype=torch.bool) for name in condition})
    assert all(torch.equal(dropped[name], condition[name]) for name in condition)


@pytest.mark.parametrize(
    "rows", [slice(1, 3), torch.tensor([3, 0]), torch.tensor([True, False, False, True])]
)
def test_slicing_takes_the_same_rows_of_every_entry(rows):
    condition = both()
    cut = condition[rows]
    assert all(torch.equal(cut[name], condition[name][rows]) for name in condition)
    assert cut.rows == 2


def test_it_is_a_mapping_that_cannot_be_changed():
    entries = {"labels": torch.zeros(2, dtype=torch.int64)}
    condition = Condition(entries)
    entries["other"] = torch.zeros(2)
    assert list(condition) == ["labels"]
    assert condition.get("other") is None
    with pytest.raises(TypeError):
        condition["labels"] = torch.ones(2)
    assert condition.to("cpu").rows == 2
    assert Condition().rows is None


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="one row per sample"):
        Condition({"labels": torch.zeros(2), "augment": torch.zeros(3, 1)})
    with pytest.raises(UsageError, match="one row per sample"):
        Condition({"labels": torch.tensor(3)})
    with pytest.raises(UsageError, match="cannot drop 'text'; its entries are: labels, augment"):
        both().drop({"text": torch.zeros(4, dtype=torch.bool)})
    for mask in (torch.zeros(3, dtype=torch.bool), torch.zeros(4), torch.tensor(True)):
        with pytest.raises(UsageError, match="one bool for each of 4"):
            both().drop({"labels": mask})
