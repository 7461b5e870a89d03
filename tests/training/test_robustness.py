"""Robustness: conditions do what they say, and confidence is judged as it ought to be."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

import tiny_student
from mtl_core.geometry import Intrinsics
from mtl_core.predictor import FakePredictor
from mtl_core.rooms import Room
from mtl_training import cli
from mtl_training.data.sample import Sample
from mtl_training.errors import DatasetError
from mtl_training.evaluate import evaluate
from mtl_training.pseudo.calibrate import Observations
from mtl_training.pseudo.quality import Reliability
from mtl_training.randomness import rng_for
from mtl_training.robustness import measure as measuring
from mtl_training.robustness.conditions import (
    CONDITIONS,
    UNCHANGED,
    Blur,
    Exposure,
    Jpeg,
    NarrowerLens,
    Noise,
    Roll,
)
from mtl_training.robustness.job import Job, spread
from mtl_training.robustness.measure import FITTED, HELD_OUT, Outcome, measure, temperatures
from pseudo_teacher import (
    CAMERA,
    DEPTH,
    SEGMENTATION,
    TASKS,
    Listed,
    overconfident_classes,
    overconfident_depths,
    rooms,
    without,
)

ODD = Intrinsics(110, 80, 90.0, 84.0, 48.0, 43.0)
"""Its axis is off the middle and its pixels are not square."""


def changed(change, sample, seed=0):
    return change(sample, TASKS, np.random.default_rng(seed))


def photographed(pose, camera):
    frame = Room.generate(7).render(pose, camera)
    truth = {"segmentation": frame.labels, "depth": frame.depth, "normals": frame.normals}
    return Sample("a", frame.image, truth, camera)


@pytest.fixture(scope="module")
def pose():
    return Room.generate(7).camera_path(4)[1]


# ---- the view ----------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [5.0, -5.0])
def test_a_roll_is_what_a_camera_sees_that_was_rolled(pose, degrees):
    """The ray-caster is the oracle, up to the pixels at edges."""
    turn = np.radians(degrees)
    rolled = np.eye(4)
    rolled[:2, :2] = [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    found = changed(Roll(degrees), photographed(pose, ODD))
    expected = photographed(pose @ rolled, ODD)
    inside = found.truth["segmentation"] != 255
    assert inside.mean() > 0.85
    np.testing.assert_array_equal(inside, np.isfinite(found.truth["depth"]))
    same = found.truth["segmentation"][inside] == expected.truth["segmentation"][inside]
    assert same.mean() > 0.97
    ratio = found.truth["depth"][inside] / expected.truth["depth"][inside]
    assert np.median(abs(ratio - 1)) < 0.004
    assert (abs(ratio - 1) < 0.03).mean() > 0.95
    cosine = (found.truth["normals"] * expected.truth["normals"]).sum(axis=2)[inside]
    assert np.quantile(cosine, 0.2) > 0.999
    assert found.intrinsics == ODD


def test_a_roll_there_and_back_is_where_it_was():
    sample = rooms().sample(0)
    again = changed(Roll(-5.0), changed(Roll(5.0), sample))
    middle = np.s_[15:-15, 15:-15]
    depth, labels = again.truth["depth"][middle], again.truth["segmentation"][middle]
    assert (labels == sample.truth["segmentation"][middle]).mean() > 0.95
    assert np.median(abs(depth / sample.truth["depth"][middle] - 1)) < 0.005
    smooth = (cv2.blur(one.image, (5, 5)).astype(float) for one in (again, sample))
    difference = np.subtract(*smooth)[middle]
    assert abs(difference).mean() < 4


@pytest.mark.parametrize("camera", [ODD, None])
def test_labels_turn_with_the_image(camera):
    """Each pixel's red says its class: away from edges both say the same after the turn."""
    blocks = np.random.default_rng(0).integers(0, 13, (4, 5)).astype(np.uint8)
    labels = cv2.resize(blocks, (110, 80), interpolation=cv2.INTER_NEAREST)
    image = np.repeat((labels * 20)[..., None], 3, axis=2)
    found = changed(Roll(5.0), Sample("a", image, {"segmentation": labels}, camera))
    said, turned = found.image[..., 0], found.truth["segmentation"]
    flat = cv2.morphologyEx(said, cv2.MORPH_GRADIENT, np.ones((5, 5))) == 0
    pure = flat & (turned != 255)
    assert pure.mean() > 0.5
    np.testing.assert_array_equal(turned[pure], said[pure] // 20)
    assert (turned == 255)[[0, 0, -1, -1], [0, -1, 0, -1]].sum() >= 2


def test_a_narrower_lens_sees_what_a_camera_with_that_lens_sees(pose):
    """Rendered with a camera of its own, 1.5 times as long for its width, metres stay metres."""
    found = changed(NarrowerLens(1.5), photographed(pose, ODD))
    lens = found.intrinsics
    assert lens.fx / lens.width == pytest.approx(1.5 * ODD.fx / ODD.width, rel=0.01)
    expected = photographed(pose, Intrinsics(73, 53, 90.0, 84.0, 48.0 - 18, 43.0 - 14))
    assert lens == expected.intrinsics
    np.testing.assert_array_equal(found.truth["segmentation"], expected.truth["segmentation"])
    np.testing.assert_allclose(found.truth["depth"], expected.truth["depth"], rtol=1e-4)


@pytest.mark.parametrize("told", [True, False])
def test_what_is_told_of_a_lens_is_what_metric_depth_needs(told):
    """A wall with a mark of known size; who measures the mark knows how far the wall is."""
    size_m, wall_m = 0.5, 2.5
    image, half = np.zeros((80, 110, 3), np.uint8), round(size_m / wall_m * CAMERA.fx / 2)
    image[30:50, 55 - half : 55 + half] = 255
    truth = {"depth": np.full((80, 110), wall_m, np.float32)}
    sample = Sample("a", image, truth, CAMERA)
    found = changed(NarrowerLens(1.5, told), sample)
    share = (found.image[..., 0] > 127).any(axis=0).mean()  # of the image's width, as networks see
    measured = size_m * found.intrinsics.fx / found.intrinsics.width / share
    assert measured == pytest.approx(wall_m if told else wall_m / 1.5, rel=0.02)
    assert (found.truth["depth"] == wall_m).all()


# ---- the image ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change", [Exposure(0.5), Exposure(1.5), Blur(2.0), Noise(15.0), Jpeg(20)], ids=repr
)
def test_a_change_of_the_image_keeps_labels_and_camera(change):
    sample = rooms().sample(0)
    found = changed(change, sample)
    assert found.image.shape == sample.image.shape
    assert (found.image != sample.image).any()
    assert found.intrinsics == sample.intrinsics
    assert all(found.truth[name] is labels for name, labels in sample.truth.items())


def test_changes_of_the_image_are_as_large_as_they_say():
    grey = Sample("a", np.full((480, 640, 3), 120, np.uint8), {}, None)
    assert (changed(Exposure(0.5), grey).image == 60).all()
    assert (changed(Exposure(1.5), grey).image == 180).all()
    assert (changed(Exposure(2.5), grey).image == 255).all()
    assert changed(Noise(15.0), grey).image.std() == pytest.approx(15, rel=0.01)
    for width in (640, 320):  # an edge, blurred: the step's steepest slope is that of the Gaussian
        edge = np.zeros((40, width, 3), np.uint8)
        edge[:, width // 2 :] = 200
        blurred = changed(Blur(4.0), Sample("a", edge, {}, None)).image[20, :, 0].astype(float)
        slope = 200 / np.sqrt(2 * np.pi) / (4.0 * width / 640)
        assert np.diff(blurred).max() == pytest.approx(slope, rel=0.06)


def test_jpeg_is_that_of_the_right_colours():
    image = np.full((80, 110, 3), (200, 90, 30), np.uint8)
    found = changed(Jpeg(20), Sample("a", image, {}, None)).image.astype(float)
    assert abs(found - image).max() < 20


def test_other_truth_and_pseudo_labels_are_left_behind():
    found = CONDITIONS[UNCHANGED](rooms().sample(0), [DEPTH], np.random.default_rng(0))
    assert set(found.truth) == {"depth"}


# ---- measuring ---------------------------------------------------------------------------------

TWO = [SEGMENTATION, DEPTH]


def rows(outcomes):
    return {
        (name, task): outcome.errors.rows
        for name, of_tasks in outcomes.items()
        for task, outcome in of_tasks.items()
    }


def test_an_untouched_image_has_exactly_the_figures_of_evaluate():
    found = measure(FakePredictor(), rooms(), TWO, range(4))
    expected = evaluate(FakePredictor(), rooms(), TWO)
    for task in TWO:
        outcome = found[UNCHANGED][task.name]
        assert outcome.errors.figures().items() <= expected.items()
        np.testing.assert_array_equal(outcome.errors.rows, outcome.unchanged.rows)
    assert found["noise 15"]["depth"].errors.rows.shape == (4, 5)


def test_what_is_compared_are_the_same_pixels():
    found = measure(FakePredictor(), rooms(), [DEPTH], range(2))
    for outcome in (of_tasks["depth"] for of_tasks in found.values()):
        np.testing.assert_array_equal(outcome.errors.rows[:, 0], outcome.unchanged.rows[:, 0])
    cut = found["lens x 1.5"]["depth"].unchanged
    whole = found[UNCHANGED]["depth"].errors
    assert (cut.rows[:, 0] < 0.5 * whole.rows[:, 0]).all()


def test_conditions_do_not_depend_on_each_other_or_on_order():
    one = measure(FakePredictor(), rooms(), TWO, [0, 1])
    other = measure(FakePredictor(), rooms(), TWO, [1], dict(reversed(CONDITIONS.items())))
    for key, found in rows(other).items():
        np.testing.assert_array_equal(found[0], rows(one)[key][1])


def test_noise_is_another_one_for_each_image_and_seed():
    sample = rooms().sample(0)
    draws = [(0, "a"), (0, "a"), (0, "b"), (1, "a")]
    first, again, *others = (
        Noise(15.0)(sample, [], rng_for(seed, f"noise 15/{name}")).image for seed, name in draws
    )
    np.testing.assert_array_equal(first, again)
    assert all((first != other).mean() > 0.5 for other in others)


# ---- calibration -------------------------------------------------------------------------------


def drawn(task, draw, t, images=2):
    """An outcome of made observations."""
    outcome = Outcome(task)
    outcome.seen = [draw(np.random.default_rng(seed), t) for seed in range(images)]
    return outcome


@pytest.mark.parametrize(
    ("task", "draw"),
    [(SEGMENTATION, overconfident_classes), (DEPTH, overconfident_depths)],
    ids=["segmentation", "depth"],
)
def test_the_calibration_error_is_that_of_the_confidence(task, draw):
    assert drawn(task, draw, 1.0).reliability(1.0).ece() < 0.01
    outcome = drawn(task, draw, 3.0)
    found = temperatures({task.name: outcome})[task.name]
    before, after = (outcome.reliability(t, HELD_OUT).ece() for t in (1.0, found))
    assert before > 0.15
    assert after < 0.01


def test_no_image_that_judges_a_temperature_was_fitted():
    outcome = drawn(SEGMENTATION, overconfident_classes, 3.0)
    others = drawn(SEGMENTATION, overconfident_classes, 0.5)
    mixed = drawn(SEGMENTATION, overconfident_classes, 3.0)
    mixed.seen[HELD_OUT] = others.seen[HELD_OUT]
    one, two = (temperatures({"segmentation": some}) for some in (outcome, mixed))
    assert one == two
    assert temperatures({"segmentation": outcome}) != temperatures({"segmentation": others})
    assert len(mixed.seen[FITTED]) + len(mixed.seen[HELD_OUT]) == len(mixed.seen)


def test_reliability_counts_pixels():
    confidence = np.array([0.1, 0.1, 0.9, 0.9, 0.9, 0.9])
    right = np.array([False, False, True, True, True, False])
    assert Reliability.of(confidence, right).ece() == pytest.approx(
        (2 * 0.1 + 4 * 0.15) / 6, abs=0.005
    )
    nothing = Outcome(DEPTH)
    nothing.seen = [_without_pixels()]
    assert np.isnan(nothing.reliability(1.0).ece())


def _without_pixels():
    seen = overconfident_depths(np.random.default_rng(0), 1.0)
    none = {name: values[..., :0] for name, values in seen.passes[0].items()}
    return Observations((none,), seen.truth[:0])


def test_both_halves_need_truth():
    outcomes = measure(FakePredictor(), without(rooms(), "depth", of=[1, 2, 3]), TWO, range(4))
    with pytest.raises(
        DatasetError, match=r"2 images or more with truth of depth expected, .* got 1"
    ):
        temperatures(outcomes[UNCHANGED])
    blank = rooms().sample(1)
    blank = replace(blank, truth={"depth": np.full_like(blank.truth["depth"], np.nan)})
    half = Listed([rooms().sample(0), blank])
    with pytest.raises(DatasetError, match="2 images or more with truth of depth"):
        temperatures(measure(FakePredictor(), half, [DEPTH], range(2))[UNCHANGED])


# ---- the command -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def few_resamples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "RESAMPLES", 40)
        yield


@pytest.fixture(scope="module")
def report(tmp_path_factory, data_folder, few_resamples):
    folder = tmp_path_factory.mktemp("robustness")
    model = tiny_student.write(folder / "tiny.onnx")
    data, out = str(data_folder / "nyuv2"), folder / "out"
    assert cli.main(["robustness", str(model), data, "--split", "fit", "--out", str(out)]) == 0
    return out


def test_the_command_writes_all_there_is_to_know(report):
    found = json.loads((report / "robustness.json").read_text())
    assert (found["model"], found["split"], found["images"]) == ("tiny", "fit", 4)
    assert found["temperatures"].keys() == {"segmentation", "depth"}
    assert list(found["conditions"]) == list(CONDITIONS)
    for of_tasks in found["conditions"].values():
        assert of_tasks["segmentation"]["difference"].keys() == {"miou"}
        depth = of_tasks["depth"]
        one = depth["difference"]["rmse"]
        assert one["low"] <= one["difference"] <= one["high"]
        assert one["difference"] == pytest.approx(
            depth["figures"]["rmse"] - depth["unchanged"]["rmse"]
        )
        assert 0 <= depth["ece"] <= 1
        assert depth["ece_held_out"].keys() == {"before", "after"}
    table = (report / "robustness.md").read_text().splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in table[-len(CONDITIONS) :]] == [*CONDITIONS]


def test_the_tiny_students_depth_follows_the_lens_it_is_told(report):
    """It reads depth from colour, for its canonical camera: told another one, it says so."""
    conditions = json.loads((report / "robustness.json").read_text())["conditions"]
    told, untold = (conditions[name] for name in ("lens x 1.5", "lens x 1.5, not told"))
    assert told["segmentation"]["figures"] == untold["segmentation"]["figures"]
    assert told["depth"]["figures"] != untold["depth"]["figures"]


def test_the_pictures_show_each_condition(report):
    sheet = cv2.imread(str(report / "robustness.jpg"))
    bar = 26
    assert sheet.shape == (len(CONDITIONS) * (180 + bar), 3 * 3 * 240, 3)
    first, darker = (sheet[top + bar : top + bar + 180, :240].mean() for top in (0, 180 + bar))
    assert darker == pytest.approx(first / 2, rel=0.1)
    assert cv2.imread(str(report / "reliability.png")) is not None


def test_a_teacher_is_measured_with_the_image_alone(tmp_path, data_folder, few_resamples):
    model = tiny_student.write_teacher(tmp_path / "teacher.onnx")
    found = Job(model, str(data_folder / "nyuv2"), "fit", limit=2).run(tmp_path / "out")
    assert found["images"] == 2
    assert list(found["conditions"]) == list(CONDITIONS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--limit", "1"], "limit: 2 images or more expected, got 1"),
        (["--seed", "-1"], "seed: 0 or more expected, got -1"),
        (["--split", "val"], "2 images or more with truth of segmentation expected"),
        (["--split", "nothing"], "no such list of images"),
    ],
)
def test_bad_input_is_said(words, message, tmp_path, data_folder, capsys):
    model = tiny_student.write(tmp_path / "tiny.onnx")
    out = tmp_path / "out"
    words = ["robustness", str(model), str(data_folder / "nyuv2"), "--out", str(out), *words]
    assert cli.main(words) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_limit_takes_images_from_all_over():
    assert spread(range(10), 4) == [0, 2, 5, 7]
    assert spread(range(3), 9) == spread(range(3), None) == [0, 1, 2]
