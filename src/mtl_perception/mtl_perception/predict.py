"""`mtl-predict`: images in, masks, depth and overlays out, without ROS."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from mtl_core.depth import millimetres
from mtl_core.draw import overlay
from mtl_core.errors import ImageError, MtlError
from mtl_core.images import ColourImage
from mtl_core.labels import LabelMap
from mtl_core.prediction import Prediction
from mtl_perception.errors import PerceptionError
from mtl_perception.models import find_model
from mtl_perception.student_predictor import StudentPredictor

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""What counts as an image in a folder; a file that is named itself may have any name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0; 1 if an image could not be used; 2 if nothing could be begun.
    """
    args = _parser().parse_args(argv)
    try:
        images = find_images(args.images)
        predictor = StudentPredictor(find_model(args.model))
    except (MtlError, PerceptionError) as err:
        print(f"mtl-predict: {err}", file=sys.stderr)
        return 2
    failures = predict_all(images, args.out, predictor, args.fx)
    print(f"{len(images) - failures} of {len(images)} images predicted, results in {args.out}")
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mtl-predict",
        description="Predict classes and depth of images. Writes DIR/mask/STEM.png (class ids, 255 "
        "none), DIR/depth/STEM.png (16 bit millimetres, 0 none) and DIR/overlay/STEM.jpg.",
    )
    parser.add_argument(
        "images",
        nargs="+",
        type=Path,
        metavar="IMAGE_OR_FOLDER",
        help="folders are not searched deeper",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="made if missing")
    parser.add_argument(
        "--model",
        default="",
        metavar="FILE",
        help="ONNX file, or the name of a model that ships; default: the package's",
    )
    parser.add_argument(
        "--fx",
        type=_positive,
        metavar="PIXELS",
        help="the camera's focal length at the images' width; depth is metric only with it",
    )
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number of pixels, got {text}")
    return value


def find_images(paths: Iterable[Path]) -> list[Path]:
    """List images by name: files as they are, folders by what lies in them.

    Raises:
        PerceptionError: A path is missing, there is no image at all, or two images would be
            written under the same stem.
    """
    images = [image for path in paths for image in _images_at(path)]
    if not images:
        raise PerceptionError(
            f"no image found; folders are searched for {', '.join(sorted(SUFFIXES))}"
        )
    by_stem: dict[str, Path] = {}
    for image in images:
        if by_stem.setdefault(image.stem, image) is not image:
            raise PerceptionError(
                f"{by_stem[image.stem]} and {image} would both be written as {image.stem}; "
                "use an output folder for each"
            )
    return images


def _images_at(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if not path.exists():
        raise PerceptionError(f"{path}: no such file or folder")
    return [path]


def predict_all(
    images: Sequence[Path], out: Path, predictor: StudentPredictor, fx: float | None = None
) -> int:
    """Predict images one by one; what is wrong with one is printed and does not stop the others.

    Args:
        images: Files with different stems.
        out: Folder for the results.
        predictor: The model.
        fx: Focal length in pixels at the images' width; None for the model's own.

    Returns:
        How many could not be predicted.
    """
    failures = 0
    with tqdm(images, unit="image", disable=None) as bar:
        for path in bar:
            if fault := _predict_one(path, out, predictor, fx):
                failures += 1
                bar.write(f"mtl-predict: {fault}", file=sys.stderr)
    return failures


def _predict_one(path: Path, out: Path, predictor: StudentPredictor, fx: float | None) -> str:
    try:
        image = read_image(path)
        save(out, path.stem, image, predictor.predict(image, fx), predictor.label_map)
    except (MtlError, OSError) as err:
        return str(err)
    return ""


def read_image(path: Path) -> ColourImage:
    """Read an image file of any kind that OpenCV knows, as 8 bit colour.

    Raises:
        ImageError: It is none.
        OSError: It cannot be read.
    """
    data = np.fromfile(path, np.uint8)
    if not data.size:
        raise ImageError(f"{path}: expected an image, got an empty file")
    with suppress(cv2.error):
        pixels: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if pixels is not None:
            return ColourImage(pixels, "bgr")
    raise ImageError(f"{path}: expected an image, got {data.size} bytes that do not decode")


def save(
    out: Path, stem: str, image: ColourImage, prediction: Prediction, label_map: LabelMap
) -> None:
    """Write the three results of one image; each file is complete or absent.

    Raises:
        OSError: A file cannot be written.
    """
    mask = prediction.mask()
    results: dict[str, npt.NDArray[Any]] = {
        f"mask/{stem}.png": mask,
        f"depth/{stem}.png": millimetres(prediction.depth()),
        f"overlay/{stem}.jpg": overlay(image.bgr(), mask, label_map),
    }
    for name, pixels in results.items():
        _write(out / name, pixels)


def _write(path: Path, pixels: npt.NDArray[Any]) -> None:
    _, data = cv2.imencode(path.suffix, pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data.tobytes())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


if __name__ == "__main__":
    raise SystemExit(main())
