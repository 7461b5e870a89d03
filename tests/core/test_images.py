"""Colour images without copies, and the pictures made of them."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_core.draw import colour_depth, contact_sheet, legend, overlay
from mtl_core.errors import ImageError
from mtl_core.images import ColourImage, check_whole, resized
from mtl_core.labels import LabelMap

NYU13 = LabelMap.load("nyu13")
RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("pixels", "order", "message"),
    [
        (RGB[..., 0], "rgb", r"\(H, W, 3\) uint8 .* got \(6, 8\) uint8"),
        (RGB, "mono", r"\(H, W\) uint8 .* got \(6, 8, 3\)"),
        (RGB.astype(np.float32), "rgb", "float32"),
        (RGB[:0], "bgr", r"at least one pixel .* got \(0, 8, 3\)"),
        (RGB, "hsv", "one of rgb, bgr, mono, got 'hsv'"),
    ],
)
def test_what_is_no_colour_image_is_refused(pixels, order, message):
    with pytest.raises(ImageError, match=message):
        ColourImage(pixels, order)


def test_bgr_is_the_same_picture_from_every_order():
    bgr = np.ascontiguousarray(RGB[..., ::-1])
    np.testing.assert_array_equal(ColourImage(RGB, "rgb").bgr(), bgr)
    np.testing.assert_array_equal(ColourImage(bgr, "bgr").bgr(), bgr)
    grey = ColourImage(RGB[..., 0], "mono").bgr()
    np.testing.assert_array_equal(grey, np.repeat(RGB[..., :1], 3, axis=2))


def test_a_bgr_image_is_not_copied():
    bgr = np.ascontiguousarray(RGB[..., ::-1])
    assert ColourImage(bgr, "bgr").bgr() is bgr


def test_an_overlay_blends_class_colours_and_leaves_the_unlabelled_alone():
    bgr = np.full((2, 2, 3), 100, np.uint8)
    mask = np.array([[0, 255], [255, 4]], np.uint8)
    picture = overlay(bgr, mask, NYU13, alpha=0.5)
    np.testing.assert_array_equal(picture[mask == 255], 100)
    expected = (100 + np.array(NYU13.colours[4][::-1])) / 2
    np.testing.assert_allclose(picture[1, 1], expected, atol=1)
    np.testing.assert_array_equal(bgr, 100)


def test_near_is_brighter_than_far_and_unknown_is_black():
    picture = colour_depth(np.array([[0.5, 4.0, 7.9, np.nan, 0.0]], np.float32), max_m=8.0)
    brightness = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[0].astype(int)
    assert brightness[0] > brightness[1] > brightness[2]
    np.testing.assert_array_equal(picture[0, 3:], 0)


def test_a_contact_sheet_holds_every_picture_unchanged():
    pictures = [
        [np.full((40, 60, 3), 10 * (3 * r + c), np.uint8) for c in range(3)] for r in range(2)
    ]
    sheet = contact_sheet(pictures, ["a", "b", "c"])
    top = sheet.shape[0] - 80
    assert sheet.shape[1] == 180
    for r, row in enumerate(pictures):
        for c, picture in enumerate(row):
            place = sheet[top + 40 * r : top + 40 * r + 40, 60 * c : 60 * c + 60]
            np.testing.assert_array_equal(place, picture)


def test_a_legend_shows_every_colour():
    picture = legend(NYU13, 640)
    shown = {tuple(int(v) for v in c) for c in picture.reshape(-1, 3)}
    assert {c[::-1] for c in NYU13.colours} <= shown


def encoded(ending, *flags):
    picture = np.random.default_rng(1).integers(0, 256, (40, 56, 3), np.uint8)
    return cv2.imencode(ending, picture, flags)[1].tobytes()


FILES = {
    "baseline": ("JPEG", encoded(".jpg")),
    "progressive": ("JPEG", encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
    "restarts": ("JPEG", encoded(".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2)),
    "png": ("PNG", encoded(".png")),
}


@pytest.mark.parametrize("name", FILES)
@given(share=st.floats(0.01, 1, exclude_max=True), tail=st.binary(max_size=40))
def test_a_cut_file_is_refused_and_what_follows_its_end_does_not_matter(name, share, tail):
    kind, whole = FILES[name]
    assert check_whole(whole + tail) == kind
    with pytest.raises(ImageError, match=rf"truncated {kind}: \d+ bytes without the end"):
        check_whole(whole[: max(8, int(share * len(whole)))])


@given(share=st.floats(0, 1, exclude_max=True))
def test_the_end_of_a_thumbnail_is_not_that_of_its_image(share):
    whole, thumbnail = FILES["baseline"][1], FILES["progressive"][1]
    header = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    nested = whole[:2] + header + whole[2:]
    assert check_whole(nested) == "JPEG"
    with pytest.raises(ImageError, match="truncated JPEG"):
        check_whole(nested[: max(3, int(share * len(nested)))])


@pytest.mark.parametrize("data", [b"", b"P5 1 1 255 x", encoded(".bmp")[:100]])
def test_other_kinds_of_files_are_not_judged(data):
    assert check_whole(data) == ""


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 40), st.integers(1, 40))
def test_shrunk_by_a_whole_number_a_pixel_is_the_mean_of_its_block(seed, times, rows, columns):
    pixels = np.random.default_rng(seed).integers(
        0, 256, (rows * times, columns * times, 3), np.uint8
    )
    blocks = pixels.reshape(rows, times, columns, times, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resized(pixels, (columns, rows)), blocks, atol=1)


@given(st.integers(8, 400), st.integers(8, 400), st.integers(4, 100), st.integers(4, 100))
def test_resizing_keeps_a_ramp_where_it_is(width, height, columns, rows):
    """Pixel centres go to ``(u + 0.5) * s - 0.5``, as `Intrinsics.resized` has it."""
    ramp = np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8), (height, width))
    small = resized(np.ascontiguousarray(ramp), (columns, rows))
    centres = (np.arange(columns) + 0.5) * width / columns - 0.5
    step = 255 / (width - 1)
    inner = (centres > width / columns) & (centres < width - 1 - width / columns)
    expected = np.broadcast_to(centres * step, small.shape)
    np.testing.assert_allclose(small[:, inner], expected[:, inner], atol=1.5 + step)
    assert small.shape == (rows, columns)
