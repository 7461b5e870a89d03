"""The scale that a sensor tells on line: what is read, what is paired, what is believed."""

from __future__ import annotations

import math
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouds import cloud
from mtl_bags.compose import Stamped, image
from mtl_bags.frames import SLOP_NS
from mtl_core.card import DepthSpec
from mtl_core.errors import CloudError, ImageError, ScaleError
from mtl_core.geometry import Intrinsics, organised_points
from mtl_core.prediction import Prediction
from mtl_perception.scale import ScaleCorrection
from mtl_perception.scale_sources import MOST_POINTS, MOST_SAMPLES, read_depth, read_points

H, W = 48, 64
CAMERA = Intrinsics(W, H, 60.0, 61.0, 30.0, 25.0)
SPEC = DepthSpec(0.3, 12.0, 100.0)
FRAME = "camera_optical"
SECOND = 10**9
START = 1000 * SECOND
FACTOR = 1.25

PREDICTED = np.random.default_rng(0).uniform(1, 4, (H // 4, W // 4)).astype(np.float32)
"""What the network says, on its grid."""

TRUE = np.kron(PREDICTED, np.ones((4, 4), np.float32)) * np.float32(FACTOR)
"""What is there, at the image's size."""


def header(stamp_ns: int = START, frame_id: str = FRAME) -> Any:
    seconds, rest = divmod(stamp_ns, SECOND)
    return SimpleNamespace(stamp=SimpleNamespace(sec=seconds, nanosec=rest), frame_id=frame_id)


def prediction(focal_ratio: float = 1.0) -> Prediction:
    grid = PREDICTED / np.float32(focal_ratio)
    return Prediction({"depth": grid[None]}, H, W, focal_ratio)


def depth(metres: Any = TRUE, stamp_ns: int = START, frame_id: str = FRAME) -> Any:
    return image(metres, "32FC1", Stamped(stamp_ns, frame_id))


def points(metres: Any = TRUE, stamp_ns: int = START, frame_id: str = FRAME, **layout: Any) -> Any:
    grid = organised_points(metres, CAMERA)
    return cloud(grid, stamp_ns=stamp_ns, frame_id=frame_id, **layout)


def ask(scale: ScaleCorrection, stamp_ns: int = START, focal_ratio: float = 1.0) -> float:
    """The factor that an image's prediction gets."""
    one = prediction(focal_ratio)
    other = scale.corrected(one, SPEC, header(stamp_ns), CAMERA)
    assert other.size == one.size
    return other.focal_ratio / one.focal_ratio


# What is read


@given(st.integers(1, 120), st.integers(1, 120), st.booleans(), st.floats(0, 1), st.booleans())
def test_samples_of_a_depth_image_say_what_its_pixels_say(height, width, whole, share, big):
    random = np.random.default_rng(height)
    values = random.integers(1, 9000, (height, width)).astype(np.uint16)
    values[random.random(values.shape) < share] = 0
    known = values > 0
    metres = np.where(known, values / np.float32(1000), np.float32(random.choice([np.nan, 0])))
    pixels = values if whole else metres.astype(np.float32)
    message = image(
        pixels.astype(pixels.dtype.newbyteorder(">")) if big else pixels,
        "16UC1" if whole else "32FC1",
        Stamped(START, "/" + FRAME),
    )
    message.is_bigendian = int(big)
    measurement = read_depth(message)
    samples = measurement.samples((2 * width, 2 * height), None)
    rows, columns = samples.y * height - 0.5, samples.x * width - 0.5
    np.testing.assert_allclose([rows, columns], np.rint([rows, columns]), atol=1e-9)
    found = values[np.rint(rows).astype(int), np.rint(columns).astype(int)]
    np.testing.assert_allclose(samples.metres, found / 1000, rtol=1e-6)
    assert min(known.sum(), 300) <= len(found) <= MOST_SAMPLES
    assert measurement.place == Stamped(START, FRAME), "without a leading slash"


@pytest.mark.parametrize("every", [1, 7, 100])
def test_a_large_image_is_looked_at_in_part_and_a_sparse_one_wholly(every):
    metres = np.full((720 * 1280), np.nan, np.float32)
    metres[:: every * 97] = 2.0
    samples = read_depth(depth(metres.reshape(720, 1280))).known
    assert min(np.isfinite(metres).sum(), 90) <= len(samples.x) <= MOST_SAMPLES
    full = read_depth(depth(np.full((720, 1280), 2.0, np.float32))).known
    assert MOST_SAMPLES / 2 < len(full.x) <= MOST_SAMPLES
    for places in (full.x, full.y):
        counts, _ = np.histogram(places, 8, (0, 1))
        assert counts.min() > 0.9 * counts.mean(), "all parts of the image alike"


def test_a_cloud_of_the_depth_says_what_the_depth_says():
    of_points = read_points(points()).samples((W, H), CAMERA)
    of_depth = read_depth(depth()).samples((W, H), CAMERA)
    for name in ("x", "y", "metres"):
        np.testing.assert_allclose(
            np.sort(getattr(of_points, name)), np.sort(getattr(of_depth, name)), rtol=1e-5
        )


def test_of_a_large_cloud_some_points_are_looked_at():
    assert len(read_points(cloud(np.ones((100_000, 3), np.float32))).points) <= MOST_POINTS


def test_our_own_cloud_can_be_read():
    messages = pytest.importorskip("sensor_msgs.msg")
    own = pytest.importorskip("mtl_perception.cloud")
    depth = TRUE.copy()
    depth[:10] = np.nan
    plain, black = np.zeros((H, W), np.uint8), np.zeros((H, W, 3), np.uint8)
    made = own.cloud(messages.Image().header, depth, CAMERA, black, plain, plain)
    made.header.stamp.sec = 1
    expected = organised_points(TRUE, CAMERA)[10:].reshape(-1, 3)
    np.testing.assert_array_equal(read_points(made).points, expected)


@pytest.mark.parametrize(
    ("read", "message", "error"),
    [
        (read_depth, image(np.zeros((2, 2, 3), np.uint8), "rgb8", Stamped(1, "")), ImageError),
        (read_points, cloud(np.ones((4, 3)), (("x", "f4"), ("y", "f4"))), CloudError),
        (read_depth, depth(stamp_ns=0), ScaleError),
        (read_points, points(stamp_ns=0), ScaleError),
    ],
)
def test_what_cannot_be_used_is_refused(read, message, error):
    with pytest.raises(error):
        read(message)


@pytest.mark.parametrize(
    ("size", "fits"),
    [((W, H), True), ((640, 480), True), ((33, 24), True), ((30, 24), False), ((H, W), False)],
)
def test_a_depth_image_may_be_of_any_size_of_the_same_aspect(size, fits):
    measurement = read_depth(depth(np.ones(size[::-1], np.float32)))
    if fits:
        assert len(measurement.samples((W, H), None).x)
    else:
        with pytest.raises(ScaleError, match=f"{size[0]}x{size[1]}, expected the aspect of the 64"):
            measurement.samples((W, H), None)


# What is believed


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("depth", depth()),
        ("depth", depth(TRUE[::2, ::2])),
        ("depth", image(np.rint(TRUE * 1000).astype(np.uint16), "16UC1", Stamped(START, FRAME))),
        ("points", points()),
        ("points", points(big=True, gap=3, pad=5)),
        ("points", points(fields=(("i", "u2"), ("z", "f8"), ("x", "f8"), ("y", "f8")))),
    ],
)
@pytest.mark.parametrize("focal_ratio", [1.0, 0.5])
def test_measured_depth_corrects_the_image_of_its_stamp(source, message, focal_ratio):
    scale = ScaleCorrection(source, 2.0)
    scale.take(message)
    assert ask(scale, focal_ratio=focal_ratio) == pytest.approx(FACTOR, rel=1e-3)
    assert (scale.received, scale.accepted, scale.last_refusal) == (1, 1, "")


def test_a_correction_is_not_measured_again():
    """What is compared is what the network says, so that factors do not pile up."""
    scale = ScaleCorrection("depth", 2.0, time_constant_s=0.0)
    for number in range(5):
        scale.take(depth(stamp_ns=START + number))
        assert ask(scale, START + number) == pytest.approx(FACTOR, rel=1e-4)


def test_the_factor_stays_while_nothing_is_measured():
    scale = ScaleCorrection("depth", 2.0)
    scale.take(depth())
    for number in range(100):
        assert ask(scale, START + number * SECOND // 10) == pytest.approx(FACTOR, rel=1e-4)
    assert scale.facts()["scale_age_s"] == "9.90"


def test_what_comes_late_corrects_the_next_image():
    scale = ScaleCorrection("depth", 2.0)
    assert [ask(scale, START), ask(scale, START + SECOND // 10)] == [1, 1]
    scale.take(depth(stamp_ns=START))
    assert ask(scale, START + SECOND // 5) == pytest.approx(FACTOR, rel=1e-4)


def test_it_follows_with_the_time_of_the_stamps():
    scale = ScaleCorrection("depth", 2.0, time_constant_s=2.0)
    scale.take(depth(TRUE / np.float32(FACTOR)))
    assert ask(scale) == pytest.approx(1.0, rel=1e-4)
    scale.take(depth(stamp_ns=START + SECOND))
    expected = FACTOR ** (1 - math.exp(-0.5))
    assert ask(scale, START + SECOND) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("focal_ratio", "metres", "counts"), [
    (1.0, 11.9, True), (1.0, 12.1, False), (0.5, 5.9, True), (0.5, 6.1, False),
    (1.0, 0.31, True), (1.0, 0.29, False), (0.5, 0.16, True), (0.5, 0.14, False),
])  # fmt: skip
def test_the_networks_range_goes_with_the_focal_length(focal_ratio, metres, counts):
    scale = ScaleCorrection("depth", 2.0)
    scale.take(depth(np.full((H, W), metres, np.float32)))
    grid = np.full((1, H // 4, W // 4), metres / focal_ratio, np.float32)
    scale.corrected(Prediction({"depth": grid}, H, W, focal_ratio), SPEC, header(), CAMERA)
    assert scale.accepted == counts


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_the_factor_ends_at_its_limit_and_says_so(factor):
    scale = ScaleCorrection("depth", 1.5)
    near = np.full((H, W), 1.1, np.float32)  # stays in the network's range
    one = Prediction({"depth": np.full((1, H // 4, W // 4), 1.1 / factor, np.float32)}, H, W)
    scale.take(depth(near))
    other = scale.corrected(one, SPEC, header(), CAMERA)
    assert other.focal_ratio == pytest.approx(1.5 if factor > 1 else 1 / 1.5)
    assert scale.facts()["scale_limited"] == "true"
    text = f"measured depth is {factor:.2f} times the predicted one, the correction is limited to"
    assert text in scale.fault(5.0)


@pytest.mark.parametrize(
    ("source", "message", "camera", "reason", "text"),
    [
        ("depth", depth(np.full((H, W), np.nan, np.float32)), CAMERA, "few", "0 of 0 samples"),
        ("depth", depth(np.zeros((H, W), np.float32)), CAMERA, "few", "0 of 0 samples"),
        ("depth", depth(TRUE * 100), CAMERA, "few", "expected 50"),
        ("depth", depth(np.full((H, W), 2.0, np.float32)[:, :40]), CAMERA, "size", "40x48"),
        ("depth", depth(frame_id="depth"), CAMERA, "frame", "frame 'depth', expected 'camera_opt"),
        ("points", points(frame_id="lidar"), CAMERA, "frame", "'lidar', expected 'camera_optical'"),
        ("points", points(), None, "camera", "no camera_info"),
        ("points", points(-TRUE), CAMERA, "few", "0 of 0 samples"),
        ("depth", depth(stamp_ns=0), CAMERA, "stamp", "stamp is 0 ns"),
        ("points", cloud(np.ones((9, 3)), (("x", "f4"),)), CAMERA, "unreadable", "x, y and z"),
        ("depth", image(np.ones((H, W), np.uint8), "mono8", Stamped(START, FRAME)), CAMERA,
         "unreadable", "mono8"),
    ],
)  # fmt: skip
def test_what_is_not_believed_is_counted_and_named(source, message, camera, reason, text):
    scale = ScaleCorrection(source, 2.0)
    scale.take(message)
    assert scale.corrected(prediction(), SPEC, header(), camera).focal_ratio == 1
    assert (scale.refused, scale.accepted) == ({reason: 1}, 0)
    assert text in scale.last_refusal
    assert scale.facts()["scale_refused"] == f"{reason} 1"


def test_an_image_without_a_stamp_gets_what_is_known():
    scale = ScaleCorrection("depth", 2.0)
    assert ask(scale, 0) == 1
    assert "stamp is 0 ns" in scale.fault(5.0)
    scale.take(depth())
    ask(scale)
    assert ask(scale, 0) == pytest.approx(FACTOR, rel=1e-4)
    assert scale.refused == {"stamp": 2}


# Which images and measurements belong together


@pytest.mark.parametrize(
    ("apart_ns", "paired"), [(0, True), (SLOP_NS, True), (-SLOP_NS, True), (SLOP_NS + 1, False)]
)
def test_a_measurement_is_of_an_image_within_the_slop(apart_ns, paired):
    scale = ScaleCorrection("depth", 2.0)
    ask(scale)
    scale.take(depth(stamp_ns=START + apart_ns))
    ask(scale, START + SECOND)  # now both are known to have no nearer one
    scale.take(depth(np.zeros((H, W), np.float32), stamp_ns=START + SECOND))
    assert scale.accepted == paired
    assert scale.unpaired == (not paired)


def test_of_two_measurements_the_nearer_one_counts():
    scale = ScaleCorrection("depth", 2.0, slop_ns=SECOND // 2)
    scale.take(depth(TRUE / np.float32(FACTOR), stamp_ns=START - SECOND // 10))
    scale.take(depth(stamp_ns=START + SECOND // 20))
    ask(scale)
    assert ask(scale, START + SECOND) == pytest.approx(FACTOR, rel=1e-4)


# When it starts anew


def learned() -> ScaleCorrection:
    scale = ScaleCorrection("depth", 2.0)
    scale.take(depth())
    assert ask(scale) == pytest.approx(FACTOR, rel=1e-4)
    return scale


def test_stamps_that_jump_back_start_anew():
    scale, again = learned(), START - 60 * SECOND
    assert ask(scale, again) == 1
    scale.take(depth(TRUE * np.float32(0.6), stamp_ns=again + SECOND))
    expected = pytest.approx(FACTOR * 0.6, rel=1e-4)
    assert ask(scale, again + SECOND) == expected, "the first of the new ones counts wholly"


def test_what_waited_before_a_jump_says_nothing_after_it():
    scale, again = learned(), START - 60 * SECOND
    ask(scale, START + SECOND)
    scale.take(depth(TRUE * np.float32(1.2), stamp_ns=START + SECOND + 1))
    assert [ask(scale, again), ask(scale, again + SECOND)] == [1, 1]
    assert scale.accepted == 1


def test_stamps_that_jump_forward_change_nothing():
    assert ask(learned(), START + 10**6 * SECOND) == pytest.approx(FACTOR, rel=1e-4)


def test_images_that_overtake_each_other_change_nothing():
    assert ask(learned(), START - SLOP_NS) == pytest.approx(FACTOR, rel=1e-4)


def test_another_camera_starts_anew():
    scale = learned()
    other = scale.corrected(prediction(), SPEC, header(START + 1, "another"), CAMERA)
    assert other.focal_ratio == 1


@pytest.mark.parametrize(("step", "kept"), [(1.04, True), (0.96, True), (1.06, False), (2, False)])
def test_another_focal_length_starts_anew_and_one_that_breathes_does_not(step, kept):
    expected = FACTOR if kept else 1.0
    assert ask(learned(), START + 1, focal_ratio=step) == pytest.approx(expected, rel=1e-4)


def test_a_reset_forgets_the_factor_and_keeps_the_counts():
    scale = learned()
    scale.reset()
    assert ask(scale, START + SECOND) == 1
    assert (scale.accepted, scale.last) == (1, None)


# What diagnostics say


def test_diagnostics_say_what_was_learned():
    scale = learned()
    ask(scale, START + 2 * SECOND)
    assert scale.facts() == {
        "scale": "1.2500",
        "scale_limited": "false",
        "scale_received": "1",
        "scale_accepted": "1",
        "scale_unpaired": "0",
        "scale_refused": "",
        "scale_last_refusal": "",
        "scale_measured": "1.2500",
        "scale_samples": str(H * W),
        "scale_spread": "0.0000",
        "scale_age_s": "2.00",
    }
    assert scale.fault(5.0) == ""


def test_a_source_that_is_silent_is_a_fault_after_a_while():
    scale = ScaleCorrection("depth", 2.0)
    assert scale.fault(5.0) == "", "without images nothing is expected"
    ask(scale, START)
    ask(scale, START + 5 * SECOND)
    assert scale.fault(5.0) == ""
    ask(scale, START + 6 * SECOND)
    text = "scale not measured for 6 s: 0 received, none of the time of an image"
    assert scale.fault(5.0) == text
    scale.take(depth(frame_id="elsewhere", stamp_ns=START + 6 * SECOND))
    assert "for 6 s: measured in frame 'elsewhere'" in scale.fault(5.0)
    scale.take(depth(stamp_ns=START + 7 * SECOND))
    ask(scale, START + 7 * SECOND)
    assert scale.fault(5.0) == ""


def test_threads_may_measure_and_ask_at_once():
    scale = ScaleCorrection("depth", 2.0, time_constant_s=0.0)
    stamps = [START + number * SECOND // 30 for number in range(150)]
    measure = threading.Thread(target=lambda: [scale.take(depth(stamp_ns=s)) for s in stamps])
    measure.start()
    factors = [ask(scale, stamp) for stamp in stamps]
    measure.join()
    assert all(f == 1 or f == pytest.approx(FACTOR, rel=1e-4) for f in factors)
    ask(scale, START + 60 * SECOND)  # ends all waiting
    assert (scale.received, scale.accepted + scale.unpaired) == (len(stamps), len(stamps))
    assert scale.refused == {}
