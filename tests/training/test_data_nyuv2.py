"""NYUv2 gives back, to the exact value, what stands in files of its formats."""

import h5py
import numpy as np
import pytest
import scipy.io

from mtl_core.labels import LabelMap
from mtl_training.data.nyuv2_folder import INTRINSICS, NYUv2Folder
from mtl_training.data.nyuv2_mat import NYU40_TO_13, NYUv2Mat, read_class_map
from mtl_training.errors import DatasetError
from pictures import noise, written


@pytest.fixture
def folder(tmp_path):
    """Two images, 0007 and 0003, in that order."""
    for seed, name in enumerate(("0007", "0003")):
        # JPEG keeps even grey exactly.
        written(tmp_path / "rgb" / f"{name}.jpg", np.full((480, 640, 3), 90 + seed, np.uint8))
        written(tmp_path / "depth8" / f"{name}.png", noise((480, 640), seed=seed))
        written(tmp_path / "label13" / f"{name}.png", noise((480, 640), 13, seed=seed))
        written(tmp_path / "label40" / f"{name}.png", noise((480, 640), 40, seed=seed))
    (tmp_path / "fit.txt").write_text("0007\n0003\n")
    return tmp_path


def test_nyuv2_folder_reads_back_what_was_written(folder):
    data = NYUv2Folder(folder, "fit")
    assert (data.names, data.tasks) == (("0007", "0003"), {"segmentation", "depth"})
    assert data.labelled("depth") == range(2)
    assert data.labelled("normals") == ()
    sample = data.sample(1, epoch=5)
    assert sample.name == "0003"
    assert sample.intrinsics == INTRINSICS
    np.testing.assert_array_equal(sample.image, 91)
    np.testing.assert_array_equal(sample.truth["segmentation"], noise((480, 640), 13, seed=1))
    metres = (noise((480, 640), seed=1).astype(np.float64) + 0.5) / 25.5
    np.testing.assert_allclose(sample.truth["depth"], metres, rtol=1e-6)
    assert sample.truth["depth"].dtype == np.float32


def test_nyuv2_folder_offers_40_classes(folder):
    data = NYUv2Folder(folder, "fit", "nyu40")
    assert len(data.label_map) == 40
    np.testing.assert_array_equal(
        data.sample(0).truth["segmentation"], noise((480, 640), 40, seed=0)
    )


def test_nyuv2_folder_refuses_bad_lists(folder):
    (folder / "empty.txt").write_text("\n")
    (folder / "twice.txt").write_text("0003 0003")
    with pytest.raises(DatasetError, match=r"test\.txt: no such list.*there are: empty, fit, tw"):
        NYUv2Folder(folder, "test")
    with pytest.raises(DatasetError, match=r"empty\.txt: the list is empty"):
        NYUv2Folder(folder, "empty")
    with pytest.raises(DatasetError, match="an id stands there twice"):
        NYUv2Folder(folder, "twice")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "rgb/0007.jpg").unlink(), r"rgb/0007\.jpg: missing or not an image"),
        (lambda f: (f / "rgb/0007.jpg").write_bytes(b"JPEG"), r"0007\.jpg: missing or not an"),
        (
            lambda f: written(f / "label13/0007.png", np.full((480, 640), 13, np.uint8)),
            r"label13/0007\.png: ids of nyu13 are 0 to 12 and 255 = none, got 13",
        ),
        (
            lambda f: written(f / "depth8/0007.png", noise((240, 320))),
            r"depth8/0007\.png: 640x480 like its image expected, got 320x240",
        ),
        (
            lambda f: written(f / "depth8/0007.png", noise((480, 640), 9, np.uint16)),
            r"depth8/0007\.png: one channel of uint8 expected, got 1 of uint16",
        ),
        (
            lambda f: written(f / "label13/0007.png", noise((480, 640, 3))),
            r"label13/0007\.png: one channel of uint8 expected, got 3 of uint8",
        ),
    ],
)
def test_a_bad_file_is_named_with_what_was_expected(folder, spoil, message):
    spoil(folder)
    with pytest.raises(DatasetError, match=message):
        NYUv2Folder(folder, "fit").sample(0)


@pytest.mark.data
def test_the_real_nyuv2_is_read(mtl_data):
    data = NYUv2Folder(mtl_data / "nyuv2", "val", "nyu40")
    sample = data.sample(3)
    assert len(data) == 160
    assert sample.image.shape == (480, 640, 3)
    assert 0.3 < sample.truth["depth"].mean() < 9


def as_matlab(file, name, array):
    """HDF5 as MATLAB writes it: its column-major memory, so all axes in reverse."""
    file.create_dataset(name, data=np.asarray(array).T, chunks=True, compression="gzip")


def as_cells(file, name, texts):
    references = []
    for index, text in enumerate(texts):
        units = np.array([[ord(letter)] for letter in text], np.uint16)
        cell = file.create_dataset(f"#refs#/{name}{index}", data=units)
        references.append(cell.ref)
    file.create_dataset(name, data=np.array([references], dtype=h5py.ref_dtype))


OFFICIAL = 5
CLASS_MAP_40 = np.arange(1, 895) % 41


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """The file, its splits and class map, and the arrays in MATLAB's order."""
    root = tmp_path_factory.mktemp("official")
    arrays = {
        "images": noise((480, 640, 3, OFFICIAL)),
        "depths": noise((480, 640, OFFICIAL), 9000, np.uint16).astype(np.float32) / 1000,
        "labels": noise((480, 640, OFFICIAL), 895, np.uint16),
    }
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        for name, array in arrays.items():
            as_matlab(file, name, array)
        as_cells(file, "scenes", ["kitchen_0004", "kitchen_0004", "office_1", "study_2", "x"])
        as_cells(file, "names", ["book", "bottle"])
    scipy.io.savemat(
        root / "splits.mat", {"trainNdxs": [[4], [1], [2]], "testNdxs": np.array([[3], [5]])}
    )
    scipy.io.savemat(root / "classMapping40.mat", {"mapClass": CLASS_MAP_40[None]})
    return root / "nyu_depth_v2_labeled.mat", arrays


def test_official_nyuv2_reads_back_what_matlab_wrote(official):
    path, arrays = official
    data = NYUv2Mat(path, "train", "nyu40")
    assert data.names == ("0000", "0001", "0003")
    assert data.scenes == ("kitchen_0004", "kitchen_0004", "study_2")
    assert NYUv2Mat(path, "test").names == ("0002", "0004")
    for index, frame in enumerate((0, 1, 3)):
        sample = data.sample(index)
        np.testing.assert_array_equal(sample.image, arrays["images"][..., frame])
        metres = np.where(arrays["depths"][..., frame] == 0, np.nan, arrays["depths"][..., frame])
        np.testing.assert_array_equal(sample.truth["depth"], metres)
        raw = arrays["labels"][..., frame].astype(int)
        # mapClass counts both its entries and its values from 1, and 0 is none.
        forty = np.where(raw == 0, 0, CLASS_MAP_40[raw - 1])
        np.testing.assert_array_equal(
            sample.truth["segmentation"], np.where(forty == 0, 255, forty - 1)
        )
        assert sample.intrinsics == INTRINSICS


def test_a_map_to_40_classes_serves_13(official):
    path, _ = official
    fine, coarse = (
        NYUv2Mat(path, "train", classes).sample(0).truth["segmentation"]
        for classes in ("nyu40", "nyu13")
    )
    table = np.array([*NYU40_TO_13, *[255] * 216])
    np.testing.assert_array_equal(coarse, table[fine])


def test_the_built_in_table_maps_classes_to_those_of_like_names():
    fine, coarse = LabelMap.load("nyu40"), LabelMap.load("nyu13")
    pairs = {fine.classes[i]: coarse.classes[to] for i, to in enumerate(NYU40_TO_13)}
    same = {"bed", "books", "ceiling", "chair", "floor", "picture", "sofa", "table", "wall"}
    assert {name: pairs[name] for name in same} == {name: name for name in same}
    others = {"blinds": "window", "desk": "table", "door": "wall", "floor mat": "floor"}
    others |= {"other prop": "objects", "television": "tv", "night stand": "furniture"}
    assert {name: pairs[name] for name in others} == others


@pytest.mark.data
def test_the_built_in_table_is_the_one_that_made_the_real_masks(mtl_data):
    fine, coarse = (
        NYUv2Folder(mtl_data / "nyuv2", "val", classes).sample(0).truth["segmentation"]
        for classes in ("nyu40", "nyu13")
    )
    # There, 39 mixes other prop with none, and was made none.
    table = np.array([*NYU40_TO_13[:39], 255])
    np.testing.assert_array_equal(coarse, table[fine])


def test_class_maps_of_all_kinds_say_the_same(tmp_path):
    label_map = LabelMap.load("nyu13")
    scipy.io.savemat(tmp_path / "a.mat", {"mapClass": np.array([[5, 0, 13]])})
    scipy.io.savemat(tmp_path / "b.mat", {"mapping": np.array([[5], [0], [13]])})
    (tmp_path / "c.json").write_text('{"1": 4, "3": 12}')
    for name in ("a.mat", "b.mat", "c.json"):
        table = read_class_map(tmp_path / name, label_map)
        assert table[:4].tolist() == [255, 4, 255, 12]
        assert (table[4:] == 255).all()


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("m.json", lambda p: p.write_text('{"1": 13}'), "ids of nyu13 are 0 to 12, got 13"),
        ("m.json", lambda p: p.write_text('{"1": -1}'), "ids of nyu13 are 0 to 12, got -1"),
        ("m.json", lambda p: p.write_text('{"895": 1}'), "raw classes are 1 to 894, got 895"),
        ("m.json", lambda p: p.write_text("[1]"), "an object of raw class to id expected"),
        ("m.json", lambda p: p.write_text("{"), "missing or not JSON"),
        ("m.txt", lambda p: p.write_text("1 2"), r"a class map is a \.mat or a \.json file"),
        ("m.mat", lambda p: p.write_text("nonsense " * 99), "missing or not a MATLAB 5 file"),
        ("m.mat", lambda p: scipy.io.savemat(p, {"x": 1}), "`mapClass` or `mapping` expected"),
        ("m.mat", lambda p: scipy.io.savemat(p, {"mapClass": [42]}), "0 to 12, got 41"),
    ],
)
def test_a_bad_class_map_is_refused(tmp_path, name, write, message):
    write(tmp_path / name)
    with pytest.raises(DatasetError, match=message) as caught:
        read_class_map(tmp_path / name, LabelMap.load("nyu13"))
    assert name in str(caught.value)


def copied(official, tmp_path, **changes):
    """The official folder with changes to its HDF5 file."""
    path = tmp_path / official[0].name
    path.write_bytes(official[0].read_bytes())
    for name in ("splits.mat", "classMapping40.mat"):
        (tmp_path / name).write_bytes(official[0].with_name(name).read_bytes())
    with h5py.File(path, "r+") as file:
        for name, array in changes.items():
            del file[name]
            if array is not None:
                as_matlab(file, name, array)
    return path


def test_an_official_file_that_lacks_something_is_refused(official, tmp_path):
    path = copied(official, tmp_path, depths=None)
    with pytest.raises(DatasetError, match=r"no `depths` in it, it has: .*images"):
        NYUv2Mat(path, "train")
    path = copied(official, tmp_path, depths=np.zeros((480, 640, 4), np.float32))
    with pytest.raises(DatasetError, match=r"equally many frames expected, got .*'depths': 4"):
        NYUv2Mat(path, "train")
    path = copied(official, tmp_path, images=np.zeros((640, 480, 3, 5), np.uint8))
    with pytest.raises(DatasetError, match=r"`images` of shape \(N, 3, 640, 480\) expected"):
        NYUv2Mat(path, "train")
    path = copied(official, tmp_path, scenes=np.zeros(5))
    with pytest.raises(DatasetError, match="`scenes`: references to texts expected"):
        NYUv2Mat(path, "train")
    path.write_text("nonsense")
    with pytest.raises(DatasetError, match="missing or not HDF5"):
        NYUv2Mat(path, "train")
    (tmp_path / "classMapping40.mat").unlink()
    with pytest.raises(DatasetError, match=r"to nyu40 expected, one of class_map_nyu40\.json"):
        NYUv2Mat(path, "train", "nyu40")


def test_a_raw_class_out_of_range_is_refused(official, tmp_path):
    path = copied(official, tmp_path, labels=np.full((480, 640, 5), 895, np.uint16))
    with pytest.raises(DatasetError, match="frame 0: raw classes up to 894 expected, got 895"):
        NYUv2Mat(path, "train").sample(0)


def test_a_bad_official_split_is_refused(official, tmp_path):
    path = copied(official, tmp_path)
    splits = tmp_path / "splits.mat"
    with pytest.raises(DatasetError, match="unknown split 'val', there are: train, test"):
        NYUv2Mat(path, "val")
    scipy.io.savemat(splits, {"trainNdxs": np.zeros((0, 1)), "testNdxs": [[6]]})
    with pytest.raises(DatasetError, match=r"splits\.mat: the split train is empty"):
        NYUv2Mat(path, "train")
    with pytest.raises(DatasetError, match="numbers 1 to 5 expected, got 6 to 6"):
        NYUv2Mat(path, "test")
    scipy.io.savemat(splits, {"other": 1})
    with pytest.raises(DatasetError, match="a vector `trainNdxs` expected"):
        NYUv2Mat(path, "train")
    splits.unlink()
    with pytest.raises(DatasetError, match=r"splits\.mat: missing"):
        NYUv2Mat(path, "train")
