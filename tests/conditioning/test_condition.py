import pytest
import torch

from undrift.conditioning import Condition
from undrift.errors import UsageError


def both(batch=4):
    return Condition({"labels": torch.arange(batch), "augment": torch.randn(batch, 3) + 5})


class Ragged:
    """Entries need not be tensors: texts of different lengths, say."""

    def __init__(self, rows, device="cpu"):
        self.rows, self.device = rows, device

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, key):
        return Ragged(self.rows[key] if isinstance(key, slice) else [self.rows[i] for i in key])

    def to(self, device):
        return Ragged(self.rows, device)


@pytest.mark.parametrize(
    "rows", [slice(1, 3), torch.tensor([3, 0]), torch.tensor([True, False, False, True])]
)
def test_slicing_takes_the_same_rows_of_every_entry(rows):
    condition = both()
    cut = condition[rows]
    assert all(torch.equal(cut[name], condition[name][rows]) for name in condition)
    assert cut.rows == 2


def test_entries_of_any_type_are_cut_and_moved_with_the_others():
    condition = both(3).with_entry("text", Ragged([[1], [2, 3], []]))
    assert condition[1:]["text"].rows == [[2, 3], []]
    assert condition.to("meta")["text"].device == "meta"
    assert condition.to("meta")["labels"].device.type == "meta"
    with pytest.raises(UsageError, match="one row per sample"):
        both(4).with_entry("text", Ragged([[1]]))


def test_it_is_a_mapping_that_cannot_be_changed():
    entries = {"labels": torch.zeros(2, dtype=torch.int64)}
    condition = Condition(entries)
    entries["other"] = torch.zeros(2)
    assert list(condition) == ["labels"]
    assert condition.get("other") is None
    with pytest.raises(TypeError):
        condition["labels"] = torch.ones(2)
    more = condition.with_entry("augment", torch.zeros(2, 1))
    assert list(condition) == ["labels"] and list(more) == ["labels", "augment"]
    assert condition.to("cpu").rows == 2
    assert Condition().rows is None
    assert torch.equal(condition.labels, condition["labels"]) and Condition().labels is None


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="one row per sample"):
        Condition({"labels": torch.zeros(2), "augment": torch.zeros(3, 1)})
    with pytest.raises(UsageError, match="one row per sample"):
        Condition({"labels": torch.tensor(3)})
