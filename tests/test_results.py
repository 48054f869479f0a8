"""The results page and the figures behind it."""

import json
import math
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from bench_modules import bench_module
from PIL import Image

from geohier.config.ablation import read_variants
from geohier.config.hierarchy import HierarchyConfig
from geohier.config.load import load_config
from geohier.config.model import ModelConfig
from geohier.data.catalog import read_catalog
from geohier.data.labels import IGNORE_INDEX
from geohier.errors import ModelError
from geohier.models.encoders import build_encoder
from geohier.models.hierarchy import HierarchicalSegmenter
from geohier.models.sampled import SampledSegmenter
from geohier.models.segmentation import build_segmenter

REPOSITORY = Path(__file__).resolve().parent.parent
BENCH = REPOSITORY / "tests" / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The renderer."""
    with bench_module("render", monkeypatch) as module:
        yield module


FIGURES = {"parameters": 3e6, "flops_per_px": 7500, "seconds_per_step": 0.5, "steps": 9}
LEVELS = [
    {"iou_without": iou, "effective_rank": rank, "gradient_norm": norm, "cka_with_next": cka}
    for iou, rank, norm, cka in ((-0.05, 80.0, 0.002, 0.9), (-0.01, 90.0, 0.005, None))
]
ABLATION = {
    "judge": "choose",
    "seeds": [0, 1],
    "variants": [
        {
            "variant": "merge=gated",
            "mean": 0.6,
            "scores": {"0": 0.5, "1": 0.7},
            "difference": {"mean": 0.1, "low": -0.1, "high": 0.3},
            "figures": FIGURES | {"megapixels": 24},
            "levels": LEVELS,
            "still_rising": 1,
        },
        {"variant": "fusion=none", "mean": None},
    ],
}


def run(seed: int, right: list[int], **more: object) -> dict[str, object]:
    """Return a run with so many right pixels of 10 in each class of each block."""
    blocks = [[[hits, 10 - hits], [10 - hits, hits]] for hits in right]
    counts = np.sum(blocks, axis=0)
    iou = float(counts[0, 0] / (counts.sum() - counts[1, 1]))
    share = float(np.trace(counts) / counts.sum())
    scores = {name: {"iou": iou, "f1": share} for name in ("ground", "roof")}
    pooled = {"macro_iou": iou, "macro_f1": share, "accuracy": share, "classes": scores}
    course = {"epochs": 20, "best_epoch": 19, "still_rising": True, "steps": 9, "seconds": 60}
    model = {"parameters": 10**6, "margins_px": {"95": 56}, "tile_dependent": False}
    return {
        "seed": seed,
        "encoder": "resnet18",
        "downsample": 1,
        "megapixels": 1.0,
        "choose_mean_iou": iou,
        "machine": dict.fromkeys(("processor", "memory", "gpu", "versions"), "some"),
        "val": {"classes": ["ground", "roof"], "pooled": pooled},
        "blocks": {"a": blocks[:1], "b": blocks[1:]},
        **course,
        **model,
        **more,
    }


def test_a_summary_has_means_spreads_ranges_and_the_paired_difference(bench: ModuleType) -> None:
    fpn = [run(0, [10, 10, 10]), run(1, [10, 5, 10])]
    unet = [run(0, [5, 5, 5])]

    decoders = import_module("comparisons").COMPARISONS["buildings"]
    found = import_module("summary").of_comparison(
        "buildings", decoders, {"fpn": fpn, "unet": unet}
    )

    ours, theirs = found["variants"]["fpn"], found["variants"]["unet"]
    assert ours["iou"]["roof"] == {
        "mean": pytest.approx((1 + 25 / 35) / 2, abs=1e-6),
        "low": pytest.approx(25 / 35),
        "high": 1.0,
        "seeds": 2,
    }
    assert ours["iou_range_95"]["macro"]["n"] == 3
    assert ours["iou_range_95"]["macro"]["low"] < ours["iou"]["macro"]["mean"]
    assert theirs["iou_range_95"]["roof"]["low"] == theirs["iou_range_95"]["roof"]["high"]
    [difference] = found["differences"]
    assert difference["seeds"] == [0]
    assert difference["iou"]["roof"]["value"] == pytest.approx(1 - 5 / 15, abs=1e-6)
    page = "\n".join(import_module("scores").describe(found))
    assert "| fpn, roof | 0.8571 | 0.7143 to 1.0000 |" in page
    assert "roof +0.6667 (+0.6667 to +0.6667, clear of 0)" in page


def test_a_comparison_names_its_command_and_its_cells(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = import_module("compare")
    arguments = compare.read_arguments(["sampling-coast", "--summary", "--runs", str(tmp_path)])
    cells = [cell for _, _, cell in compare.chosen_cells(arguments)]
    assert [cell.folder.name for cell in cells[:2]] == ["coast-balanced-0", "coast-uniform-0"]
    assert "chips.sampler=balanced" in compare.training_command(cells[0])
    for cell in cells:
        cell.folder.mkdir()
        cell.scores.write_text(json.dumps(run(cell.seed, [10, 7, 10])))
    (tmp_path / "docs" / "results").mkdir(parents=True)
    monkeypatch.setattr(compare, "REPOSITORY", tmp_path)
    monkeypatch.setattr(bench, "DOCS", tmp_path / "docs")
    compare.write_summary("sampling-coast", tmp_path)
    page = (tmp_path / "docs" / "results.md").read_text()
    assert "`python tests/bench/compare.py sampling-coast`" in page
    assert "number of steps for each sampler" in page
    assert "IoU of balanced - uniform on the same blocks, seeds 0, 1, 2" in page


def test_runs_of_one_name_are_runs_of_one_config(bench: ModuleType) -> None:
    known: dict[tuple[str, str], tuple[str, ...]] = {}
    for one in import_module("comparisons").COMPARISONS.values():
        assert {label for pair in one.pairs for label in pair} <= set(one.variants)
        for variant in one.variants.values():
            key = (one.config, variant.run)
            assert known.setdefault(key, variant.overrides) == variant.overrides


def test_every_variant_is_a_config(bench: ModuleType, tmp_path: Path) -> None:
    compare = import_module("compare")
    arguments = compare.read_arguments(["--summary", "--seed", "0", "--runs", str(tmp_path)])
    for _, _, cell in compare.chosen_cells(arguments):
        overrides = [*cell.overrides, f"data_root={tmp_path}"]
        assert load_config(compare.config_path(cell.config), overrides).training.seed == 0


def test_scores_against_shares_of_labels_are_drawn(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "DOCS", tmp_path)
    (tmp_path / "results").mkdir()
    summary, known = import_module("summary"), import_module("comparisons").COMPARISONS
    shares = {"1 %": [run(0, [2, 2, 2])], "100 %": [run(0, [9, 9, 9]), run(1, [7, 7, 7])]}
    found = summary.of_comparison("labels-trees", known["labels-trees"], shares)
    (tmp_path / "results" / "labels-trees.json").write_text(json.dumps(found))

    points = import_module("share_plot")._points({"labels-trees": found}, "trees")
    assert points["random", "roof"][1]["mean"] == pytest.approx(2 / 18)
    assert points["random", "roof"][100]["low"] == pytest.approx(7 / 13)

    bench.main()
    assert "(images/labels-trees.png)" in (tmp_path / "results.md").read_text()
    with Image.open(tmp_path / "images" / "labels-trees.png") as picture:
        assert len(picture.convert("RGB").getcolors(10**6)) > 8


def test_an_ablation_is_told_with_its_ranges_costs_and_levels(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ablations = import_module("ablations")
    monkeypatch.setattr(ablations, "REPOSITORY", tmp_path)
    monkeypatch.setattr(bench, "DOCS", tmp_path / "docs")
    for folder in ("docs/results", "docs/images", "ablate-parts"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "ablate-parts" / "ablation.png").write_bytes(b"a picture")
    (tmp_path / "ablate-parts" / "ablation.json").write_text(json.dumps(ABLATION))

    ablations.write_summary("parts", tmp_path)

    page = (tmp_path / "docs" / "results.md").read_text()
    assert "## Ablation: parts" in page
    assert "`geohier ablate configs/hierarchy.yaml --axes" in page
    row = "| merge=gated | 0.6000 | 0.5000 to 0.7000 | +0.1000 | -0.1000 to +0.3000 | 3.00 | 7.5 |"
    assert row in page
    assert "| merge=gated | -0.050 -0.010 | 80 90 | 2.0 5.0 | 0.90 |" in page
    assert "Not run: fusion=none." in page
    assert (tmp_path / "docs" / "images" / "ablation-parts.png").read_bytes() == b"a picture"


def test_ablations_are_of_configs_and_axes_that_exist(bench: ModuleType) -> None:
    for study in import_module("ablations").STUDIES.values():
        assert (REPOSITORY / "configs" / f"{study.config}.yaml").is_file()
        files = [str(REPOSITORY / "configs" / "ablations" / f"{one}.yaml") for one in study.axes]
        assert read_variants(files)


def test_whole_objects_are_told_by_size_with_each_level_left_out(bench: ModuleType) -> None:
    by_size, mask = import_module("by_size"), torch.zeros(64, 64, dtype=torch.int64)
    mask[8:16, 8:16], mask[40:, 30:40], mask[30:40, 40:50], mask[29, 44] = 1, 1, 1, IGNORE_INDEX
    parts = HierarchyConfig(levels=3, merge="gated")
    config = ModelConfig(decoder="hierarchy", encoder="resnet10t", hierarchy=parts)
    network = HierarchicalSegmenter(build_encoder(config, 3, 4), config, 2).eval()
    chip = {"image": torch.rand(3, 64, 64), "mask": mask, "scene": "one"}

    [(pixels, recalls, level)] = by_size.in_chip(network, chip, 1)  # others are cut

    found = network(chip["image"][None])[0].argmax(0) == 1
    assert pixels == 64
    assert recalls[0] == pytest.approx(float(found[8:16, 8:16].float().mean()))
    assert len(recalls) == 1 + 3
    assert 0 <= level <= 2
    sizes = by_size.by_bins([(5.0, [0.5, 0.2, 0.4, 0.5], 1.5), (7.0, [0.9, 0.8, 0.8, 0.9], 0.5)])
    lines = import_module("by_size_table").describe(
        {"command": "x", "remark": "", "found": {"class": "roof", "sizes": sizes}}
    )
    assert "| 4 to 8 | 2 | 0.700 | -0.200 | -0.100 | +0.000 | 1.00 |" in [*lines]


def test_models_are_given_as_the_page_says(bench: ModuleType) -> None:
    shown, path = import_module("val_chips").shown, Path("/some/runs/study/cells/a-0/model")
    assert shown([path]) == "--model runs/study/cells/a-0/model"
    assert shown({"mean:8": path}) == "--model mean:8=runs/study/cells/a-0/model"


def test_outlines_calibration_and_noise_are_told_of_each_model(bench: ModuleType) -> None:
    mask = torch.zeros(32, 32, dtype=torch.int64)
    mask[8:24, 8:24], mask[:, 31] = 1, IGNORE_INDEX
    image = torch.where(mask == 1, 1.0, -1.0).expand(3, 32, 32).clone()
    image[:, :, 30] = 0
    chips = [{"image": image, "mask": mask, "scene": "one"}]

    class Threshold(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            assert bool((image[..., 30] == 0).all()), "what is invalid stays so"
            return torch.stack([-image[:, 0], image[:, 0]], dim=1)

    scores = import_module("robustness").measure(Threshold(), chips, 2, 1)

    assert [one["noise"] for one in scores] == [0, 0.1, 0.25, 0.5]
    assert scores[0]["iou"] == scores[0]["boundary_f1"]["1"] == 1
    assert scores[0]["calibration_error"] == pytest.approx(1 - 1 / (1 + math.exp(-2)), abs=0.03)
    assert scores[1]["iou"] > scores[3]["iou"]
    document = {"command": "x", "remark": "", "found": {"class": "roof", "models": {"a": scores}}}
    lines = [*import_module("robustness_table").describe(document)]
    assert any(line.startswith("| a | 1.0000 | 1.0000 | 1.0000 | 1.0000 | 0.1") for line in lines)


def test_each_scene_is_judged_by_networks_that_saw_all_others(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_out, compare = import_module("left_out"), import_module("compare")
    folder = tmp_path / "data" / "hot_buildings"
    for scene in "ab":
        for kind in ("images", "masks"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            (folder / kind / f"{scene}.tif").touch()
    lines = [f"{scene},train,images/{scene}.tif,masks/{scene}.tif" for scene in "ab"]
    (folder / "split.csv").write_text("\n".join(["scene,split,image,mask", *lines]))
    root = f"data_root={tmp_path / 'data'}"
    found = left_out.cells(left_out.STUDIES["buildings"], [0, 1], tmp_path, root)
    for (label, scene, seed), cell in found.items():
        data = load_config(compare.config_path(cell.config), [*cell.overrides, root]).data
        catalog = read_catalog(data)
        assert [one.id for one in catalog.val] == [scene]
        assert scene not in [one.id for one in catalog.train]
        right = [9, 8] if label == "hierarchy" else [6, 5]
        one = run(seed, [7]) | {"blocks": {scene: [[[n, 10 - n], [0, 10]] for n in right]}}
        if seed == 0:  # the other is underway
            cell.folder.mkdir()
            cell.scores.write_text(json.dumps(one))

    document = left_out.summarise("buildings", found)

    assert document["seeds"] == [0]
    page = "\n".join(import_module("left_out_table").describe(document))
    assert "| a | 0.8696 | 0.6897 |" in page  # 20 / 23 and 20 / 29
    assert "clear of 0" in page
    assert "fpn: 9 steps, 1 Mpx, 2 of 2 runs still rising" in page


def test_what_was_not_measured_is_said_to_be_so(bench: ModuleType, tmp_path: Path) -> None:
    assert bench.page(tmp_path).count("Not measured.") == len(bench.BENCHES)


def test_the_results_page_says_what_the_result_files_say(bench: ModuleType) -> None:
    page = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    assert page == bench.page(REPOSITORY / "docs" / "results")


def test_training_throughput_is_a_share_of_bare_steps(bench: ModuleType) -> None:
    one = {"threads": 2, "precision": "bf16", "device": "cpu", "workers": 1, "size_px": 256}
    rates = {"training": 9.0, "in_memory": 10.0, "waiting": 0.03, "processor": 0.88}
    found = {"steps": 8, "turns": 3, "runs": {"buildings": one | rates, "trees": None}}
    page = "\n".join(bench.BENCHES["throughput"].describe(found))
    assert "| buildings | 256 | 9.00 | 10.00 | 0.900 | 0.880 | 3.0% |" in page
    assert "trees" not in page
    none = bench.BENCHES["throughput"].describe(found | {"runs": {"trees": None}})
    assert "\n".join(none) == "Not measured: $GEOHIER_DATA was no folder of the data sets."


def test_what_a_memory_brings_is_told_with_its_range(bench: ModuleType) -> None:
    kept, wiped = (np.array([[[5, 0], [0, hits]]] * 2) for hits in (4, 2))
    wiped[:, 1, 0] = 2
    scores = import_module("wiped_memory").compare([(kept, wiped)] * 2, ["ground", "roof"])
    assert [one["class"] for one in scores] == ["ground", "roof", "macro"]
    document = {"command": "x", "remark": "", "found": {"models": 2, "scores": scores}}
    lines = [*import_module("wiped_memory_table").describe(document)]
    assert "| roof | 1.0000 | 0.5000 | +0.5000 (+0.5000 to +0.5000) |" in lines


def test_several_draws_are_one_answer(bench: ModuleType) -> None:
    values = {"encoder": "test_resnet", "decoder": "hierarchy", "pyramid_channels": 8}
    drawing = values | {"hierarchy": {"latents": {"levels": 2}}}
    networks = [build_segmenter(ModelConfig.model_validate(one), 3, 2) for one in (values, drawing)]
    without, network = (one.eval() for one in networks)
    torch.nn.init.normal_(network.get_parameter("latents.projects.1.weight"))
    image, seen = torch.rand(1, 3, 64, 64), import_module("draws").MeanOfDraws
    with torch.no_grad():
        one, two = (SampledSegmenter(network, seed)(image).softmax(1) for seed in (0, 1))
        found = seen(network, 2)(image)
    assert not torch.equal(one, two)
    torch.testing.assert_close(found.exp(), (one + two) / 2)
    with pytest.raises(ModelError, match="has no latents"):
        seen(without, 2)
