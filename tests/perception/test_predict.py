"""`mtl-predict` as a command: what it writes, what it refuses, and with which exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import tiny_student
from mtl_core.draw import overlay
from mtl_core.labels import LabelMap
from mtl_perception import predict
from tiny_student import CANONICAL_FX, HEIGHT, WIDTH, colour, metres

GREEN = 100
FOLDERS = {"mask": ".png", "depth": ".png", "overlay": ".jpg"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny student's ONNX file."""
    return tiny_student.write(tmp_path_factory.mktemp("model") / "tiny.onnx")


def picture(path: Path, class_id: int, width: int = WIDTH, height: int = HEIGHT) -> Path:
    """Write an image of one class and depth."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = colour(class_id, GREEN)[::-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


def run(model: Path, *arguments: str | Path) -> int:
    """Run the command in this process."""
    return predict.main([*map(str, arguments), "--model", str(model)])


def written(out: Path) -> set[str]:
    """List the files below a folder."""
    return {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}


def expected(*stems: str) -> set[str]:
    return {f"{folder}/{stem}{end}" for folder, end in FOLDERS.items() for stem in stems}


def read(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("size", [(96, 64), (640, 480), (33, 70)])
def test_results_say_what_the_model_says_at_the_images_size(
    model: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    image = picture(tmp_path / "in/a.png", 4, *size)
    out = tmp_path / "out"
    assert run(model, image, "--out", out) == 0
    assert written(out) == expected("a")
    width, height = size
    mask, depth = read(out / "mask/a.png"), read(out / "depth/a.png")
    assert (mask.shape, mask.dtype) == ((height, width), np.uint8)
    assert (depth.shape, depth.dtype) == ((height, width), np.uint16)
    inner = (slice(height // 4, height // 2), slice(width // 4, width // 2))
    assert set(np.unique(mask[inner])) == {4}
    assert set(np.unique(depth[inner])) == {round(metres(GREEN) * 1000)}
    drawn = overlay(read(image), mask, LabelMap.load("nyu13"))
    assert np.abs(read(out / "overlay/a.jpg").astype(int) - drawn)[inner].max() <= 8  # JPEG


def test_depth_follows_the_focal_length(model: Path, tmp_path: Path) -> None:
    image = picture(tmp_path / "a.png", 4)
    assert run(model, image, "--out", tmp_path / "out", "--fx", str(3 * CANONICAL_FX)) == 0
    depth = read(tmp_path / "out/depth/a.png")
    assert set(np.unique(depth)) == {round(metres(GREEN, 3.0) * 1000)}


def test_a_folder_means_the_images_in_it(model: Path, tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "c.webp", "deeper/d.png"):
        picture(tmp_path / "in" / name, 1)
    (tmp_path / "in/notes.txt").write_text("no image")
    single = picture(tmp_path / "e.bmp", 2)
    assert run(model, tmp_path / "in", single, "--out", tmp_path / "out") == 0
    assert written(tmp_path / "out") == expected("a", "b", "c", "e")


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_an_unreadable_image_is_named_and_the_others_go_on(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    folder = tmp_path / "in"
    for name in ("a.png", "z.png"):
        picture(folder / name, 1)
    bad = folder / "m.png"
    bad.write_bytes((folder / "a.png").read_bytes()[:40] if content is None else content)
    assert run(model, folder, "--out", tmp_path / "out") == 1
    assert written(tmp_path / "out") == expected("a", "z")
    said = capsys.readouterr()
    assert f"mtl-predict: {bad}: expected an image, got" in said.err
    assert said.out.startswith("2 of 3 images predicted")


@pytest.mark.parametrize("names", [("x/a.png", "y/a.png"), ("x/a.png", "x/a.jpg")])
def test_two_images_of_one_stem_are_refused_before_anything_is_written(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, str]
) -> None:
    first, second = (picture(tmp_path / name, 1) for name in names)
    assert run(model, first, second, "--out", tmp_path / "out") == 2
    assert f"{first} and {second} would both be written as a" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_same_image_twice_is_refused_as_well(model: Path, tmp_path: Path) -> None:
    image = picture(tmp_path / "in/a.png", 1)
    assert run(model, image, tmp_path / "in", "--out", tmp_path / "out") == 2


def test_without_any_image_nothing_is_done(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    assert run(model, tmp_path / "in", "--out", tmp_path / "out") == 2
    assert "no image found; folders are searched for .bmp, .jpeg" in capsys.readouterr().err
    assert run(model, tmp_path / "nowhere", "--out", tmp_path / "out") == 2
    assert "nowhere: no such file or folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bad_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = picture(tmp_path / "a.png", 1)
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no model")
    assert run(bad, image, "--out", tmp_path / "out") == 2
    assert f"mtl-predict: {bad}: expected an ONNX model" in capsys.readouterr().err


@pytest.mark.parametrize("fx", ["0", "-3", "nan", "inf", "wide"])
def test_an_impossible_focal_length_is_refused(model: Path, tmp_path: Path, fx: str) -> None:
    image = picture(tmp_path / "a.png", 1)
    with pytest.raises(SystemExit, match="2"):
        run(model, image, "--out", tmp_path / "out", f"--fx={fx}")
    assert not (tmp_path / "out").exists()


def test_a_result_that_cannot_be_written_is_reported_and_leaves_no_part(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [picture(tmp_path / f"{name}.png", 1) for name in "ab"]
    out = tmp_path / "out"
    (out / "depth/a.png").mkdir(parents=True)  # a folder where the file should go
    assert run(model, *images, "--out", out) == 1
    assert "a.png" in capsys.readouterr().err
    assert written(out) == expected("b") | {"mask/a.png"}


def test_results_of_a_former_run_are_replaced(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for class_id in (1, 7):
        assert run(model, picture(tmp_path / "a.png", class_id), "--out", out) == 0
        assert set(np.unique(read(out / "mask/a.png"))) == {class_id}


def test_it_runs_without_ros(model: Path, tmp_path: Path) -> None:
    image = picture(tmp_path / "a.png", 1)
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['rclpy', 'sensor_msgs', 'std_msgs']));"
        "from mtl_perception.predict import main; sys.exit(main())"
    )
    arguments = [str(image), "--out", str(tmp_path / "out"), "--model", str(model)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AMENT")}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=clean, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert written(tmp_path / "out") == expected("a")


@pytest.mark.data
def test_real_photographs_are_predicted(model: Path, mtl_data: Path, tmp_path: Path) -> None:
    images = sorted((mtl_data / "nyuv2/rgb").glob("*.jpg"))[:3]
    assert run(model, *images, "--out", tmp_path) == 0
    assert written(tmp_path) == expected(*(image.stem for image in images))
    assert read(tmp_path / "mask" / f"{images[0].stem}.png").shape == (480, 640)
