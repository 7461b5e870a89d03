"""compressedDepth against images whose depth is known, and against damage."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mtl_bags.messages import to_depth
from mtl_core.errors import ImageError

depths = arrays.arrays(
    np.uint16,
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    elements=st.one_of(st.just(0), st.integers(0, 65535), st.integers(900, 910)),
)


def message(body: bytes, form: str, scale: float = 0.0, offset: float = 0.0) -> SimpleNamespace:
    data = struct.pack("<iff", 0, scale, offset) + body
    return SimpleNamespace(format=form, data=np.frombuffer(data, np.uint8))


def png(values: npt.NDArray[Any]) -> bytes:
    ok, data = cv2.imencode(".png", values)
    assert ok
    return data.tobytes()


def rvl(values: npt.NDArray[np.uint16]) -> bytes:
    """Wilson's encoder, value by value."""
    nibbles: list[int] = []

    def put(number: int) -> None:
        while True:
            low, number = number & 7, number >> 3
            nibbles.append(low | (8 if number else 0))
            if not number:
                return

    flat = values.reshape(-1).tolist()
    at = previous = 0
    while at < len(flat):
        start = at
        while at < len(flat) and not flat[at]:
            at += 1
        put(at - start)
        start = at
        while at < len(flat) and flat[at]:
            at += 1
        put(at - start)
        for value in flat[start:at]:
            delta, previous = value - previous, value
            put((delta << 1) ^ (delta >> 31))
    nibbles += [0] * (-len(nibbles) % 8)
    words = [sum(n << (28 - 4 * i) for i, n in enumerate(nibbles[w : w + 8]))
             for w in range(0, len(nibbles), 8)]  # fmt: skip
    size = struct.pack("<II", values.shape[1], values.shape[0])
    return size + b"".join(struct.pack("<I", word) for word in words)


@pytest.mark.parametrize(
    ("encode", "form"),
    [
        (png, "16UC1; compressedDepth"),
        (png, "16UC1; compressedDepth png"),
        (rvl, "16UC1; compressedDepth rvl"),
    ],
)
@given(values=depths)
def test_millimetres_come_back(encode: Any, form: str, values: npt.NDArray[np.uint16]) -> None:
    depth = to_depth(message(encode(values), form))
    assert depth.dtype == np.float32
    expected = np.where(values == 0, np.nan, values / 1000)
    np.testing.assert_allclose(depth, expected, rtol=1e-6)


@pytest.mark.parametrize("encode", [png, rvl])
@given(
    depth=arrays.arrays(np.float32, (5, 7), elements=st.floats(0.25, 10, width=32)),
    holes=arrays.arrays(np.bool_, (5, 7)),
)
def test_inverse_depth_comes_back_to_its_quantum(
    encode: Any, depth: npt.NDArray[np.float32], holes: npt.NDArray[np.bool_]
) -> None:
    """As the transport quantises 32FC1: finest at depth_quantization, up to depth_max."""
    quantisation, largest = 100.0, 10.0
    scale = quantisation * (quantisation + 1)
    offset = 1 - scale / largest
    inverse = np.rint(scale / depth.astype(np.float64) + offset)
    values = np.where(holes, 0, inverse).astype(np.uint16)
    form = f"32FC1; compressedDepth {encode.__name__}"
    found = to_depth(message(encode(values), form, scale, offset))
    assert np.isnan(found[holes]).all()
    quantum = depth**2 / scale
    assert (np.abs(found - depth) <= 1.01 * quantum + 1e-5)[~holes].all()


VALUES = np.arange(600, dtype=np.uint16).reshape(20, 30)


@pytest.mark.parametrize(
    ("body", "form", "said"),
    [
        (b"", "16UC1; compressedDepth", "expected a header and an image"),
        (b"no picture", "16UC1; compressedDepth", "expected a PNG"),
        (png(VALUES)[:-30], "16UC1; compressedDepth png", "truncated PNG"),
        (png(np.zeros((4, 4), np.uint8)), "16UC1; compressedDepth", "one 16-bit channel"),
        (b"\0\0", "16UC1; compressedDepth rvl", "without a size"),
        (struct.pack("<II", 0, 7), "16UC1; compressedDepth rvl", "RVL of 0x7 pixels"),
        (struct.pack("<II", 2**31, 2**31), "16UC1; compressedDepth rvl", "pixels"),
        (rvl(VALUES)[:-40], "16UC1; compressedDepth rvl", "does not hold 30x20 pixels"),
        (
            struct.pack("<II", 8, 8) + b"\xff" * 24 + b"\0" * 4,
            "16UC1; compressedDepth rvl",
            "no 32 bits hold",
        ),
        (png(VALUES), "jpeg", "expected '16UC1; compressedDepth'"),
        (png(VALUES), "8UC1; compressedDepth", "expected '16UC1; compressedDepth'"),
    ],
)
def test_what_is_no_depth_says_why(body: bytes, form: str, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        to_depth(message(body, form))


@given(st.binary(max_size=200))
def test_any_bytes_are_an_image_or_an_error(body: bytes) -> None:
    small = struct.pack("<II", 8, 8) + body
    for form, data in (("rvl", small), ("png", body)):
        try:
            depth = to_depth(message(data, f"16UC1; compressedDepth {form}"))
        except ImageError:
            continue
        assert depth.dtype == np.float32
