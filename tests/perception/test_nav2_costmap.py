"""`mtl-costmap-config`: costmaps follow from a model's classes, and the shipped ones too."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import tiny_student
from mtl_core.labels import LabelMap
from mtl_perception import topics
from mtl_perception.errors import PerceptionError
from mtl_perception.nav2 import config, rules
from mtl_perception.nav2.costmap import LAYERS, Robot, costmaps
from mtl_perception.nav2.costs import LEVELS, CostTable
from mtl_perception.nav2.parameter_file import read_layers
from mtl_perception.nav2.verdict import Outcome
from mtl_perception.resources import share_path

NYU13 = LabelMap.load("nyu13")
COSTS = share_path("config", "nav2", "costs")
SHIPPED = share_path("config", "nav2", "nav2_params.yaml")

DOCUMENT = Path(__file__).parents[2] / "docs" / "nav2.md"
LEVEL = [[name] for name in LEVELS]

LAYER = {
    "plugin",
    "enabled",
    "combination_method",
    "observation_sources",
    "publish_debug_topics",
    "use_approximate_time_sync",
}
SOURCE = {
    "segmentation_topic",
    "confidence_topic",
    "labels_topic",
    "pointcloud_topic",
    "observation_persistence",
    "expected_update_rate",
    "class_types",
    "max_obstacle_distance",
    "min_obstacle_distance",
    "tile_map_decay_time",
    "visualize_tile_map",
    "use_cost_selection",
}
GROUP = {
    "classes",
    "base_cost",
    "max_cost",
    "mark_confidence",
    "samples_to_max_cost",
    "dominant_priority",
}
"""What SemanticSegmentationLayer::onInitialize declares (274c713 of its branch jazzy)."""


def written(*words: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What the command prints."""
    assert config.main(words) == 0
    text = capsys.readouterr().out
    assert "&id" not in text  # rcl reads no aliases
    return dict(yaml.safe_load(text))


def parameters(content: dict[str, Any], name: str = "local_costmap") -> dict[str, Any]:
    return dict(content[name][name]["ros__parameters"])


def test_the_shipped_example_has_exactly_the_generated_costmaps(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shipped = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    generated = written(capsys=capsys)
    assert generated.keys() == {"local_costmap", "global_costmap"}
    assert {name: shipped[name] for name in generated} == generated


def test_the_semantic_layer_has_exactly_the_parameters_that_its_code_declares() -> None:
    content = costmaps("semantic", Robot(), CostTable.load(NYU13))
    for name in content:
        layer = parameters(content, name)["semantic_layer"]
        assert layer.keys() == LAYER | {"camera"}
        assert layer["camera"].keys() == SOURCE | set(layer["camera"]["class_types"])
        for group in layer["camera"]["class_types"]:
            assert layer["camera"][group].keys() == GROUP


def test_topics_are_those_that_the_node_publishes() -> None:
    content = parameters(costmaps("semantic", Robot(), CostTable.load(NYU13)))
    source = content["semantic_layer"]["camera"]
    assert {name: topic for name, topic in source.items() if name.endswith("_topic")} == {
        "segmentation_topic": f"/{topics.MASK}",
        "confidence_topic": f"/{topics.CONFIDENCE}",
        "labels_topic": f"/{topics.LABEL_INFO}",
        "pointcloud_topic": f"/{topics.POINTS}",
    }
    assert topics.POINTS == "depth/points"
    for kind in ("obstacle", "voxel"):
        content = parameters(costmaps(kind, Robot(), CostTable.load(NYU13)))
        assert content[f"{kind}_layer"]["camera"]["topic"] == f"/{topics.POINTS}"


def test_each_camera_is_a_source_with_topics_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--cameras", "front", "rear/rgb", "--namespace", "/robot")
    expected = dict.fromkeys(LAYERS, "front front_clear rear_rgb rear_rgb_clear")
    for kind, sources in {**expected, "semantic": "front rear_rgb"}.items():
        content = parameters(written(*words, "--layer", kind, capsys=capsys))
        assert content[f"{kind}_layer"]["observation_sources"] == sources
        assert content[f"{kind}_layer"].keys() > set(sources.split())
    content = parameters(written(*words, capsys=capsys))["semantic_layer"]
    assert content["rear_rgb"]["segmentation_topic"] == "/robot/rear/rgb/segmentation/mask"
    with pytest.raises(PerceptionError, match="each once"):
        Robot(cameras=["a/b", "a_b"])


@pytest.mark.parametrize("kind", ["obstacle", "voxel"])
def test_the_floor_clears_and_does_not_mark(kind: str) -> None:
    """Nav2's ObservationBuffer drops points outside a source's heights before it does either."""
    layer = parameters(costmaps(kind, Robot(), CostTable.load(NYU13)))[f"{kind}_layer"]
    sources = [layer[name] for name in layer["observation_sources"].split()]
    assert {source["topic"] for source in sources} == {f"/{topics.POINTS}"}
    for height_m, uses in {
        -0.2: {"clearing"},
        0.1: {"clearing"},
        1.0: {"marking", "clearing"},
    }.items():
        kept = [
            source
            for source in sources
            if source["min_obstacle_height"] <= height_m <= source["max_obstacle_height"]
        ]
        assert {use for one in kept for use in ("marking", "clearing") if one[use]} == uses


def test_cameras_whose_names_would_clash_are_two_sources_of_the_semantic_layer() -> None:
    content = costmaps("semantic", Robot(cameras=["a", "a_clear"]), CostTable.load(NYU13))
    assert parameters(content)["semantic_layer"]["observation_sources"] == "a a_clear"


def test_the_folder_of_the_output_is_made(tmp_path: Path) -> None:
    path = tmp_path / "out" / "deep" / "costmaps.yaml"
    assert config.main(["--out", str(path)]) == 0
    assert read_layers(path)


def test_frames_and_clock_are_those_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--odom-frame", "o", "--map-frame", "m", "--base-frame", "b", "--use-sim-time")
    content = written(*words, capsys=capsys)
    local, world = parameters(content), parameters(content, "global_costmap")
    assert (local["global_frame"], local["robot_base_frame"], local["rolling_window"]) == (
        *("o", "b"),
        True,
    )
    assert (world["global_frame"], world["use_sim_time"], local["use_sim_time"]) == (
        *("m", True),
        True,
    )


def test_classes_are_those_of_the_models_own_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = replace(tiny_student.card(), label_map=LabelMap.load("cityscapes19"))
    model = tiny_student.write(tmp_path / "street.onnx", card)
    content = parameters(written("--model", str(model), capsys=capsys))
    source = content["semantic_layer"]["camera"]
    assert source["class_types"] == ["free", "caution", "lethal"]
    named = [name for group in source["class_types"] for name in source[group]["classes"]]
    assert sorted(named) == sorted(LabelMap.load("cityscapes19").classes)


@pytest.mark.parametrize("path", sorted(COSTS.glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("kind", LAYERS)
def test_what_is_generated_keeps_the_rules_of_parameters(
    kind: str, path: Path, tmp_path: Path
) -> None:
    table = CostTable.load(LabelMap.load(path.stem))
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(costmaps(kind, Robot(), table)))
    if kind != "semantic":
        with pytest.raises(PerceptionError, match="no layer of a costmap has 'plugin: semantic_"):
            read_layers(file)
        return
    layers = read_layers(file)
    assert len(layers) == 2
    for layer in layers:
        outcomes = {verdict.outcome for verdict in rules.in_parameters(layer)}
        assert outcomes == {Outcome.PASS}


def test_what_is_in_the_way_is_lethal_and_what_is_driven_on_is_free() -> None:
    table = CostTable.load(NYU13)
    assert table.groups["free"] == ("floor", "ceiling")
    assert {NYU13.classes[i] for i in table.ids("lethal")} >= {"wall", "chair", "table", "bed"}
    assert table.ids("caution") == ()
    assert LEVELS["lethal"].max_cost == 254  # LETHAL_OBSTACLE, which alone is inflated
    assert LEVELS["free"].max_cost == 0


def test_the_document_shows_the_levels_and_a_table_as_they_are(tmp_path: Path) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    (head,) = [row[1:] for row in rows if row[:1] == ["level"]]
    shown = {row[0]: [yaml.safe_load(cell) for cell in row[1:]] for row in rows if row[:1] in LEVEL}
    assert shown == {name: [asdict(level)[key] for key in head] for name, level in LEVELS.items()}
    assert set(head) == asdict(LEVELS["free"]).keys()
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(example)
    assert CostTable.load(NYU13, tmp_path / "mine.yaml").groups["caution"] == ("books",)


def table_of(text: str, folder: Path) -> CostTable:
    (folder / "mine.yaml").write_text(text)
    return CostTable.load(LabelMap.load("cityscapes7"), folder / "mine.yaml")


ALL = "free: [flat, sky]\nlethal: [construction, object, nature, human, vehicle]\n"
NAMES = "flat, construction, object, nature, sky, human, vehicle"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            ALL.replace("flat, ", ""),
            f"classes without a level: flat; expected each of {NAMES} once",
        ),
        (ALL.replace("flat", "flat, wall"), f"not of cityscapes7: wall; expected each of {NAMES}"),
        (ALL + "caution: [sky]", "classes with two levels: sky; expected"),
        (ALL + "wet: [sky]", "unknown levels wet; there are free, caution, lethal"),
        ("free: flat", r"expected 'LEVEL: \[CLASS, ...\]' lines, got {'free': 'flat'}"),
        ("- flat", r"expected 'LEVEL: \[CLASS, ...\]' lines"),
        ("free: [", "mine.yaml: while parsing"),
    ],
)
def test_a_table_that_does_not_fit_says_what_would(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(PerceptionError, match=said):
        table_of(text, tmp_path)


def test_an_own_table_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.yaml"
    others = [name for name in NYU13.classes if name not in ("floor", "books")]
    file.write_text(yaml.safe_dump({"free": ["floor"], "caution": ["books"], "lethal": others}))
    content = parameters(written("--costs", str(file), capsys=capsys))
    source = content["semantic_layer"]["camera"]
    assert source["caution"]["classes"] == ["books"]
    assert source["caution"]["max_cost"] == LEVELS["caution"].max_cost


def test_a_label_map_without_a_table_names_those_that_have_one() -> None:
    with pytest.raises(
        PerceptionError, match="'nyu40', only for camvid11, cityscapes19, cityscape"
    ):
        CostTable.load(LabelMap.load("nyu40"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "none.onnx"), "none.onnx"),
        (("--costs", "none.yaml"), "cost table none.yaml"),
        (("--cameras", "a", "a"), "each once, got ['a', 'a']"),
        (
            ("--layer", "voxel", "--cameras", "a", "a_clear"),
            "expected no name with _clear beside one without, got a and a_clear",
        ),
        (("--out", "/dev/null/costmap.yaml"), "/dev/null"),
    ],
)
def test_what_cannot_be_used_is_said(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert config.main(words) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("mtl-costmap-config: ")
    assert said in captured.err
    assert not captured.out
