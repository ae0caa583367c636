import dataclasses
import math

import numpy as np
import pytest
import torch

from undrift.codec import (
    Codec,
    CodecConfig,
    Identity,
    IdentityConfig,
    Standardise,
    StandardiseConfig,
    build_codec,
    codec_config,
)
from undrift.errors import DataError, DivergedError, UsageError
from undrift.schema import from_plain, to_plain

CODECS = {
    "identity": Identity(),
    "standardise": Standardise((33.3, 250.0, 0.0), (1.0, 77.7, 0.3)),
}
every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)


def all_levels():
    """Every level in every channel: (1, 3, 16, 16)."""
    return torch.arange(256).to(torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)


@every_codec
def test_round_trip_is_exact_on_all_levels(codec):
    z = codec.encode(all_levels())
    assert z.shape[1:] == codec.latent_shape((3, 16, 16))
    assert z.dtype == torch.float32
    assert torch.equal(codec.decode(z), all_levels())


@every_codec
def test_decoding_rounds_to_the_nearest_level_and_clips(codec):
    levels = torch.tensor([-40.0, -0.4, 0.4, 0.6, 254.6, 300.0], dtype=torch.float64)
    z = codec.encode(levels.view(1, 1, 1, 6).expand(1, 3, 1, 6))
    assert codec.decode(z)[0, 1].flatten().tolist() == [0, 0, 0, 1, 255, 255]


@every_codec
def test_levels_invert_encode_between_levels(codec):
    pixels = 255 * torch.rand(2, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(codec.levels(codec.encode(pixels)), pixels, rtol=1e-12, atol=1e-12)


@every_codec
def test_log_abs_det_is_the_jacobians(codec):
    pixels = 255 * torch.rand(2, 3, 2, 3, dtype=torch.float64)
    told = codec.log_abs_det(codec.encode(pixels))
    for image, number in zip(pixels, told, strict=True):
        jacobian = torch.func.jacrev(lambda flat: codec.encode(flat.view(1, 3, 2, 3)).flatten())(
            image.flatten()
        )
        torch.testing.assert_close(number, torch.linalg.slogdet(jacobian).logabsdet)
    assert told.shape == (2,)
    assert told.dtype == torch.float64


@every_codec
def test_gradients_flow_through_continuous_levels(codec):
    z = torch.zeros(1, 3, 2, 2, requires_grad=True)
    codec.levels(z).sum().backward()
    assert z.grad.min() > 0


@every_codec
def test_what_is_not_finite_is_never_decoded(codec):
    z = torch.zeros(1, 3, 2, 2)
    for broken in (math.nan, math.inf):
        z[0, 0, 0, 0] = broken
        with pytest.raises(DivergedError, match="1 of 12 values are not finite"):
            codec.decode(z)


@dataclasses.dataclass(frozen=True)
class Holder:
    codec: CodecConfig


@every_codec
def test_configuration_survives_plain_data(codec):
    held = Holder(codec_config(codec))
    again = from_plain(Holder, to_plain(held), "test")
    assert again == held
    assert torch.equal(build_codec(again.codec).encode(all_levels()), codec.encode(all_levels()))
    assert not codec.state_dict(), "two sources of the same numbers could disagree"


def test_identity_spans_minus_one_to_one():
    z = Identity().encode(all_levels())
    assert (z.min().item(), z.max().item()) == (-1, 1)
    assert codec_config(Identity(0.7)) == IdentityConfig(sigma_data=0.7)


def test_fit_makes_unit_variance_in_every_channel(monkeypatch):
    rng = np.random.default_rng(0)
    images = rng.integers(0, [256, 60, 4], size=(101, 7, 5, 3)).astype(np.uint8)
    monkeypatch.setattr("undrift.codec.affine.PIXELS_PER_CHUNK", 1000)
    codec = Standardise.fit(images)
    np.testing.assert_allclose(codec.mean.flatten(), images.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(codec.std.flatten(), images.std(axis=(0, 1, 2)), rtol=1e-12)
    z = codec.encode(torch.from_numpy(images).permute(0, 3, 1, 2))
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.std((0, 2, 3), correction=0), torch.ones(3))
    assert codec.sigma_data == 1.0


def test_fit_reads_a_memory_map_in_chunks(tmp_path, monkeypatch):
    """No more than a chunk is ever in memory."""
    images = np.random.default_rng(1).integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)
    np.save(tmp_path / "images.npy", images)
    largest = []
    bincount = np.bincount

    def watched(values, minlength):
        largest.append(values.size)
        return bincount(values, minlength=minlength)

    monkeypatch.setattr(np, "bincount", watched)
    monkeypatch.setattr("undrift.codec.affine.PIXELS_PER_CHUNK", 640)
    codec = Standardise.fit(np.load(tmp_path / "images.npy", mmap_mode="r"))
    assert max(largest) == 640
    assert codec.mean.item() == pytest.approx(images.mean(), rel=1e-12)


def test_a_constant_channel_counts_as_one_level_wide():
    images = np.full((3, 4, 4, 2), 255, dtype=np.uint8)
    images[..., 0] = np.arange(16).reshape(4, 4)
    codec = Standardise.fit(images)
    z = codec.encode(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert codec.std[0, 1].item() == 1.0
    assert z[:, 1].abs().max() == 0
    assert (codec.decode(z + 0.4)[:, 1] == 255).all()


def test_half_precision_is_decoded_in_single():
    codec = Standardise((100.0,), (60.0,))
    z = torch.full((1, 1, 1, 1), 1.5, dtype=torch.bfloat16)
    assert codec.levels(z).dtype == torch.float32
    assert codec.decode(z).item() == 190


@pytest.mark.parametrize(
    "images", [np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 4, 1), np.float32)]
)
def test_fit_refuses_other_images(images):
    with pytest.raises(UsageError, match="wanted uint8"):
        Standardise.fit(images)


def test_fit_refuses_no_images():
    with pytest.raises(DataError, match="at least one"):
        Standardise.fit(np.zeros((0, 4, 4, 1), np.uint8))


@pytest.mark.parametrize(
    ("mean", "std"), [((1.0,), (1.0, 2.0)), ((), ()), ((1.0,), (0.0,)), ((math.nan,), (1.0,))]
)
def test_impossible_statistics_are_refused(mean, std):
    with pytest.raises(UsageError, match="standardise"):
        Standardise(mean, std)


@pytest.mark.parametrize("sigma_data", [0.0, -1.0, math.nan, math.inf])
def test_impossible_sigma_data_is_refused(sigma_data):
    with pytest.raises(UsageError, match="sigma_data"):
        Identity(sigma_data)


def test_images_of_another_kind_are_refused():
    codec = CODECS["standardise"]
    for pixels in (torch.zeros(1, 2, 4, 4), torch.zeros(3, 4, 4), torch.zeros(1, 3, 4, 4).int()):
        with pytest.raises(UsageError, match="encode: images of"):
            codec.encode(pixels)


def test_a_codec_of_ones_own_has_no_configuration():
    class Own(Identity):
        pass

    class Foreign(Codec):
        latent_shape = encode = levels = log_abs_det = lambda self, x: x

    with pytest.raises(UsageError, match="Foreign has no configuration"):
        codec_config(Foreign())
    assert codec_config(Own()) == IdentityConfig()


def test_default_standardise_config_builds():
    assert build_codec(StandardiseConfig()).channels == 1
