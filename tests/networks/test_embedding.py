import pytest
import torch

from undrift.errors import UsageError
from undrift.networks.embedding import FourierFeatures


def test_features_have_unit_variance_and_tell_close_levels_apart():
    features = FourierFeatures(64).double()
    levels = torch.linspace(-2.5, 2.5, 1001, dtype=torch.float64)
    table = features(levels)
    assert table.square().mean(dim=1).sub(1).abs().max() < 1e-6
    distance = (table[1:] - table[:-1]).norm(dim=1)
    assert distance.min() > 0.02
    alike = torch.cdist(table, table) + 10 * torch.eye(1001, dtype=torch.float64)
    assert alike.min() > 0.02, "two levels look the same"


def test_features_are_not_blurred_by_autocast():
    features = FourierFeatures(16)
    c_noise = torch.tensor([2.499])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(features(c_noise), FourierFeatures(16)(c_noise))


@pytest.mark.parametrize("count", [0, 3])
def test_odd_counts_are_refused(count):
    with pytest.raises(UsageError, match="even number"):
        FourierFeatures(count)
