"""What the node publishes for a good frame over real DDS; the model's answers are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import frames
from mtl_core.draw import overlay
from mtl_core.labels import LabelMap
from mtl_perception import topics

from peer import TYPES, Peer, nanoseconds  # isort: skip
from sensor_msgs.msg import PointCloud2, PointField

from tiny_student import CANONICAL_FX, HEIGHT, WIDTH, metres

pytestmark = pytest.mark.ros

IMAGES = [name for name, kind in TYPES.items() if kind.__name__ == "Image"]


def check_mask(
    message: Any, left: int = frames.LEFT, right: int = frames.RIGHT, margin: int = 0
) -> None:
    sides = frames.halves(frames.pixels(message))
    assert [set(np.unique(side)) for side in sides] == [{left}, {right}]


def test_every_output_has_the_frames_stamp_frame_and_size(peer: Peer) -> None:
    message = frames.image()
    answer = peer.ask(message)
    assert set(answer) == set(TYPES)
    for output in answer.values():
        assert nanoseconds(output.header.stamp) == nanoseconds(message.header.stamp)
        assert output.header.frame_id == frames.FRAME_ID
        assert (output.width, output.height) == (WIDTH, HEIGHT)


def test_each_output_says_what_the_model_says(peer: Peer) -> None:
    peer.see_through(frames.camera_info(), frames.image())
    answer = peer.ask(frames.image())
    assert {name: answer[name].encoding for name in IMAGES} == {
        topics.MASK: "mono8",
        topics.CONFIDENCE: "mono8",
        topics.OVERLAY: "bgr8",
        topics.DEPTH: "32FC1",
        topics.UNCERTAINTY: "32FC1",
    }
    mask = frames.pixels(answer[topics.MASK])
    check_mask(answer[topics.MASK], right=0)  # of equal logits the first wins
    sure, unsure = frames.halves(frames.pixels(answer[topics.CONFIDENCE]))
    assert sure.min() == 255
    assert set(np.unique(unsure)) == {round(255 / 13)}
    near, far = frames.halves(frames.pixels(answer[topics.DEPTH]))
    np.testing.assert_allclose(near, metres(frames.NEAR), rtol=1e-5)
    np.testing.assert_allclose(far, metres(frames.FAR), rtol=1e-5)
    uncertainty = frames.pixels(answer[topics.UNCERTAINTY])
    depth = frames.pixels(answer[topics.DEPTH])
    np.testing.assert_allclose(uncertainty, depth * np.sqrt(2) * np.exp(-3.0), rtol=1e-5)
    bgr = np.ascontiguousarray(frames.rgb()[..., ::-1])
    picture = frames.pixels(answer[topics.OVERLAY])
    np.testing.assert_array_equal(picture, overlay(bgr, mask, LabelMap.load("nyu13")))


def points_of(message: PointCloud2) -> dict[str, npt.NDArray[Any]]:
    """Each field (H, W) as its description says, without our own layout."""
    kinds = {PointField.FLOAT32: "<f4", PointField.UINT8: "u1"}
    assert not message.is_bigendian
    assert message.row_step == message.point_step * message.width
    layout = np.dtype(
        {
            "names": [field.name for field in message.fields],
            "formats": [kinds[field.datatype] for field in message.fields],
            "offsets": [field.offset for field in message.fields],
            "itemsize": message.point_step,
        }
    )
    rows = np.frombuffer(bytes(message.data), layout).reshape(message.height, message.width)
    return {name: rows[name] for name in layout.names or ()}


def test_points_project_back_to_their_pixels(peer: Peer) -> None:
    camera = frames.camera_info(fx=80.0)
    peer.see_through(camera, frames.image())
    answer = peer.ask(frames.image())
    found = points_of(answer[topics.POINTS])
    assert list(found) == ["x", "y", "z", "rgb", "label", "confidence"]
    depth = frames.pixels(answer[topics.DEPTH])
    near = depth <= 10.0
    np.testing.assert_array_equal(np.isfinite(found["z"]), near)
    np.testing.assert_array_equal(found["z"][near], depth[near])
    matrix = camera.p.reshape(3, 4)
    points = np.stack([found[axis] for axis in "xyz"] + [np.ones_like(depth)])
    u, v, w = np.tensordot(matrix, points, 1)
    rows, columns = np.indices(depth.shape)
    np.testing.assert_allclose((u / w)[near], columns[near], atol=1e-3)
    np.testing.assert_allclose((v / w)[near], rows[near], atol=1e-3)
    np.testing.assert_array_equal(found["label"], frames.pixels(answer[topics.MASK]))
    np.testing.assert_array_equal(found["confidence"], frames.pixels(answer[topics.CONFIDENCE]))
    colours = found["rgb"].copy().view(np.uint32)
    expected = frames.rgb().astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    np.testing.assert_array_equal(colours, expected)


@pytest.mark.parametrize(
    ("min_confidence", "max_range"), [(0.5, 100.0), (0.0, metres(frames.FAR) - 0.1)]
)
def test_points_beyond_the_range_or_unlabelled_are_unknown(
    peer: Peer, min_confidence: float, max_range: float
) -> None:
    peer.see_through(frames.camera_info(), frames.image())
    assert peer.set(min_confidence=min_confidence, max_range=max_range) == ""
    answer = peer.ask(frames.image())
    assert peer.set(min_confidence=0.0, max_range=10.0) == ""
    found = points_of(answer[topics.POINTS])
    unknown = (frames.pixels(answer[topics.MASK]) == 255) | (
        frames.pixels(answer[topics.DEPTH]) > max_range
    )
    assert 0.45 < unknown.mean() < 0.55  # the right half
    for axis in "xyz":
        np.testing.assert_array_equal(np.isnan(found[axis]), unknown)
    assert not answer[topics.POINTS].is_dense


def test_at_the_models_size_everything_goes_along(peer: Peer) -> None:
    width, height = 2 * WIDTH, 2 * HEIGHT
    camera = frames.camera_info(width, height, fx=2 * CANONICAL_FX)
    picture = frames.image(frames.rgb(width, height))
    peer.see_through(camera, picture)
    large = peer.ask(picture)
    assert peer.set(output_size="model") == ""
    answer = peer.ask(picture)
    assert peer.set(output_size="input") == ""
    for name, output in answer.items():
        assert (output.width, output.height) == (WIDTH, HEIGHT), name
    for info in topics.CAMERA_INFOS:
        matrix = answer[info].k.reshape(3, 3)
        assert matrix[0, 0] == pytest.approx(CANONICAL_FX)
        assert matrix[0, 2] == pytest.approx((camera.k[2] + 0.5) / 2 - 0.5)
    small, whole = (frames.pixels(of[topics.DEPTH]) for of in (answer, large))
    near, far = frames.halves(small)
    for part, expected in zip((near, far), frames.halves(whole), strict=True):
        np.testing.assert_allclose(part, np.median(expected), rtol=1e-5)
    check_mask(answer[topics.MASK], right=0)
    points = points_of(answer[topics.POINTS])
    u = points["x"] / points["z"] * CANONICAL_FX + (camera.k[2] + 0.5) / 2 - 0.5
    columns = np.broadcast_to(np.arange(WIDTH), u.shape)
    np.testing.assert_allclose(u, columns, atol=1e-3)


@pytest.mark.parametrize("size", [(96, 64), (192, 128), (48, 32), (160, 120), (120, 160), (97, 61)])
def test_outputs_have_the_inputs_size_whatever_it_is(peer: Peer, size: tuple[int, int]) -> None:
    width, height = size
    message = frames.image(frames.rgb(width, height, 5, 5))
    answer = peer.ask(message, expect=IMAGES)
    for name in IMAGES:
        assert (answer[name].width, answer[name].height) == size
        assert frames.pixels(answer[name]).shape[:2] == (height, width)
    left, _ = frames.halves(frames.pixels(answer[topics.MASK]))
    assert set(np.unique(left)) == {5}


def grey(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(H, W) uint8 that the tiny student reads as its left and right classes, surely."""
    plane = np.empty(pixels.shape[:2], np.uint8)
    plane[:, : plane.shape[1] // 2] = 20 * frames.LEFT
    plane[:, plane.shape[1] // 2 :] = 20 * frames.RIGHT
    return plane


def bayer(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """An RGGB mosaic: red at even rows and columns, blue at odd ones."""
    mosaic = pixels[..., 1].copy()
    mosaic[::2, ::2] = pixels[::2, ::2, 0]
    mosaic[1::2, 1::2] = pixels[1::2, 1::2, 2]
    return mosaic


def yuv(pixels: npt.NDArray[np.uint8], luma_first: bool) -> npt.NDArray[np.uint8]:
    """(H, W, 2) uint8: grey in 4:2:2, BT.601 studio range, chroma 128."""
    plane = grey(pixels).astype(np.float64)
    luma = np.rint(16 + plane * 219 / 255).astype(np.uint8)
    chroma = np.full_like(luma, 128)
    return np.stack([luma, chroma] if luma_first else [chroma, luma], axis=-1)


ENCODINGS: dict[str, Any] = {
    "rgb8": lambda p: p,
    "bgr8": lambda p: p[..., ::-1],
    "rgba8": lambda p: np.dstack([p, np.full(p.shape[:2], 7, np.uint8)]),
    "bgra8": lambda p: np.dstack([p[..., ::-1], np.full(p.shape[:2], 7, np.uint8)]),
    "rgb16": lambda p: p.astype(np.uint16) * 257,
    "mono8": grey,
    "mono16": lambda p: grey(p).astype(np.uint16) * 257,
    "bayer_rggb8": bayer,
    "uyvy": lambda p: yuv(p, luma_first=False),
    "yuv422": lambda p: yuv(p, luma_first=False),
    "yuv422_yuy2": lambda p: yuv(p, luma_first=True),
    "yuyv": lambda p: yuv(p, luma_first=True),
}


@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_same_picture_in_any_encoding_gives_the_same_mask(
    peer: Peer, encoding: str, pad: int
) -> None:
    picture = frames.rgb()
    picture[..., 2] = 255
    message = frames.image(ENCODINGS[encoding](picture), encoding, pad)
    check_mask(peer.ask(message, expect=[topics.MASK])[topics.MASK])


def test_depth_follows_the_focal_length_of_camera_info(peer: Peer) -> None:
    for fx in (CANONICAL_FX / 2, CANONICAL_FX * 3):
        peer.see_through(frames.camera_info(fx=fx), frames.image())
        near, far = frames.halves(
            frames.pixels(peer.ask(frames.image(), expect=[topics.DEPTH])[topics.DEPTH])
        )
        np.testing.assert_allclose(near, metres(frames.NEAR, fx / CANONICAL_FX), rtol=1e-5)
        np.testing.assert_allclose(far, metres(frames.FAR, fx / CANONICAL_FX), rtol=1e-5)


def test_focal_length_is_in_pixels_of_the_inputs_width(peer: Peer) -> None:
    double = frames.image(frames.rgb(2 * WIDTH, 2 * HEIGHT))
    peer.see_through(frames.camera_info(2 * WIDTH, 2 * HEIGHT, fx=2 * CANONICAL_FX), double)
    near, _ = frames.halves(frames.pixels(peer.ask(double)[topics.DEPTH]))
    np.testing.assert_allclose(near, metres(frames.NEAR), rtol=1e-5)


def test_camera_info_stands_beside_mask_and_depth_with_their_header(peer: Peer) -> None:
    info = frames.camera_info(fx=123.0)
    peer.see_through(info, frames.image())
    answer = peer.ask(frames.image())
    for name in topics.CAMERA_INFOS:
        info.header = answer[topics.MASK].header
        assert answer[name] == info


def test_camera_info_of_another_size_is_neither_used_nor_passed_on(peer: Peer) -> None:
    peer.see_through(frames.camera_info(fx=3 * CANONICAL_FX), frames.image())
    other = frames.image(frames.rgb(2 * WIDTH, 2 * HEIGHT))
    stamp = peer.send(other)
    peer.wait(lambda: all(stamp in peer.got[name] for name in IMAGES), "all images")
    assert not any(stamp in peer.got[name] for name in topics.CAMERA_INFOS)
    near, _ = frames.halves(frames.pixels(peer.got[topics.DEPTH][stamp]))
    np.testing.assert_allclose(near, metres(frames.NEAR), rtol=1e-5)
    fault = f"camera_info is for {WIDTH}x{HEIGHT}, expected {2 * WIDTH}x{2 * HEIGHT}"
    peer.wait(lambda: any(fault in status.message for status in peer.statuses), fault)


@pytest.mark.parametrize("fx", [0.0, -5.0, float("nan")])
def test_impossible_focal_length_leaves_depth_to_the_model(peer: Peer, fx: float) -> None:
    peer.see_through(frames.camera_info(fx=fx), frames.image())
    answer = peer.ask(frames.image(), expect=IMAGES)
    near, _ = frames.halves(frames.pixels(answer[topics.DEPTH]))
    np.testing.assert_allclose(near, metres(frames.NEAR), rtol=1e-5)
    peer.see_through(frames.camera_info(), frames.image())


def test_fallback_fx_scales_depth_while_camera_info_gives_none(peer: Peer) -> None:
    assert peer.set(fallback_fx=2 * CANONICAL_FX) == ""
    picture = frames.image(frames.rgb(WIDTH, HEIGHT // 2))  # no camera_info has this size
    near, _ = frames.halves(frames.pixels(peer.ask(picture, expect=IMAGES)[topics.DEPTH]))
    assert peer.set(fallback_fx=0.0) == ""
    np.testing.assert_allclose(near, metres(frames.NEAR, 2.0), rtol=1e-5)


def test_unsure_pixels_are_255_with_confidence_0_from_min_confidence_on(peer: Peer) -> None:
    assert peer.set(min_confidence=0.5) == ""
    answer = peer.ask(frames.image(), expect=IMAGES)
    assert peer.set(min_confidence=0.0) == ""
    check_mask(answer[topics.MASK], right=255)
    sure, unsure = frames.halves(frames.pixels(answer[topics.CONFIDENCE]))
    assert sure.min() == 255
    assert unsure.max() == 0
    _, picture = frames.halves(frames.pixels(answer[topics.OVERLAY]))
    np.testing.assert_array_equal(picture, frames.halves(frames.rgb()[..., ::-1])[1])


def test_16uc1_is_the_same_depth_in_millimetres(peer: Peer) -> None:
    depth = frames.pixels(peer.ask(frames.image(), expect=IMAGES)[topics.DEPTH])
    assert peer.set(depth_encoding="16UC1") == ""
    message = peer.ask(frames.image(), expect=IMAGES)[topics.DEPTH]
    assert peer.set(depth_encoding="32FC1") == ""
    assert message.encoding == "16UC1"
    np.testing.assert_array_equal(frames.pixels(message), np.rint(depth * 1000).astype(np.uint16))


def test_of_a_burst_the_newest_frame_is_answered_and_the_others_counted(peer: Peer) -> None:
    _, before = peer.report()
    peer.got.clear()
    stamps = [peer.send(frames.image(frames.rgb(640, 480))) for _ in range(20)]
    peer.wait(lambda: stamps[-1] in peer.got[topics.MASK], "answer to the newest")
    _, after = peer.report()
    answered = [stamp for stamp in stamps if stamp in peer.got[topics.MASK]]
    assert list(peer.got[topics.MASK]) == answered  # in the order of arrival
    rise = {key: int(after[key]) - int(before[key]) for key in ("received", "answered", "dropped")}
    assert rise["answered"] == len(answered)
    assert rise["received"] == rise["answered"] + rise["dropped"]


def test_nothing_is_subscribed_or_computed_while_nobody_listens(peer: Peer) -> None:
    peer.ignore(*TYPES)
    peer.wait(lambda: not peer.ros.count_subscribers(topics.IMAGE), "an end of the subscription")
    assert peer.ros.count_subscribers(topics.CAMERA_INFO) == 0
    before = peer.report()[1]
    for _ in range(3):
        peer.send(frames.image())
    after = peer.report()[1]
    assert after["received"] == before["received"]
    assert after["state"] == "active"
    peer.read(topics.MASK)
    peer.wait(lambda: peer.ros.count_subscribers(topics.IMAGE), "a new subscription")
    peer.read(*set(TYPES) - {topics.MASK})
    peer.warm_up(frames.image())


def test_a_node_that_is_not_lazy_takes_frames_in_and_leaves_them_alone(peer: Peer) -> None:
    assert peer.set(lazy=False) == ""
    peer.ignore(*TYPES)
    before = peer.report()[1]
    after = before
    while after["unwatched"] == before["unwatched"]:  # the node notices in its own time
        peer.send(frames.image())
        answered, after = after["answered"], peer.report()[1]
    assert after["answered"] == answered
    peer.read(*TYPES)
    peer.warm_up(frames.image())
    assert peer.set(lazy=True) == ""


def test_best_effort_readers_are_served_as_well(peer: Peer) -> None:
    peer.ignore(*TYPES)
    peer.read(*TYPES, best_effort=True)
    peer.warm_up(frames.image())
    assert set(peer.ask(frames.image())) == set(TYPES)
    peer.ignore(*TYPES)
    peer.read(*TYPES)
    peer.warm_up(frames.image())
