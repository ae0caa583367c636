"""Random dropout of conditions: per sample, keyed by what is dropped, and never of augmentation."""

import pytest
import torch

from undrift.conditioning import NO_LABEL, Condition, ConditionSpec, Number
from undrift.randomness import Draws

AGE = Number("age", 40.0, 10.0, 20.0, 60.0)
ANGLE = Number("angle", 0.0, 1.0, -2.0, 2.0)
B = 4000


def draws(rows=slice(0, B), seed=3, step=5):
    return Draws(seed, step, B, rows.start, rows.stop)


def everything(rows=B):
    return Condition(
        {
            "labels": torch.zeros(rows, dtype=torch.int64),
            "augment": torch.ones(rows, 3),
            "numbers": torch.zeros(rows, 2, dtype=torch.float64),
        }
    )


def test_labels_alone_are_dropped_by_their_own_draw_and_no_other():
    """The bits of models that are trained on labels rest on this name."""
    dropped = ConditionSpec(classes=2).drop(
        Condition({"labels": torch.ones(B, dtype=torch.int64)}), 0.1, draws()
    )
    wanted = draws().uniform("label dropout") < 0.1
    assert torch.equal(dropped["labels"] == NO_LABEL, wanted)
    assert 0.08 < wanted.double().mean() < 0.12


def test_each_is_dropped_by_itself_and_all_together():
    spec = ConditionSpec(classes=2, augment=3, numbers=(AGE, ANGLE))
    condition = everything()
    dropped = spec.drop(condition, 0.2, draws())
    gone = torch.stack(
        [dropped["labels"] == NO_LABEL, *dropped["numbers"].isnan().unbind(dim=1)], dim=1
    )
    share = gone.double().mean(dim=0)
    # its own toss, or that for all
    assert torch.allclose(share, torch.full((3,), 0.2 + 0.8 * 0.2).double(), atol=0.03)
    assert abs(gone.all(dim=1).double().mean() - (0.2 + 0.8 * 0.2**3)) < 0.03
    for one in range(3):
        others = [other for other in range(3) if other != one]
        assert (gone[:, one] & ~gone[:, others].any(dim=1)).any()
    assert torch.equal(dropped["augment"], condition["augment"])
    assert not condition["numbers"].isnan().any()


def test_what_is_dropped_does_not_depend_on_ranks_or_the_order_of_columns():
    spec, turned = ConditionSpec(numbers=(AGE, ANGLE)), ConditionSpec(numbers=(ANGLE, AGE))
    condition = Condition({"numbers": torch.zeros(B, 2, dtype=torch.float64)})
    whole = spec.drop(condition, 0.3, draws())["numbers"].isnan()
    half = spec.drop(condition[: B // 2], 0.3, draws(slice(B // 2, B)))["numbers"].isnan()
    assert torch.equal(half, whole[B // 2 :])
    assert torch.equal(turned.drop(condition, 0.3, draws())["numbers"].isnan(), whole.flip(1))
    other = spec.drop(condition, 0.3, draws(step=6))["numbers"].isnan()
    assert not torch.equal(other, whole)


@pytest.mark.parametrize(("share", "gone"), [(0.0, False), (1.0, True)])
def test_none_and_all(share, gone):
    spec = ConditionSpec(classes=2, numbers=(AGE, ANGLE))
    condition = spec.select(everything())
    assert list(condition) == ["labels", "numbers"]
    dropped = spec.drop(condition, share, draws())
    assert bool((dropped["labels"] == NO_LABEL).all()) is gone
    assert bool(dropped["numbers"].isnan().all()) is gone


def test_what_was_not_given_needs_no_dropping():
    spec = ConditionSpec(classes=2, numbers=(AGE,))
    labels = Condition({"labels": torch.zeros(B, dtype=torch.int64)})
    assert list(spec.drop(labels, 0.5, draws())) == ["labels"]
