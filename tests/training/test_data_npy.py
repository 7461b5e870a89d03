"""Pre-processed arrays are read to the exact value, and normals in the frame they are in."""

import itertools

import numpy as np
import pytest

from mtl_core.geometry import Intrinsics
from mtl_core.rooms import Room
from mtl_training.data.npy import Axes, Npy
from mtl_training.errors import DatasetError
from pictures import noise


def arrays(folder, index, **by_folder):
    for name, array in by_folder.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        np.save(folder / name / f"{index}.npy", array)


@pytest.fixture(scope="module")
def frames():
    """A room seen three times at a quarter of the layout's size."""
    room = Room.generate(5)
    camera = Intrinsics(96, 72, 90.0, 90.0, 47.5, 35.5)
    return [room.render(pose, camera) for pose in room.camera_path(3)]


@pytest.fixture
def nyu_arrays(tmp_path, frames):
    """The frames in the npy layout, holes included, with normals in a frame of its own."""
    for index, frame in enumerate(frames):
        depth, labels = frame.depth.astype(np.float64)[..., None], frame.labels.astype(np.int64)
        normal = np.stack([frame.normals[..., 0], -frame.normals[..., 1], -frame.normals[..., 2]])
        normal = np.moveaxis(normal, 0, -1).astype(np.float64)
        depth[:4], labels[:5], normal[:6] = 0, -1, 0
        image = frame.image / 255.0
        arrays(tmp_path / "train", index, image=image, label=labels, depth=depth, normal=normal)
    return tmp_path


def test_nyu_arrays_read_back_what_was_written(nyu_arrays, frames):
    data = Npy(nyu_arrays, "train")
    assert data.tasks == {"segmentation", "depth", "normals"}
    for index, frame in enumerate(frames):
        sample = data.sample(index)
        np.testing.assert_array_equal(sample.image, frame.image)
        np.testing.assert_array_equal(sample.truth["segmentation"][5:], frame.labels[5:])
        np.testing.assert_array_equal(sample.truth["depth"][4:], frame.depth[4:])
        np.testing.assert_allclose(sample.truth["normals"][6:], frame.normals[6:], atol=1e-6)
        assert (sample.truth["segmentation"][:5] == 255).all()
        assert np.isnan(sample.truth["depth"][:4]).all()
        assert np.isnan(sample.truth["normals"][:6]).all()
        assert sample.intrinsics is None


def test_however_normals_are_stored_their_axes_are_found(nyu_arrays, frames):
    names = ("0", "1", "2")
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            for name, frame in zip(names, frames, strict=True):
                stored = (frame.normals * np.float32(signs))[..., order]
                np.save(nyu_arrays / f"train/normal/{name}.npy", stored)
            axes = Axes.measured(nyu_arrays / "train", names)
            np.testing.assert_array_equal(axes.turned(stored), frames[-1].normals)


def test_normals_that_contradict_the_depth_are_refused(nyu_arrays):
    rng = np.random.default_rng(0)
    for index in range(3):
        arrays(nyu_arrays / "train", index, normal=rng.normal(size=(72, 96, 3)))
    with pytest.raises(DatasetError, match="train/normal: normals that agree with the depth"):
        Npy(nyu_arrays, "train")


@pytest.mark.parametrize(("classes", "folder"), [("cityscapes7", 7), ("cityscapes19", 19)])
def test_cityscapes_arrays_hold_inverse_depth(tmp_path, classes, folder):
    inverse = noise((128, 256, 1), 500).astype(np.float32) / 1000
    labels = noise((128, 256), folder + 1).astype(np.float32) - 1
    image = noise((128, 256, 3)).astype(np.float32) / 255
    arrays(tmp_path / "val", 0, image=image, depth=inverse, **{f"label_{folder}": labels})
    data = Npy(tmp_path, "val", classes)
    assert data.tasks == {"segmentation", "inverse_depth"}
    sample = data.sample(0)
    np.testing.assert_array_equal(sample.image, noise((128, 256, 3)))
    np.testing.assert_array_equal(
        sample.truth["inverse_depth"], np.where(inverse == 0, np.nan, inverse)[..., 0]
    )
    np.testing.assert_array_equal(sample.truth["segmentation"], np.where(labels == -1, 255, labels))


def test_arrays_are_ordered_by_number(tmp_path):
    for index in (10, 9, 2):
        arrays(tmp_path / "train", index, image=noise((4, 4, 3)))
    assert Npy(tmp_path, "train").names == ("2", "9", "10")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": np.full((72, 96), 13)}, r"label/0\.npy: ids of nyu13 .* got 13"),
        ({"label": np.full((72, 96), -2)}, r"label/0\.npy: ids of nyu13 .* got -2 to -2"),
        ({"label": np.full((72, 96), 0.5)}, r"label/0\.npy: whole ids \(H, W\) expected"),
        ({"label": np.full((72, 95), 1)}, r"label/0\.npy: 96x72 like its image expected"),
        ({"depth": np.ones((72, 96, 3))}, r"depth/0\.npy: numbers \(H, W\) or \(H, W, 1\)"),
        ({"image": np.ones((72, 96, 3)) * 255}, r"image/0\.npy: uint8, or floats 0 to 1 expected"),
        ({"image": np.ones((3, 72, 96))}, r"image/0\.npy: an image \(H, W, 3\) expected"),
        ({"normal": np.ones((72, 96))}, r"normal/0\.npy: floats \(H, W, 3\) expected"),
        ({"label": np.array([{}])}, r"label/0\.npy: missing or not an \.npy array"),
    ],
)
def test_a_bad_array_is_named(nyu_arrays, changes, message):
    data = Npy(nyu_arrays, "train")
    arrays(nyu_arrays / "train", 0, **changes)
    with pytest.raises(DatasetError, match=message):
        data.sample(0)


def test_an_unknown_split_or_a_missing_array_is_refused(nyu_arrays):
    with pytest.raises(DatasetError, match="no split 'val', there are: train"):
        Npy(nyu_arrays, "val")
    data = Npy(nyu_arrays, "train")
    (nyu_arrays / "train/depth/1.npy").write_bytes(b"\x93NUMPY")
    (nyu_arrays / "train/depth/2.npy").unlink()
    for index in (1, 2):
        with pytest.raises(DatasetError, match=rf"depth/{index}\.npy: missing or not an \.npy"):
            data.sample(index)
