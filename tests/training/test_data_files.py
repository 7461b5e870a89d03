"""Image files are read whole or not at all."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_training.data.files import read_image, read_mask, read_uint16
from mtl_training.errors import DatasetError
from pictures import noise, written

FILES = {
    "colour.jpg": (read_image, noise((48, 64, 3))),
    "colour.png": (read_image, noise((48, 64, 3))),
    "grey.jpg": (read_image, noise((48, 64))),
    "mask.png": (read_mask, noise((48, 64))),
    "depth.png": (read_uint16, noise((48, 64), 60000, np.uint16)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("files")
    for name, (_, array) in FILES.items():
        written(root / name, array)
    return root


@pytest.mark.parametrize("name", FILES)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_refused_and_named(folder, name, share):
    """OpenCV reads half a JPEG without a word, and makes the rest grey."""
    read, _ = FILES[name]
    whole = (folder / name).read_bytes()
    cut = folder / f"cut-{name}"
    cut.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DatasetError, match=rf"cut-{name}: missing or not an image: "):
        read(cut)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".png")])
def test_a_whole_file_is_read_without_loss(folder, name):
    read, array = FILES[name]
    np.testing.assert_array_equal(read(folder / name), array)


def test_half_a_jpeg_says_that_it_is_half(folder):
    whole = (folder / "colour.jpg").read_bytes()
    half = folder / "half.jpg"
    half.write_bytes(whole[: len(whole) // 2])
    assert cv2.imread(str(half)) is not None, "OpenCV does not mind"
    with pytest.raises(
        DatasetError, match=r"half\.jpg: .*truncated JPEG: \d+ bytes without the end"
    ):
        read_image(half)


def test_other_formats_that_opencv_knows_are_read(tmp_path):
    array = noise((6, 8, 3))
    np.testing.assert_array_equal(read_image(written(tmp_path / "a.bmp", array)), array)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"none\.png: missing or not an image: .*No such file"):
        read_mask(tmp_path / "none.png")
