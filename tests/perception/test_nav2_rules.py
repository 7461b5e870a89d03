"""The rules of Nav2's semantic layer, each broken by the least that breaks it."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import clouds
from mtl_bags.compose import Stamped, image, label_info
from mtl_core.labels import UNLABELLED, LabelMap
from mtl_perception.errors import PerceptionError
from mtl_perception.nav2 import rules
from mtl_perception.nav2.check import main
from mtl_perception.nav2.costmap import SEMANTIC, Robot, costmaps
from mtl_perception.nav2.costs import LEVELS, CostTable
from mtl_perception.nav2.heard import Heard, Labels
from mtl_perception.nav2.parameter_file import Layer, read_layers
from mtl_perception.nav2.verdict import LAWS, Outcome, Verdict

NYU13 = LabelMap.load("nyu13")
START_NS, STEP_NS = 1_700_000_000 * 10**9, 100_000_000
WIDTH, HEIGHT = 6, 4
LATCHED = ("reliable", "transient_local")


def mask_of(stamp_ns: int) -> np.ndarray:
    mask = np.full((HEIGHT, WIDTH), stamp_ns // STEP_NS % len(NYU13), np.uint8)
    mask[0, :2] = UNLABELLED
    return mask


def heard(count: int = 3) -> Heard:
    """What keeps every rule: two pixels of each frame are unlabelled."""
    stamps = [START_NS + n * STEP_NS for n in range(count)]
    masks = [mask_of(stamp) for stamp in stamps]
    points = np.ones((HEIGHT, WIDTH, 3), np.float32)
    points[0, :2] = np.nan
    headers = [Stamped(stamp, "camera") for stamp in stamps]
    return Heard(
        masks=[image(m, "mono8", h) for m, h in zip(masks, headers, strict=True)],
        confidences=[
            image(np.where(m == UNLABELLED, 0, 200).astype(np.uint8), "mono8", h)
            for m, h in zip(masks, headers, strict=True)
        ],
        points=[clouds.cloud(points, stamp_ns=stamp) for stamp in stamps],
        labels=Labels([label_info(NYU13, headers[0])], [LATCHED]),
        silent=[],
        now_ns=stamps[-1] + STEP_NS,
        clocks=0,
    )


def layer(**changes: Any) -> Layer:
    """The generated layer; changes are of the camera's parameters."""
    node = costmaps("semantic", Robot(), CostTable.load(NYU13))["local_costmap"]["local_costmap"]
    parameters = node["ros__parameters"]["semantic_layer"]
    parameters["camera"].update(changes)
    return Layer("local", "/local_costmap", parameters, use_sim_time=False)


def judge(what: Heard, of: Layer | None = None) -> dict[str, Verdict]:
    of = of or layer()
    by_source = {source.where: what for source in of.sources()}
    found = [*rules.on_topics(what, of.sources()), *rules.in_parameters(of, by_source)]
    return {verdict.law: verdict for verdict in found}


def broken(what: Heard, of: Layer | None = None) -> dict[str, str]:
    return {law: v.said for law, v in judge(what, of).items() if v.outcome is Outcome.FAIL}


def test_each_law_is_judged_and_kept() -> None:
    verdicts = judge(heard())
    assert verdicts.keys() == LAWS.keys()
    assert {verdict.outcome for verdict in verdicts.values()} == {Outcome.PASS}
    assert verdicts["rule 5"].said == "6 unlabelled pixels in 3 frames"


def test_a_layer_without_confidence_needs_none() -> None:
    assert broken(replace(heard(), confidences=None)) == {}


def with_points(**fields: Any) -> Heard:
    what = heard()
    return replace(what, points=[replace(one, **fields) for one in what.points])


def test_rule_1_a_cloud_of_another_shape_is_another_size() -> None:
    faults = broken(with_points(width=HEIGHT, height=WIDTH, row_step=HEIGHT * 12))
    assert faults == {"rule 1": "points of 4x6, expected the mask's 6x4"}


def test_rule_2_rows_that_end_in_other_bytes_are_misread() -> None:
    what = heard()
    padded = [
        replace(one, step=8, data=np.zeros(8 * HEIGHT, np.uint8)) for one in what.confidences or ()
    ]
    said = broken(replace(what, confidences=padded))
    assert said == {"rule 2": "confidence of 6x4 has step 8 and 32 bytes, expected 6 and 24"}
    claimed = [replace(one, step=8) for one in what.masks]
    said = broken(replace(what, masks=claimed))
    assert said == {"rule 2": "mask of 6x4 has step 8 and 24 bytes, expected 6 and 24"}


def late(message: Any, ns: int) -> Any:
    stamp = replace(message.header.stamp, nanosec=message.header.stamp.nanosec + ns)
    return replace(message, header=replace(message.header, stamp=stamp))


def test_rule_3_a_nanosecond_is_another_stamp() -> None:
    what = heard()
    said = broken(replace(what, confidences=[late(one, 1) for one in what.confidences or ()]))
    assert said.keys() == {"rule 3"}
    assert "confidence comes no nearer to a mask's stamp than 0.000 ms" in said["rule 3"]


def test_rule_3_a_lost_message_breaks_nothing() -> None:
    what = heard()
    assert broken(replace(what, points=what.points[1:])) == {}
    said = judge(replace(what, points=what.points[1:]))["rule 3"].said
    assert said == "2 of 3 masks found their fellows"


def test_rule_3_most_masks_have_their_fellows() -> None:
    what = heard(9)
    off = [one if n % 9 == 0 else late(one, 10**6) for n, one in enumerate(what.points)]
    said = broken(replace(what, points=off))
    assert said == {"rule 3": "1 of 9 masks found their fellows; expected the same stamp"}


def test_a_fault_that_comes_and_goes_is_named() -> None:
    """Whichever of three frames it is in."""
    what = heard()
    for bad in range(3):

        def spoilt(messages: Any, bad: int = bad, **fields: Any) -> list[Any]:
            return [replace(one, **fields) if n == bad else one for n, one in enumerate(messages)]

        turned = spoilt(what.points, width=HEIGHT, height=WIDTH, row_step=HEIGHT * 12)
        said = broken(replace(what, points=turned))
        assert said == {"rule 1": "points of 4x6, expected the mask's 6x4"}
        assert broken(replace(what, masks=spoilt(what.masks, step=8))).keys() == {"rule 2"}
        said = broken(replace(what, masks=spoilt(what.masks, encoding="8UC1")))
        assert said == {"encoding": "mask is '8UC1', expected 'mono8'"}
        fields = [field for field in what.points[0].fields if field.name != "z"]
        said = broken(replace(what, points=spoilt(what.points, fields=fields)))
        assert said.keys() == {"encoding"}


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (Labels(heard().labels.infos * 2, [LATCHED]), "2 messages arrived, expected 1"),
        (Labels(heard().labels.infos, [LATCHED] * 2), "2 publishers, expected 1"),
        (
            Labels(heard().labels.infos, [("reliable", "volatile")]),
            "published reliable and volatile, expected reliable and transient_local",
        ),
        (Labels([], []), "0 publishers, expected 1; 0 messages arrived, expected 1"),
    ],
)
def test_rule_4_label_info_is_latched_and_comes_once(labels: Labels, said: str) -> None:
    assert broken(replace(heard(), labels=labels)) == {"rule 4": said}


def test_rule_4_each_layer_that_reads_it_has_costs_for_each_class() -> None:
    other = layer()
    other.parameters["camera"]["lethal"]["classes"].remove("window")
    verdict = rules.labels(heard(), [*layer().sources(), *other.sources()])
    assert verdict.said == "no costs in local.camera for window, expected each class's"


def test_rule_5_counts_pixels_that_are_unlabelled_but_sure_or_placed() -> None:
    what = heard()
    sure = [image(np.full((HEIGHT, WIDTH), 1, np.uint8), "mono8", Stamped(START_NS, "camera"))]
    said = broken(replace(what, confidences=sure))
    assert said == {"rule 5": "2 of 2 pixels of mask 255 have a confidence above 0, expected 0"}
    point = np.full((HEIGHT, WIDTH, 3), np.nan, np.float32)
    point[0, 0, 2] = 1.0
    said = broken(replace(what, points=[clouds.cloud(point, stamp_ns=START_NS)]))
    assert said == {"rule 5": "1 of 2 pixels of mask 255 have finite x, y or z, expected NaN"}


def test_a_silent_topic_is_named_and_what_needs_it_is_not_judged() -> None:
    verdicts = judge(replace(heard(), points=[], silent=["nothing on /depth/points"]))
    assert verdicts["topics"].outcome is Outcome.FAIL
    unknown = {law for law, verdict in verdicts.items() if verdict.outcome is Outcome.SKIP}
    assert unknown == {"rule 1", "rule 2", "rule 3", "rule 5", "encoding"}


def test_encodings_are_named() -> None:
    what = heard()
    masks = [replace(one, encoding="8UC1") for one in what.masks]
    assert broken(replace(what, masks=masks)) == {"encoding": "mask is '8UC1', expected 'mono8'"}
    fields = [field for field in what.points[0].fields if field.name != "z"]
    assert "fields x, y and z" in broken(with_points(fields=fields))["encoding"]
    wide = clouds.cloud(np.ones((HEIGHT, WIDTH, 3)), tuple((axis, "f8") for axis in "xyz"))
    said = broken(replace(what, points=[wide]))["encoding"]
    assert said.endswith("{'x': 8, 'y': 8, 'z': 8}, expected 7 (FLOAT32)")


def test_ids_without_a_name_and_costs_without_a_class_are_named() -> None:
    what = heard()
    few = replace(what.labels.infos[0], class_map=what.labels.infos[0].class_map[:1])
    said = broken(replace(what, labels=Labels([few], [LATCHED])))["classes"]
    ids = sorted({START_NS // STEP_NS % 13 + n for n in range(3)} - {0})
    assert f"masks hold ids {ids}, expected those of label_info, [0]" in said
    assert "local.camera has costs for books, ceiling, chair" in said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("max_cost", 255, "max_cost is 255, expected a whole number from 0 to 254"),
        ("base_cost", 64.0, "base_cost is 64.0, expected a whole number from 0 to 254"),
        ("mark_confidence", 255, "mark_confidence is 255, expected a whole number from 0 to 254"),
        ("samples_to_max_cost", -1, "samples_to_max_cost is -1, expected a whole number from 0"),
        ("samples_to_max_cost", 51, "samples_to_max_cost is 51, expected at most the 50 frames"),
    ],
)
def test_rule_6_a_cost_that_is_never_reached_is_named(name: str, value: Any, said: str) -> None:
    of = layer()
    of.parameters["camera"]["lethal"][name] = value
    faults = broken(heard(), of)
    assert faults.keys() == {"rule 6"}
    assert f"local.camera.lethal: {said}" in faults["rule 6"]


@pytest.mark.parametrize("decay", ["5", True, 0, -1.0, [5.0], None, float("nan"), float("-inf")])
def test_rule_6_a_decay_is_a_time(decay: Any) -> None:
    faults = broken(heard(), layer(tile_map_decay_time=decay))
    assert faults == {
        "rule 6": f"local.camera: tile_map_decay_time is {decay!r}, "
        "expected a number of seconds above 0"
    }


def test_each_source_is_judged_by_what_arrives_for_it() -> None:
    """One camera is slow and of another clock, one is not, and of a third there is nothing."""
    of = layer()
    of.parameters.update(
        observation_sources="camera slow other",
        slow=layer().parameters["camera"],
        other=layer().parameters["camera"],
    )
    stamps = [START_NS, START_NS + 10**11]
    masks = [image(mask_of(stamp), "mono8", Stamped(stamp, "camera")) for stamp in stamps]
    slow = replace(heard(), masks=masks, now_ns=START_NS + 10**11)
    by_source = {"local.camera": heard(), "local.slow": slow, "another.costmap": slow}
    said = rules.costs(of, by_source).said
    assert "local.slow.lethal: samples_to_max_cost is 3, expected at most the 0 frames" in said
    assert said.count("samples_to_max_cost") == 1
    old = replace(slow, now_ns=START_NS + 10**12)
    said = rules.structure(of, {**by_source, "local.slow": old}).said
    assert said.startswith("local.slow: masks are 900.0 s old")
    assert said.count("masks are") == 1
    verdicts = rules.in_parameters(of, {"local.camera": heard(), "another.costmap": old})
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASS] * 2
    assert verdicts[0].said == "6 groups at 10.0 Hz"


@given(st.integers(0, 255), st.lists(st.integers(0, 255), min_size=1, max_size=8))
def test_rule_6_refuses_exactly_the_marks_that_no_mean_confidence_is_above(
    mark: int, confidences: list[int]
) -> None:
    group = {**vars(LEVELS["lethal"]), "mark_confidence": mark}
    kept = not list(rules._costs(group, 5.0, 0.0))
    if np.mean(confidences) > mark:
        assert kept
    assert kept == (mark < 255)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"class_types": ["free", "lethal", "wet"]}, "local.camera has no wet, expected them"),
        ({"labels_topic": ""}, "local.camera has no labels_topic, expected them"),
        ({"labels_topic": 5}, "local.camera.labels_topic is 5, expected a topic's name"),
        ({"free": {"classes": 5}}, "local.camera has no free, expected them"),
        ({"free": {"classes": "floor"}}, "local.camera has no free, expected them"),
        ({"class_types": 3}, "local.camera.class_types is 3, expected a list of names"),
        ({"class_types": "free"}, "local.camera.class_types is 'free', expected a list of names"),
    ],
)
def test_rule_7_what_a_source_names_is_there(changes: dict[str, Any], said: str) -> None:
    assert rules.structure(layer(**changes)).said == said


@pytest.mark.parametrize("value", [["camera"], "", None, 5, True])
def test_rule_7_sources_are_one_string(value: Any) -> None:
    of = layer()
    of.parameters["observation_sources"] = value
    said = rules.structure(of).said
    assert f"observation_sources is {value!r}, expected one string" in said


def test_rule_7_a_source_without_parameters_is_named() -> None:
    of = layer()
    of.parameters["observation_sources"] = "camera rear"
    assert "local.rear has no segmentation_topic, labels_topic" in rules.structure(of).said


def test_rule_7_the_clock_is_the_images() -> None:
    old = replace(heard(), now_ns=START_NS + 3600 * 10**9)
    assert "expected use_sim_time true and a player with --clock" in broken(old)["rule 7"]
    simulated = replace(layer(), use_sim_time=True)
    assert "nobody publishes /clock" in broken(old, simulated)["rule 7"]
    assert broken(replace(old, clocks=1), simulated) == {}


def test_a_relative_topic_lies_in_the_costmaps_namespace(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    source = {"segmentation_topic": "mask", "labels_topic": "/labels"}
    node = {"seen": {"plugin": SEMANTIC, "observation_sources": "eye", "eye": source}}
    file.write_text(yaml.safe_dump({"/robot/local": {"costmap": {"ros__parameters": node}}}))
    (of,) = read_layers(file)
    (eye,) = of.sources()
    assert eye.where == "robot.local.costmap.seen.eye"
    assert eye.topic("segmentation_topic") == "/robot/local/mask"
    assert eye.topic("labels_topic") == "/labels"
    assert eye.topic("confidence_topic") == ""


SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.dates(), st.binary())
)
VALUES = SCALARS | st.recursive(SCALARS, st.lists, max_leaves=5)
LOCAL = costmaps("semantic", Robot(), CostTable.load(NYU13))["local_costmap"]


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands, the whole apart."""
    inside = content.items() if isinstance(content, dict) else enumerate(content)
    below = [
        place
        for key, value in inside
        if isinstance(value, dict | list)
        for place in places(value, (*path, key))
    ]
    keys = content if isinstance(content, dict) else range(len(content))
    return [*((*path, key) for key in keys), *below]


@given(place=st.sampled_from(places({"costmap": LOCAL})), value=VALUES)
def test_any_value_in_any_place_is_judged_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[Any, ...], value: Any
) -> None:
    content = copy.deepcopy({"costmap": LOCAL})
    inside: Any = content
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    assert main([str(file), "--parameters-only"]) in (0, 1)


@pytest.mark.parametrize(
    "text", ["a: 2024-13-45", "", "a: [", "a: {ros__parameters: {plugins: [x]}}"]
)
def test_a_file_without_a_semantic_layer_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(PerceptionError, match=r"mine\.yaml: "):
        read_layers(tmp_path / "mine.yaml")
    assert main([str(tmp_path / "mine.yaml"), "--parameters-only"]) == 1


def test_parameters_are_checked_without_ros(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = costmaps("semantic", Robot(), CostTable.load(NYU13))
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(content))
    assert main([str(file), "--parameters-only"]) == 0
    assert "4 passed, 0 failed, 0 not checked" in capsys.readouterr().out
    node = content["global_costmap"]["global_costmap"]["ros__parameters"]
    node["semantic_layer"]["observation_sources"] = ["camera"]
    file.write_text(yaml.safe_dump(content))
    assert main([str(file), "--parameters-only"]) == 1
    assert "FAIL  rule 7" in capsys.readouterr().out


def test_one_topic_for_two_things_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(costmaps("semantic", Robot(), CostTable.load(NYU13))))
    assert main([str(file), "--mask", "/depth/points"]) == 1
    assert "expected a topic each" in capsys.readouterr().err
