"""Image messages become arrays without a copy where that is possible, and never silently wrong."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.image import message_to_cvimage

from mtl_bags.compose import Stamped, camera_info, image
from mtl_bags.messages import thinned, to_colour_image, to_depth, to_mask
from mtl_core.errors import ImageError
from mtl_core.geometry import Intrinsics

HEADER = Stamped(1, "camera")
VIEWS = {"rgb8": 3, "bgr8": 3, "mono8": 1}
PACKED = {  # bytes of a pixel
    **VIEWS,
    "rgba8": 4,
    "bgra8": 4,
    "mono16": 2,
    "rgb16": 6,
    "bgr16": 6,
    "rgba16": 8,
    "bgra16": 8,
    **{f"bayer_{order}8": 1 for order in ("rggb", "bggr", "gbrg", "grbg")},
    **{f"bayer_{order}16": 2 for order in ("rggb", "bggr", "gbrg", "grbg")},
    "uyvy": 2,
    "yuv422": 2,
    "yuyv": 2,
    "yuv422_yuy2": 2,
}
WIDTH, HEIGHT = 8, 6

sizes = st.integers(1, 12)


def noise(count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, count, np.uint8)


def raw(encoding: str, padding: int = 0, **changes: Any) -> SimpleNamespace:
    """A `sensor_msgs/Image` of noise, with this many bytes of padding in each row."""
    step = WIDTH * PACKED.get(encoding, 1) + padding
    fields = {
        "encoding": encoding,
        "width": WIDTH,
        "height": HEIGHT,
        "step": step,
        "is_bigendian": 0,
        "data": noise(step * HEIGHT),
    }
    return SimpleNamespace(**{**fields, **changes})


def compressed(data: bytes, kind: str = "jpeg") -> SimpleNamespace:
    return SimpleNamespace(format=kind, data=np.frombuffer(data, np.uint8))


@cache
def encoded(suffix: str, *flags: int) -> bytes:
    y, x = np.mgrid[:40, :56]
    picture = np.stack([4 * x, 6 * y, 2 * x + 3 * y], axis=-1).astype(np.uint8)
    ok, data = cv2.imencode(suffix, picture, flags)
    assert ok
    return data.tobytes()


JPEGS = {
    "baseline": encoded(".jpg"),
    "progressive": encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restart markers": encoded(".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
}


# Raw images


@pytest.mark.parametrize("encoding", VIEWS)
@given(height=sizes, width=sizes, padding=st.integers(0, 5))
def test_views_share_memory_and_leave_the_padding_out(
    encoding: str, height: int, width: int, padding: int
) -> None:
    row = width * VIEWS[encoding]
    data = noise((row + padding) * height)
    message = raw(encoding, width=width, height=height, step=row + padding, data=data)
    pixels = to_colour_image(message).pixels
    assert np.shares_memory(pixels, data)
    assert pixels.shape[:2] == (height, width)
    rows = data.reshape(height, row + padding)[:, :row]
    assert pixels.reshape(height, row).tolist() == rows.tolist()


@pytest.mark.parametrize("container", [bytes, bytearray, memoryview, np.asarray])
def test_any_buffer_will_do_as_data(container: Any) -> None:
    data = noise(WIDTH * HEIGHT * 3)
    message = raw("rgb8", data=container(data.tobytes() if container is not np.asarray else data))
    assert to_colour_image(message).pixels.reshape(-1).tolist() == data.tolist()


@pytest.mark.parametrize("encoding", PACKED)
def test_bgr_agrees_with_rosbags_image(encoding: str) -> None:
    message = raw(encoding)
    expected = message_to_cvimage(message, "bgr8")
    np.testing.assert_array_equal(to_colour_image(message).bgr(), expected)


@pytest.mark.parametrize("encoding", PACKED)
def test_padding_makes_no_difference(encoding: str) -> None:
    packed, padded = raw(encoding), raw(encoding, padding=3)
    rows = padded.data.reshape(HEIGHT, -1)
    rows[:, : packed.step] = packed.data.reshape(HEIGHT, -1)
    np.testing.assert_array_equal(to_colour_image(padded).bgr(), to_colour_image(packed).bgr())


def test_byte_order_of_wide_pixels_is_respected() -> None:
    little = raw("rgb16")
    swapped = little.data.view(np.uint16).byteswap().view(np.uint8)
    big = raw("rgb16", is_bigendian=1, data=swapped)
    np.testing.assert_array_equal(to_colour_image(big).bgr(), to_colour_image(little).bgr())


@pytest.mark.parametrize(
    ("encoding", "code"), [("nv12", cv2.COLOR_YUV2BGR_NV12), ("nv21", cv2.COLOR_YUV2BGR_NV21)]
)
def test_planar_images_carry_their_colour_below_the_brightness(encoding: str, code: int) -> None:
    planes = noise(WIDTH * HEIGHT * 3 // 2).reshape(-1, WIDTH)
    got = to_colour_image(raw(encoding, data=planes.reshape(-1))).bgr()
    np.testing.assert_array_equal(got, cv2.cvtColor(planes, code))


@pytest.mark.parametrize(("encoding", "twin"), [("8UC3", "bgr8"), ("8UC1", "mono8")])
def test_opencv_names_mean_opencv_order(encoding: str, twin: str) -> None:
    message = raw(twin)
    message.encoding = encoding
    assert to_colour_image(message).order == twin[:-1]


def test_another_converter_is_taken_for_unusual_encodings_only() -> None:
    def grey(message: Any) -> npt.NDArray[np.uint8]:
        return np.full((message.height, message.width, 3), 9, np.uint8)

    assert (to_colour_image(raw("rgba8"), grey).pixels == 9).all()
    assert not (to_colour_image(raw("rgb8"), grey).pixels == 9).all()


def test_what_a_converter_raises_becomes_an_image_error() -> None:
    def broken(_: Any) -> npt.NDArray[np.uint8]:
        raise KeyError(16)

    with pytest.raises(ImageError, match="8x6 rgba8 image cannot be converted to bgr8: 16"):
        to_colour_image(raw("rgba8"), broken)


BAD = {
    "unknown encoding": (raw("rgb9"), r"encoding 'rgb9' cannot be read here; expected one of rgb8"),
    "no encoding": (raw(""), "encoding ''"),
    "depth in metres": (raw("32FC1"), "encoding '32FC1'"),
    "no data": (raw("rgb8", data=b""), "8x6 rgb8 image without data"),
    "too little data": (
        raw("rgb8", data=noise(143)),
        "8x6 rgb8 image: data is 143 bytes, expected 144 from step 24",
    ),
    "too much data": (raw("mono8", data=noise(49)), "data is 49 bytes, expected 48 from step 8"),
    "step too small": (raw("bgr8", step=23), "step is 23 bytes, expected at least 24"),
    "step too large": (raw("bgr8", step=25), "data is 144 bytes, expected 150 from step 25"),
    "step of zero": (raw("rgba8", step=0), "step is 0 bytes, expected at least 32"),
    "no rows": (raw("rgb8", height=0), "data is 144 bytes, expected 0"),
    "no columns": (raw("rgb8", width=0), "at least one pixel"),
    "odd planar height": (raw("nv12", height=5, data=noise(60)), "8x5 nv12 .* cannot be converted"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_broken_image_is_refused_with_what_was_got_and_expected(name: str) -> None:
    message, text = BAD[name]
    with pytest.raises(ImageError, match=text):
        to_colour_image(message)


@given(
    encoding=st.sampled_from([*PACKED, "nv12", "nv21", "32FC1", "8UC3", ""]),
    width=st.integers(0, 9),
    height=st.integers(0, 9),
    step=st.integers(0, 40),
    size=st.integers(0, 400),
)
def test_any_sizes_give_an_image_of_that_size_or_an_image_error(
    encoding: str, width: int, height: int, step: int, size: int
) -> None:
    message = raw(encoding, width=width, height=height, step=step, data=noise(size))
    with suppress(ImageError):
        assert to_colour_image(message).bgr().shape == (height, width, 3)


# Compressed images


@pytest.mark.parametrize("kind", ["jpeg", "rgb8; jpeg compressed bgr8", ""])
@pytest.mark.parametrize("name", JPEGS)
def test_whole_jpegs_decode_like_rosbags_image(kind: str, name: str) -> None:
    message = compressed(JPEGS[name], kind)
    got = to_colour_image(message)
    assert got.order == "bgr"
    np.testing.assert_array_equal(got.pixels, message_to_cvimage(message, "bgr8"))


@pytest.mark.parametrize("name", JPEGS)
@given(data=st.data())
def test_a_jpeg_cut_anywhere_is_refused(name: str, data: Any) -> None:
    whole = JPEGS[name]
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(ImageError):
        to_colour_image(compressed(cut))


@given(tail=st.binary(max_size=40))
def test_what_follows_the_end_of_a_jpeg_does_not_matter(tail: bytes) -> None:
    whole = JPEGS["baseline"]
    got = to_colour_image(compressed(whole + tail)).pixels
    np.testing.assert_array_equal(got, to_colour_image(compressed(whole)).pixels)


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image() -> None:
    """A thumbnail in the header is a JPEG with an end of its own."""
    whole, thumbnail = JPEGS["baseline"], JPEGS["progressive"]
    header = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    nested = whole[:2] + header + whole[2:]
    assert to_colour_image(compressed(nested)).width == 56
    for cut in range(len(header), len(nested) - 1):
        with pytest.raises(ImageError, match=r"truncated JPEG|no data|expected JPEG"):
            to_colour_image(compressed(nested[:cut]))


def test_pixels_stay_where_the_camera_put_them_whatever_exif_says() -> None:
    turned = (
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # by 90 degrees
    )
    whole = JPEGS["baseline"]
    header = b"\xff\xe1" + (len(turned) + 2).to_bytes(2, "big") + turned
    got = to_colour_image(compressed(whole[:2] + header + whole[2:]))
    assert (got.width, got.height) == (56, 40)


@given(data=st.data())
def test_a_png_cut_anywhere_is_refused(data: Any) -> None:
    whole = encoded(".png")
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(ImageError):
        to_colour_image(compressed(cut, "png"))


def test_a_whole_png_decodes_without_loss() -> None:
    got = to_colour_image(compressed(encoded(".png"), "bgr8; png compressed bgr8"))
    y, x = np.mgrid[:40, :56]
    assert got.pixels[..., 0].tolist() == (4 * x).tolist()
    assert got.pixels[..., 1].tolist() == (6 * y).tolist()


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (compressed(b""), "expected JPEG or PNG, got no data"),
        (compressed(b"GIF89a, say"), "got 11 bytes starting with 47 49 46 38 39 61 2c 20"),
        (
            compressed(JPEGS["baseline"], "16UC1; compressedDepth png"),
            "is depth; expected a colour",
        ),
        (compressed(encoded(".png"), "16UC1; png compressed "), "is depth; expected"),
        (compressed(b"\xff\xd8\xff\xd9"), "damaged JPEG"),
        (compressed(JPEGS["baseline"][:300]), "truncated JPEG: 300 bytes without the end"),
        (compressed(encoded(".png")[:-1]), "truncated PNG"),
    ],
)
def test_a_broken_compressed_image_is_refused_with_what_was_got(
    message: SimpleNamespace, text: str
) -> None:
    with pytest.raises(ImageError, match=text):
        to_colour_image(message)


# Masks and depth


@given(height=sizes, width=sizes)
def test_masks_and_depth_come_back_as_composed(height: int, width: int) -> None:
    mask = noise(height * width).reshape(height, width)
    assert to_mask(image(mask, "mono8", HEADER)).tolist() == mask.tolist()
    depth = mask.astype(np.float32) / 7
    assert to_depth(image(depth, "32FC1", HEADER)).tolist() == depth.tolist()


def test_millimetres_become_metres_and_zero_becomes_unknown() -> None:
    millimetres = np.array([[0, 1500, 65535]], np.uint16)
    got = to_depth(image(millimetres, "16UC1", HEADER))
    np.testing.assert_allclose(got, [[np.nan, 1.5, 65.535]], rtol=1e-6)
    assert got.dtype == np.float32


def test_depth_of_the_other_byte_order_and_with_padding_reads_the_same() -> None:
    depth = np.array([[1.25, 2.5], [3.75, 5.0]])
    padded = np.zeros((2, 11), np.uint8)
    padded[:, :8] = depth.astype(">f4").view(np.uint8).reshape(2, 8)
    message = SimpleNamespace(
        encoding="32FC1", width=2, height=2, step=11, is_bigendian=1, data=padded.reshape(-1)
    )
    assert to_depth(message).tolist() == depth.tolist()


@given(height=sizes, width=sizes, every=st.integers(1, 15), big=st.booleans())
def test_some_depth_is_what_all_depth_says_there(
    height: int, width: int, every: int, big: bool
) -> None:
    depth = noise(height * width).reshape(height, width).astype(">u2" if big else "<u2")
    message = image(depth, "16UC1", HEADER)
    message.is_bigendian = int(big)
    expected = to_depth(message)[thinned(height, every), thinned(width, every)]
    found = to_depth(message, every)
    np.testing.assert_array_equal(found, expected)
    assert found.size, "of any image at least one pixel"


def test_colour_is_no_mask_and_no_depth() -> None:
    with pytest.raises(ImageError, match="'rgb8' cannot be read here; expected one of mono8"):
        to_mask(raw("rgb8"))
    with pytest.raises(ImageError, match="'rgb8' cannot be read here; expected one of 32FC1"):
        to_depth(raw("rgb8"))


def test_camera_info_places_the_intrinsics_in_both_matrices() -> None:
    info = camera_info(Intrinsics(640, 480, 500.0, 510.0, 320.5, 239.5), HEADER)
    k, p = info.k.reshape(3, 3), info.p.reshape(3, 4)
    assert k.tolist() == [[500, 0, 320.5], [0, 510, 239.5], [0, 0, 1]]
    assert p[:, :3].tolist() == k.tolist()
    assert (info.width, info.height, p[:, 3].tolist()) == (640, 480, [0, 0, 0])
