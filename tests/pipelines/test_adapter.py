"""Adapters on a frozen base: nothing at the start and at strength 0, files, and the wrong base."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from tests.pipelines.models import SMALL_MLP, SMALL_UNET, shaken, small

from undrift.cli.dispatch import main
from undrift.conditioning import MapSpec
from undrift.errors import ModelFileError, UsageError
from undrift.files import manifest
from undrift.networks import TransformerConfig, UNetConfig
from undrift.networks.control import ControlConfig
from undrift.networks.lora import LoRAConfig, LowRank
from undrift.pipelines import DiffusionPipeline, Pipeline
from undrift.pipelines.adapter import (
    AdaptedModel,
    AdapterFacts,
    AdapterPipeline,
    BaseReference,
    peft,
    with_adapters,
)

H, W = 8, 12
EDGES = MapSpec("edges", (1, H, W), "edges")
MASK = MapSpec("mask", (1, H, W), values=((0,), (1,)))
LINES = {"edges": np.eye(H, W, dtype=np.uint8) * 255}
CONTROL, LORA = ControlConfig(), LoRAConfig(rank=3, alpha=6.0)
TRANSFORMER = TransformerConfig(patch=4, width=16, depth=1, heads=2)


def base(config=SMALL_UNET, maps: tuple[MapSpec, ...] = (), seed: int = 0) -> DiffusionPipeline:
    return small(config=config, size=(H, W), maps=maps, seed=seed)


def adapted(of: DiffusionPipeline, shape, path: Path = Path("/base"), fresh: bool = False):
    maps = (EDGES,) if isinstance(shape, ControlConfig) else ()
    facts = AdapterFacts(shape, BaseReference(str(path), of.fingerprint), maps)
    torch.manual_seed(1)
    made = AdapterPipeline(AdaptedModel(of, facts))
    if not fresh:
        shaken(made.weights, 3)
    return made


def given(shape) -> dict:
    return {"maps": LINES} if isinstance(shape, ControlConfig) else {}


@pytest.mark.parametrize("maps", [(), (MASK,)])
@pytest.mark.parametrize("shape", [CONTROL, LORA])
def test_strength_0_and_a_new_adapter_are_the_base_bit_by_bit(shape, maps) -> None:
    model = base(maps=maps)
    own = {"maps": {"mask": np.eye(H, W, dtype=np.uint8)}} if maps else {}
    call = {"labels": "bee", "seed": 4, "guidance": 1.5}
    wanted = model(3, **call, **own).images
    both = {"maps": own.get("maps", {}) | given(shape).get("maps", {})}
    new = adapted(model, shape, fresh=True)
    assert np.array_equal(new(3, **call, **both).images, wanted)
    made = adapted(model, shape)
    assert np.array_equal(made(3, **call, **both, strength=0).images, wanted)
    full = made(3, **call, **both).images
    assert (full != wanted).mean() > 0.1
    half = made(3, **call, **both, strength=0.5)
    assert (half.images != full).any() and half.settings["strength"] == 0.5
    # the strength of one request is not that of the next
    assert np.array_equal(made(3, **call, **both).images, full)
    with torch.no_grad():  # at strength 0 the adapter is not computed at all
        for weight in made.weights.parameters():
            weight.fill_(float("nan"))
    if not isinstance(shape, ControlConfig):  # a map is encoded whatever the strength
        assert np.array_equal(made(3, **call, **both, strength=0).images, wanted)
    else:
        assert np.array_equal(made(3, **call, **own, strength=0).images, wanted)


def test_the_base_is_left_as_it_is() -> None:
    model = base()
    before = model.fingerprint
    made = adapted(model, LORA)
    made(1)
    assert model.fingerprint == before
    assert all(weight.requires_grad for weight in model.weights.parameters())
    assert not any(
        weight.requires_grad
        for name, weight in made.denoiser.network.named_parameters()
        if "lora_" not in name
    )


def test_the_branch_sees_the_base_and_the_base_the_branch() -> None:
    """Both directions of the exchange change images."""
    made = adapted(base(), CONTROL)
    whole = made(2, maps=LINES).images
    branch = made.weights["branch"]
    for convolutions in (branch.inward, branch.outward):
        kept = [weight.detach().clone() for weight in convolutions.parameters()]
        with torch.no_grad():
            for weight in convolutions.parameters():
                weight.zero_()
        assert (made(2, maps=LINES).images != whole).any()
        with torch.no_grad():
            for weight, value in zip(convolutions.parameters(), kept, strict=True):
                weight.copy_(value)
    assert np.array_equal(made(2, maps=LINES).images, whole)


def test_a_control_branch_is_narrow_and_follows_its_map() -> None:
    made = adapted(base(UNetConfig(width=64, multipliers=(1, 2), blocks=1)), CONTROL, fresh=True)
    own, whole = (
        sum(weight.numel() for weight in module.parameters())
        for module in (made.weights, made.denoiser.network)
    )
    assert made.weights["branch"].stages[0].conv_out.out_channels == 16
    assert 0 < own < 0.1 * whole
    follows = adapted(base(), CONTROL)
    other = {"edges": LINES["edges"][::-1].copy()}
    assert (follows(2, maps=other).images != follows(2, maps=LINES).images).any()


@pytest.mark.parametrize("shape", [CONTROL, LORA])
def test_files_hold_the_adapter_alone_and_find_their_base(shape, tmp_path: Path) -> None:
    model = base()
    model.save_pretrained(tmp_path / "base")
    made = adapted(model, shape, tmp_path / "base")
    made.save_pretrained(tmp_path / "adapter")
    loaded = Pipeline.from_pretrained(tmp_path / "adapter")
    assert isinstance(loaded, AdapterPipeline) and loaded.fingerprint == made.fingerprint
    wanted = made(2, labels="bee", **given(shape)).images
    assert np.array_equal(loaded(2, labels="bee", **given(shape)).images, wanted)
    stored = sum(path.stat().st_size for path in (tmp_path / "adapter").glob("*.safetensors"))
    own = sum(4 * weight.numel() for weight in made.weights.state_dict().values())
    assert own < stored < own + 10_000
    again = loaded.with_weights(made.state_dict())
    assert np.array_equal(again(2, labels="bee", **given(shape)).images, wanted)


@pytest.mark.parametrize("shape", [CONTROL, LORA])
def test_another_base_is_refused(shape, tmp_path: Path) -> None:
    model, other = base(), base(seed=5)
    model.save_pretrained(tmp_path / "base")
    adapted(model, shape, tmp_path / "base").save_pretrained(tmp_path / "adapter")
    moved = AdapterPipeline.on(tmp_path / "adapter", model)
    assert moved.fingerprint
    with pytest.raises(UsageError, match=f"this adapter was made for {model.fingerprint[:12]}"):
        AdapterPipeline.on(tmp_path / "adapter", other)
    other.save_pretrained(tmp_path / "base")
    with pytest.raises(ModelFileError, match="another model than the base of this adapter"):
        Pipeline.from_pretrained(tmp_path / "adapter")
    (tmp_path / "base").rename(tmp_path / "away")
    with pytest.raises(ModelFileError, match="base: the base of this adapter is not there"):
        Pipeline.from_pretrained(tmp_path / "adapter")


@pytest.mark.parametrize("config", [SMALL_UNET, TRANSFORMER, SMALL_MLP])
@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_merged_weights_give_the_images_of_the_adapter(config, strength: float) -> None:
    made = adapted(base(config), LORA)
    merged = made.merged(strength)
    assert type(merged) is DiffusionPipeline
    assert merged.state_dict().keys() == base(config).state_dict().keys()
    wanted = made(4, labels="ant", strength=strength).images.astype(int)
    assert np.abs(merged(4, labels="ant").images - wanted).max() <= 1
    assert (base(config)(4, labels="ant").images != wanted).any()


def test_several_low_rank_adapters_are_added_each_with_its_weight() -> None:
    of = base()
    one, other = (adapted(of, LORA) for _ in range(2))
    shaken(other.weights, 4)
    both = with_adapters(of, [(one, 0.7), (other, -0.5)])
    state, changed = (
        of.state_dict(),
        [m.merged(w).state_dict() for m, w in ((one, 0.7), (other, -0.5))],
    )
    for name, tensor in both.state_dict().items():
        wanted = state[name] + sum(part[name] - state[name] for part in changed)
        torch.testing.assert_close(tensor, wanted)
    assert both.fingerprint not in (of.fingerprint, one.merged(0.7).fingerprint)
    same = with_adapters(of, [(one, 1.0), (other, 0.0)])(2, labels="ant").images.astype(int)
    assert np.abs(one(2, labels="ant").images - same).max() <= 1
    for adapters, words in (
        ([(adapted(base(seed=1), LORA), 1.0)], "this adapter was made for"),
        ([(adapted(of, CONTROL), 1.0)], "a control branch is no change"),
        ([(of, 1.0)], "name what `undrift adapt` made"),
    ):
        with pytest.raises(UsageError, match=words):
            with_adapters(of, adapters)
    with pytest.raises(UsageError, match="name the base of the adapters"):
        with_adapters(one, [(other, 1.0)])


def test_adapters_are_named_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    of = base()
    of.save_pretrained("base")
    adapted(of, LORA, tmp_path / "base").save_pretrained("style")
    short = "base --labels ant -n 1 --steps 2 --quiet --out".split()
    for out, words in (("a", []), ("b", ["--adapter", "style:0.5"]), ("c", ["--adapter", "style"])):
        assert main(["sample", *short, out, *words]) == 0
    images = [Path(out, "000000.png").read_bytes() for out in "abc"]
    assert len({*images}) == 3
    for word, line in (("style:much", "wanted a run with a number"), ("base", "name what")):
        assert main(["sample", *short, "d", "--adapter", word]) == 2
        assert line in capsys.readouterr().err


def test_low_rank_matrices_are_added_exactly() -> None:
    """Of a convolution too: y = W x + scale B (A x), to float64 rounding."""
    generator = torch.Generator().manual_seed(0)
    for layer, x in (
        (torch.nn.Conv2d(3, 5, 3, padding=1, stride=2), torch.randn(2, 3, 9, 9)),
        (torch.nn.Linear(4, 6), torch.randn(7, 4, generator=generator)),
    ):
        module = LowRank(layer.double(), LORA).double()
        torch.nn.init.normal_(module.lora_B.weight, generator=generator)
        x = x.double()
        bare, whole = layer(x), module(x)
        torch.testing.assert_close(whole, bare + 2 * module.lora_B(module.lora_A(x)))
        torch.testing.assert_close(module.merged()(x), whole)


def test_low_rank_files_are_those_of_peft(tmp_path: Path) -> None:
    made = adapted(base(), LORA)
    made.save_pretrained(tmp_path / "adapter")
    facts = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert facts["peft_type"] == "LORA" and (facts["r"], facts["lora_alpha"]) == (3, 6)
    assert facts["base_model_name_or_path"] == "/base" and "stem" in facts["target_modules"]
    tensors = safetensors.torch.load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert set(tensors) == {
        f"base_model.model.{layer}.lora_{matrix}.weight"
        for layer in facts["target_modules"]
        for matrix in "AB"
    }
    modules = dict(base().denoiser.network.named_modules())
    for layer in facts["target_modules"]:
        a, b = (tensors[f"base_model.model.{layer}.lora_{matrix}.weight"] for matrix in "AB")
        assert len(a) == b.shape[1] == 3 and len(b) == len(modules[layer].weight)


@pytest.mark.parametrize("config", [SMALL_UNET, TRANSFORMER, SMALL_MLP])
def test_peft_reads_a_low_rank_adapter(config, tmp_path: Path) -> None:
    """Its own reader puts the matrices where ours does: the same network, to rounding."""
    peft_package = pytest.importorskip(
        "peft", reason="NOT TESTED against PEFT: pip install -c constraints.txt -e '.[peft]'"
    )
    model = base(config)
    made = adapted(model, LORA)
    made.save_pretrained(tmp_path / "adapter")
    x, level = torch.randn(2, made.spec.image_shape[0], H, W), torch.tensor([0.3, -0.7])
    with torch.no_grad():
        context = made.encoder(None, 2)
        wanted = made.denoiser.network(x, level, context)
        network = model.denoiser.network.requires_grad_(False)
        assert (network(x, level, context) - wanted).abs().max() > 1e-2
        read = peft_package.PeftModel.from_pretrained(network, tmp_path / "adapter")
        torch.testing.assert_close(read(x, level, context), wanted)


def test_an_edited_configuration_of_peft_is_refused(tmp_path: Path) -> None:
    """PEFT would follow it, so that the same files would be two models."""
    model = base()
    adapted(model, LORA, tmp_path / "base").save_pretrained(tmp_path / "adapter")
    config, listing = (tmp_path / "adapter" / name for name in (peft.CONFIG, manifest.NAME))
    facts = json.loads(config.read_text())
    files = manifest.read_manifest(tmp_path / "adapter", "").listing
    for key, value in (("lora_alpha", 12), ("r", 2), ("use_rslora", True)):
        data = json.dumps(facts | {key: value}).encode()
        config.write_bytes(data)
        listing.write_bytes(manifest.encode(dict(files) | {peft.CONFIG: manifest.facts(data)}))
        with pytest.raises(ModelFileError, match=f"adapter_config.json: {key} is {value}"):
            AdapterPipeline.on(tmp_path / "adapter", model)


def test_what_cannot_be_adapted_is_refused() -> None:
    with pytest.raises(UsageError, match="a control branch needs a U-Net; the base's network is"):
        adapted(base(TRANSFORMER), CONTROL)
    with pytest.raises(UsageError, match="no change of the base's weights"):
        adapted(base(), CONTROL).merged()
    with pytest.raises(UsageError, match="strength -1.0: give 0"):
        adapted(base(), LORA)(1, strength=-1)
    with pytest.raises(UsageError, match="a diffusion model has no such setting"):
        base()(1, strength=1)
