"""Where the samplers cut, on labels whose every pixel is known."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from known_labels import Labels, drawn_labels, fit_labels, window
from scipy.ndimage import label

from geohier.config.load import load_config
from geohier.config.schema import TrainConfig
from geohier.data import prepare as preparing
from geohier.data.chips import fit_chips
from geohier.data.label_cells import LabelCells, drawing_rates
from geohier.data.label_objects import TOUCHING, find_objects
from geohier.data.labels import IGNORE_INDEX
from geohier.data.prepare import prepare
from geohier.data.samplers import HardPlaces, LabelPlaces, ObjectPlaces
from geohier.data.sampling import Field, RandomPlaces, index_at, sample_rng
from geohier.errors import ConfigError, LabelError
from geohier.geo.window import Window

SIDE = 32

shapes = st.tuples(st.integers(1, 150), st.integers(1, 150))


def sparse(shape: tuple[int, int] = (300, 300)) -> Labels:
    """Return labels of which 0.03 % of the pixels are known: class 0 ten times as often as 1."""
    labels = np.full(shape, IGNORE_INDEX, np.uint8)
    labels[200:205, 60:65] = 0
    labels[20, 280:282] = 1
    return labels


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6).filter(sum), st.floats(1, 50))
def test_classes_are_drawn_alike_except_those_that_would_pass_the_cap(
    sizes: list[float], cap: float
) -> None:
    shares = np.array(sizes) / sum(sizes)
    rates = drawing_rates(shares, cap)
    assert rates.sum() == pytest.approx(1)
    assert (rates <= cap * shares + 1e-9).all()
    below = rates < cap * shares - 1e-9
    if below.any():
        assert rates[below].tolist() == pytest.approx([rates.max()] * int(below.sum()))


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20).filter(sum), st.floats(0, 1))
def test_what_has_no_weight_is_never_drawn_however_sums_are_rounded(
    weights: list[float], share: float
) -> None:
    assert weights[index_at(np.cumsum(weights), share)] > 0


def test_a_cap_of_one_draws_every_labelled_pixel_alike() -> None:
    shares = [0.7, 0.2, 0.1]
    assert drawing_rates(shares, 1).tolist() == pytest.approx(shares)


@given(st.integers(0, 99), shapes, st.integers(1, 60))
def test_a_pixel_is_drawn_of_the_class_that_is_asked_for(
    seed: int, shape: tuple[int, int], most: int
) -> None:
    """However large the cells are made by a limit on their number."""
    labels = drawn_labels(seed, shape, [0.2, 0.05])
    cells = LabelCells(fit_labels(labels), 2, most=most)
    rng = np.random.default_rng(seed)
    for index in (0, 1):
        if (labels == index).any():
            scene, row, col = cells.point(rng, index)
            assert (scene, labels[row, col]) == (0, index)


def test_each_labelled_pixel_comes_up_equally_often_wherever_it_lies() -> None:
    """Ten pixels in one cell, two in another, three in another scene."""
    one, other = np.full((2, 200, 200), IGNORE_INDEX, np.uint8)
    one[5, :10], one[190, 190:192], other[100, 100:103] = 0, 0, 0
    cells = LabelCells(fit_labels(one, other), 1)
    rng = np.random.default_rng(0)
    drawn = Counter(cells.point(rng, 0) for _ in range(6000))
    assert len(drawn) == 15
    assert max(drawn.values()) < 1.3 * 400
    assert min(drawn.values()) > 0.7 * 400


def test_scenes_of_few_labels_are_evened_out_where_the_config_says_so() -> None:
    one, other = np.full((2, 100, 100), IGNORE_INDEX, np.uint8)
    one[0, :90], other[0, :10] = 0, 0
    rng = np.random.default_rng(0)
    for weights, expected in (("area", 0.9), ("equal", 0.5)):
        cells = LabelCells(fit_labels(one, other), 1, weights)  # type: ignore[arg-type]
        share = np.mean([cells.point(rng, 0)[0] == 0 for _ in range(2000)])
        assert share == pytest.approx(expected, abs=0.04)


def test_cells_are_few_and_windows_small_however_large_a_scene_is() -> None:
    labels = fit_labels(drawn_labels(0, (1500, 2600), [0.5, 0.1]))
    cells = LabelCells(labels, 2, most=40)
    assert len(cells.cells) <= 20
    assert labels.scenes[0].largest <= 1024**2  # type: ignore[attr-defined]


@pytest.mark.parametrize("cap", [1.0, 100.0])
def test_every_chip_holds_labels_though_hardly_any_pixel_has_one(cap: float) -> None:
    scene = sparse()
    labels = fit_labels(scene)
    cells = LabelCells(labels, 2)
    places = LabelPlaces(labels.fields, SIDE, (1, 1), cells=cells, cap=cap)
    rng = np.random.default_rng(0)
    chips = [scene[places.draw(rng).window.slices] for _ in range(400)]
    assert all((chip != IGNORE_INDEX).any() for chip in chips)
    rare = np.mean([(chip == 1).any() for chip in chips])
    assert rare == pytest.approx(0.5 if cap > 1 else 2 / 27, abs=0.06)


def test_what_a_chip_was_drawn_for_lies_anywhere_around_its_middle() -> None:
    scene = sparse()
    labels = fit_labels(scene)
    places = LabelPlaces(labels.fields, SIDE, (1, 1), cells=LabelCells(labels, 2), cap=1)
    rng = np.random.default_rng(0)
    rows = {int(places.draw(rng).window.row_off) for _ in range(300)}
    assert len(rows) >= SIDE / 2


def test_labels_outside_the_fit_area_are_never_drawn() -> None:
    scene = np.zeros((100, 100), np.uint8)
    scene[:, 50:] = 1
    labels = fit_labels(scene, parts=[window(100, 50)])
    assert LabelCells(labels, 2).shares.tolist() == [1, 0]
    assert not find_objects(labels, [0])[:, 2].max() >= 50
    with pytest.raises(LabelError, match="no pixel of the classes"):
        find_objects(labels, [1])


def test_a_fit_area_without_labels_is_refused() -> None:
    labels = fit_labels(np.full((50, 50), IGNORE_INDEX, np.uint8))
    with pytest.raises(LabelError, match="no labelled pixel"):
        LabelPlaces(labels.fields, SIDE, (1, 1), cells=LabelCells(labels, 2))


@given(st.integers(0, 99), shapes, st.sampled_from([0.1, 0.4, 0.6, 0.9]), st.integers(1, 40))
def test_objects_are_those_of_the_whole_scene_however_it_is_cut(
    seed: int, shape: tuple[int, int], share: float, side: int
) -> None:
    """One pixel of each connected region of each class, whatever windows are read."""
    scene = drawn_labels(seed, shape, [0.0, share / 2, share / 2])
    if not np.isin(scene, [1, 2]).any():
        return
    found = find_objects(fit_labels(scene), [1, 2], side)
    hit = []
    for index in (1, 2):
        regions, count = label(scene == index, TOUCHING)
        of_class = [regions[row, col] for _, row, col in found if scene[row, col] == index]
        assert sorted(of_class) == list(range(1, count + 1))
        hit += of_class
    assert len(hit) == len(found)


def test_an_object_on_a_seam_is_found_in_the_midst_of_its_larger_piece() -> None:
    scene = np.zeros((40, 20), np.uint8)
    scene[18:35, 5:8] = 1
    assert find_objects(fit_labels(scene), [1], 20).tolist() == [[0, 27, 6]]


def two_objects() -> Labels:
    scene = np.zeros((300, 300), np.uint8)
    scene[10:150, 10:150] = 1
    scene[250:253, 250:253] = 1
    return scene


def test_a_small_object_is_shown_as_often_as_a_large_one() -> None:
    labels = fit_labels(two_objects())
    objects = find_objects(labels, [1])
    places = ObjectPlaces(labels.fields, SIDE, (1, 1), objects=objects, factors=np.ones(1))
    rng = np.random.default_rng(0)
    chips = [places.draw(rng).window for _ in range(400)]
    small = np.mean([chip.row_off > 150 for chip in chips])
    assert small == pytest.approx(0.5, abs=0.07)
    assert all((two_objects()[chip.slices] == 1).any() for chip in chips)


def hard_places(length: int = 40, share: float = 0.5) -> HardPlaces:
    field = Field(height=500, width=500, parts=(window(500, 500),))
    return HardPlaces(RandomPlaces([field], SIDE, (0.5, 2)), share, seed=3, length=length)


def drawn(places: RandomPlaces, epoch: int, count: int = 40) -> list[Window]:
    return [places.draw(sample_rng(3, epoch, at)).window for at in range(count)]


def remember(places: HardPlaces, epoch: int, losses: list[float]) -> None:
    chips = [places.first_drawn(epoch, at) for at in range(len(losses))]
    places.remember(torch.tensor(chips), torch.tensor(losses))


def test_a_share_of_the_chips_is_drawn_again_by_their_last_loss() -> None:
    places = hard_places(400)
    first = drawn(places, 0, 400)
    assert len(set(first)) == 400
    remember(places, 0, [3.0 if at in (7, 9) else 0.0 for at in range(400)])
    second = drawn(places, 1, 400)
    again = Counter(one for one in second if one in set(first))
    assert set(again) == {first[7], first[9]}
    assert again.total() / 400 == pytest.approx(0.5, abs=0.08)
    assert again[first[7]] / again.total() == pytest.approx(0.5, abs=0.12)


def test_a_chip_can_be_drawn_again_in_every_epoch_after() -> None:
    places = hard_places()
    hardest = drawn(places, 0)[5]
    remember(places, 0, [float(at == 5) for at in range(40)])
    for epoch in range(1, 5):
        now = drawn(places, epoch)
        assert hardest in now
        remember(places, epoch, [float(one == hardest) for one in now])


def test_a_sampler_that_has_been_told_the_same_draws_the_same() -> None:
    """A run that goes on has nothing but what is remembered."""
    places = hard_places()
    rng = np.random.default_rng(0)
    losses = np.where(rng.random(40) < 0.2, np.nan, rng.random(40)).tolist()
    remember(places, 0, losses)
    fresh = hard_places()
    fresh.remember(*places.memory)
    assert drawn(fresh, 1) == drawn(places, 1)
    assert drawn(fresh, 1) != drawn(hard_places(), 1)


def test_only_the_epoch_before_is_remembered() -> None:
    places = hard_places()
    remember(places, 0, [1.0] * 40)
    remember(places, 1, [2.0, 3.0])
    assert places.memory[1].tolist() == [2, 3]


def test_chips_without_a_loss_are_forgotten() -> None:
    places = hard_places()
    remember(places, 0, [np.nan] * 40)
    assert drawn(places, 1) == drawn(hard_places(), 1)


@pytest.mark.parametrize("kind", ["labelled", "objects", "hard"])
def test_what_is_drawn_depends_on_seed_epoch_and_index_alone(kind: str) -> None:
    """So processes that take every other index share an epoch without a repeat or a loss."""
    labels = fit_labels(two_objects())
    cells = LabelCells(labels, 2)
    objects = find_objects(labels, [1])
    made = {
        "labelled": lambda: LabelPlaces(labels.fields, SIDE, (0.5, 2), cells=cells, cap=3),
        "objects": lambda: ObjectPlaces(
            labels.fields, SIDE, (0.5, 2), objects=objects, factors=np.ones(1)
        ),
        "hard": hard_places,
    }[kind]
    whole = drawn(made(), 0)
    ranks = [
        [made().draw(sample_rng(3, 0, at)).window for at in range(rank, 40, 2)] for rank in (0, 1)
    ]
    assert [one for pair in zip(*ranks, strict=True) for one in pair] == whole


@pytest.mark.parametrize("share", [0.25, 0.0], ids=["in memory", "from files"])
def test_a_config_says_which_chips_are_cut(
    add_scene: Callable[..., None],
    make_config: Callable[..., TrainConfig],
    monkeypatch: pytest.MonkeyPatch,
    share: float,
) -> None:
    """Hardly a pixel is labelled: uniform chips miss the labels, the others never do."""
    monkeypatch.setattr(preparing, "MEMORY_SHARE", share)
    masks = [sparse(), sparse().T]
    rng = np.random.default_rng(0)
    for name, mask in zip("ab", masks, strict=True):
        add_scene(name, rng.integers(1, 255, (1, 300, 300), dtype="uint8"), mask)
    blocks = {"block_px": 150, "buffer_px": 0}
    hits, rare = {}, {}
    for sampler in ("uniform", "labelled", "balanced", "objects"):
        config = make_config(
            chips={"size_px": 32, "per_epoch": 60, "sampler": sampler},
            augment={"scale": [1, 1]},
            training=blocks,
        )
        chips = fit_chips(prepare(config), config)
        masks_of_chips = [chips[at]["mask"] for at in range(60)]
        hits[sampler] = np.mean([bool((one != IGNORE_INDEX).any()) for one in masks_of_chips])
        rare[sampler] = np.mean([bool((one == 1).any()) for one in masks_of_chips])
    assert hits["uniform"] < 0.5
    assert hits["labelled"] == hits["balanced"] == hits["objects"] == 1
    assert rare["labelled"] < 0.3
    assert rare["balanced"] > 0.3
    assert rare["objects"] == 1, "objects are of all classes but the commonest"


@pytest.mark.parametrize(
    ("chips", "says"),
    [
        ({"object_classes": ["rooff"]}, "chips.object_classes: rooff is no class"),
        ({"object_classes": []}, "chips.object_classes"),
        ({"balance_cap": 0.5}, "chips.balance_cap"),
        ({"sampler": "balansed"}, "chips.sampler"),
    ],
)
def test_what_is_wrong_with_a_sampler_is_said_in_one_line(
    tmp_path: Path, chips: dict[str, object], says: str
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"data": {"classes": {0: "ground", 1: "roof"}}, "chips": chips}))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
