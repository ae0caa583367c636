"""Maps: what is derived from an image, what "not given" is, and how pixels are encoded."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from undrift.conditioning import Condition, ConditionEncoder, ConditionSpec, MapSpec
from undrift.conditioning.maps import NOT_GIVEN, MapEncoder
from undrift.conditioning.maps.derive import LARGEST_NOISE, edges, grey, hidden_regions
from undrift.errors import UsageError
from undrift.randomness import Draws
from undrift.schema import from_plain, to_plain

H, W = 12, 16
MASK = MapSpec("mask", (1, H, W), values=((0,), (1,), (2,)))
DEPTH = MapSpec("depth", (1, H, W))
EDGES = MapSpec("edges", (1, H, W), "edges")
LOWRES = MapSpec("lowres", (3, H, W), "lowres", factor=4)
MASKED = MapSpec("masked", (3, H, W), "masked")
ALL = (MASK, DEPTH, EDGES, LOWRES, MASKED)


def draws(rows: int = 4, seed: int = 0) -> Draws:
    return Draws(seed, 0, rows, 0, rows)


def photos(rows: int = 4) -> Tensor:
    return torch.randint(
        256, (rows, 3, H, W), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
    )


def encoder(*maps: MapSpec, classes: int = 0) -> ConditionEncoder:
    torch.manual_seed(0)
    return ConditionEncoder(ConditionSpec(classes=classes, maps=maps), 8)


def entries(rows: int = 4) -> Condition:
    """Every map of some photos."""
    given = {
        "map_mask": torch.arange(rows * H * W).view(rows, 1, H, W).remainder(3).to(torch.uint8),
        "map_depth": photos(rows)[:, :1],
    }
    return ConditionSpec(maps=ALL).derived(Condition(given), photos(rows), draws(rows))


def maps_of(made: ConditionEncoder, condition: Condition | None, rows: int = 4) -> Tensor:
    maps = made(condition, rows).maps
    assert maps is not None
    return maps


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_dropped_is_never_given_and_each_value_is_something_else(one: MapSpec) -> None:
    spec, made, condition = ConditionSpec(maps=(one,)), encoder(one), entries()
    (kind,) = spec.map_kinds
    known = spec.select(condition)
    dropped = spec.drop(known, 1.0, draws())
    never = maps_of(made, None)
    assert torch.equal(maps_of(made, dropped), never)
    assert (maps_of(made, known) != never).flatten(1).any(dim=1).all()
    black = torch.zeros_like(known[kind.name])
    assert (maps_of(made, Condition({kind.name: black})) != never).flatten(1).any(dim=1).all()


def test_maps_lie_behind_each_other_and_each_is_dropped_by_itself() -> None:
    spec, made, condition = ConditionSpec(maps=ALL), encoder(*ALL), entries(4000)
    assert made.context_spec.maps == 8 * len(ALL) and made.context_spec.vector == 0
    dropped = spec.drop(condition, 0.2, Draws(3, 5, 4000, 0, 4000))
    gone = torch.stack(
        [(dropped[kind.name] == NOT_GIVEN).flatten(1).all(dim=1) for kind in spec.map_kinds], dim=1
    )
    share = gone.double().mean(dim=0)
    assert torch.allclose(share, torch.full((5,), 0.2 + 0.8 * 0.2).double(), atol=0.03)
    assert abs(gone.all(dim=1).double().mean() - 0.2) < 0.03
    one = condition.with_entry("map_edges", spec.map_kinds[2].null(4000, torch.device("cpu")))
    changed = (maps_of(made, one[:4]) != maps_of(made, condition[:4])).flatten(2).any(dim=2)
    assert changed.any(dim=0).nonzero()[:, 0].tolist() == list(range(16, 24))


def test_classes_are_one_hot_whatever_their_values() -> None:
    one = MapSpec("mask", (3, 1, 2), values=((0, 0, 0), (255, 0, 0), (0, 0, 255)))
    pixels = torch.tensor([[255, 0, 0], [0, 0, 0]], dtype=torch.int16).T.reshape(1, 3, 1, 2)
    planes = MapEncoder(one, 8).planes(pixels)
    assert planes[0, :, 0].T.tolist() == [[0, 1, 0, 1], [1, 0, 0, 1]]
    assert not MapEncoder(one, 8).planes(torch.full_like(pixels, NOT_GIVEN)).any()


def test_values_go_from_minus_one_to_one() -> None:
    planes = MapEncoder(MapSpec("depth", (1, 1, 3)), 8).planes(
        torch.tensor([0, 255, NOT_GIVEN], dtype=torch.int16).view(1, 1, 1, 3)
    )
    assert planes[0].view(2, 3).T.tolist() == [[-1, 1], [1, 1], [0, 0]]


def test_edges_are_thin_lines_where_brightness_jumps_and_nowhere_else() -> None:
    step = torch.zeros(1, 1, 12, 12, dtype=torch.uint8)
    step[..., 5:] = 200
    found = edges(step)
    assert found.unique().tolist() == [0, 255]
    columns = found[0, 0].float().mean(dim=0)
    assert columns.nonzero()[:, 0].tolist() in ([4], [5]) and columns.max() == 255
    assert torch.equal(edges(step.transpose(2, 3)), found.transpose(2, 3))
    assert not edges(torch.full((1, 3, 8, 8), 90, dtype=torch.uint8)).any()
    faint = (step // 20).clamp(max=9)  # under the least gradient
    assert not edges(faint).any()


def test_edges_of_a_disc_lie_on_its_rim() -> None:
    y, x = torch.meshgrid(torch.arange(32) - 15.5, torch.arange(32) - 15.5, indexing="ij")
    distance = (x.square() + y.square()).sqrt()
    found = edges(((distance < 10) * 255).to(torch.uint8)[None, None])[0, 0] > 0
    assert (distance[found] - 10).abs().max() < 1.5
    angles = torch.atan2(y, x)[found]
    around = torch.histc(angles, 16, -math.pi, math.pi)
    assert (around > 0).all() and found.sum() < 2 * 2 * math.pi * 10


def test_edges_of_a_mirror_image_are_nearly_the_mirrored_edges() -> None:
    pixels = photos(8)
    same = edges(pixels.flip(-1)).flip(-1) == edges(pixels)
    assert same.float().mean() > 0.99


def test_grey_is_the_luma() -> None:
    colours = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], dtype=torch.uint8)
    assert grey(colours.T.reshape(1, 3, 2, 2)).flatten().tolist() == [76, 150, 29, 9]


def test_low_resolution_is_the_mean_of_squares_and_carries_the_level_of_its_noise() -> None:
    pixels = photos(400)
    clean = LOWRES.derived(pixels, draws(400), clean=True)
    noisy = LOWRES.derived(pixels, draws(400))
    assert clean is not None and noisy is not None and clean.shape == noisy.shape == (400, 4, H, W)
    squares = pixels.double().unfold(2, 4, 4).unfold(3, 4, 4).mean(dim=(4, 5))
    assert (clean[:, :3, ::4, ::4] - squares).abs().max() <= 0.5
    assert torch.equal(clean[:, :, 1::4, 2::4], clean[:, :, ::4, ::4]) and not clean[:, 3].any()
    level = noisy[:, 3, 0, 0].double()
    assert level.min() < 20 and level.max() > 235
    off = (noisy[:, :3, ::4, ::4].double() - clean[:, :3, ::4, ::4].double()).flatten(1).std(dim=1)
    expected = level / 255 * LARGEST_NOISE
    middle = (level > 50) & (level < 200)  # where few values are cut off at 0 and 255
    ratio = (off[middle] / expected[middle]).mean()
    assert 0.9 < ratio < 1.05


@pytest.mark.parametrize("one", (LOWRES, MASKED), ids=lambda one: one.name)
def test_no_name_is_drawn_twice_as_equal_names_are_dependent_numbers(one: MapSpec) -> None:
    names: list[str] = []

    class Listed(Draws):
        def uniform(self, purpose: str) -> Tensor:
            names.append(purpose)
            return super().uniform(purpose)

        def normal(self, purpose: str, shape: tuple[int, ...]) -> Tensor:
            names.append(purpose)
            return super().normal(purpose, shape)

    one.derived(photos(), Listed(0, 0, 4, 0, 4))
    assert len(names) > 1 and sorted(set(names)) == sorted(names)


def test_holes_leave_something_and_take_something() -> None:
    share = hidden_regions((32, 32), draws(2000), torch.device("cpu")).float().mean(dim=(1, 2, 3))
    assert share.min() > 0 and share.max() < 1
    assert 0.1 < share.mean() < 0.6 and share.std() > 0.05
    entry = MASKED.derived(photos(), draws())
    assert entry is not None
    hidden = hidden_regions((H, W), draws(), torch.device("cpu")).expand_as(entry)
    assert (entry[hidden] == NOT_GIVEN).all()
    assert torch.equal(entry[~hidden], photos()[~hidden].to(torch.int16))


def test_what_is_derived_depends_on_the_row_and_not_on_the_part_of_the_batch() -> None:
    for one in (LOWRES, MASKED):
        whole = one.derived(photos(), draws())
        part = one.derived(photos()[2:], draws().part(2, 4))
        assert whole is not None and part is not None and torch.equal(whole[2:], part)


def test_gradients_reach_the_encoder() -> None:
    made = encoder(*ALL)
    maps_of(made, entries()).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in made.parameters())


def test_a_spec_goes_to_plain_data_and_back() -> None:
    spec = ConditionSpec(classes=3, maps=ALL)
    assert from_plain(ConditionSpec, to_plain(spec), "here") == spec


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MapSpec("lowres", (1, 12, 16), "lowres", factor=5), "5 does not divide images of"),
        (lambda: MapSpec("m", (1, 4, 4), values=((1,), (1,))), "2 classes of 1 values"),
        (lambda: MapSpec("m", (3, 4, 4), values=((1,),)), "wanted 3 numbers for the value"),
        (lambda: MapSpec("a b", (1, 4, 4)), "maps 'a b'"),
        (lambda: ConditionSpec(maps=(MASK, MASK)), "each with a name of its own"),
        (
            lambda: encoder(MASK)(Condition({"map_mask": torch.zeros(1, 1, 3, 3)}), 1),
            "map mask is torch.float32",
        ),
        (
            lambda: encoder(MASK)(Condition({"map_edges": torch.zeros(1, 1, H, W)}), 1),
            "does not understand 'map_edges'",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()
