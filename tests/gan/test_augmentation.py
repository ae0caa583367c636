"""The controller of adaptive augmentation, by hand."""

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.errors import UsageError
from undrift.gan import AdaptiveProbability, augmentation


def fed(controller, share, batches, batch=10):
    """Feed batches of which ``share`` of the logits are positive."""
    positive = round(share * batch)
    logits = torch.tensor([2.0] * positive + [-0.5] * (batch - positive))
    for _ in range(batches):
        controller.update(logits)
    return float(controller.probability)


def test_p_rises_by_the_images_seen_every_fourth_batch():
    controller = AdaptiveProbability(images=400)
    assert fed(controller, 1.0, 3) == 0
    assert fed(controller, 1.0, 1) == pytest.approx(0.1)  # 40 of 400 images
    assert fed(controller, 1.0, 8) == pytest.approx(0.3)
    assert fed(controller, 0.5, 4) == pytest.approx(0.2)  # a mean sign of 0 is below 0.6
    assert fed(controller, 0.0, 400) == 0


def test_the_target_is_a_mean_sign_not_an_accuracy():
    """70 per cent positive is a mean sign of 0.4: too few; 90 per cent is 0.8: too many."""
    assert fed(AdaptiveProbability(images=400), 0.7, 4) == 0
    assert fed(AdaptiveProbability(images=400), 0.9, 4) > 0


def test_p_stays_where_augmentations_do_not_leak():
    assert fed(AdaptiveProbability(images=40), 1.0, 400) == pytest.approx(0.8)


def test_a_saved_controller_goes_on_as_if_it_had_not_stopped():
    whole, first, second = (AdaptiveProbability(images=400) for _ in range(3))
    fed(first, 1.0, 6)
    second.load_state_dict(first.state_dict())
    assert fed(whole, 1.0, 12) == fed(second, 1.0, 6)


def test_a_controller_of_the_wrong_sign_is_seen():
    wrong = mutated(augmentation, "+ excess.sign()", "- excess.sign()")
    assert fed(wrong.AdaptiveProbability(images=400), 1.0, 8) == 0


def test_impossible_settings_are_refused():
    with pytest.raises(UsageError, match="between -1 and 1"):
        AdaptiveProbability(images=10, target=1.0)
