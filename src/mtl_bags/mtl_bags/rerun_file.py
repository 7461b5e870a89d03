"""A labelled recording as an .rrd file for the Rerun viewer: images, labels, depths over time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mtl_bags import camera_info
from mtl_bags.errors import BagError
from mtl_bags.labelled import LabelledBag, LabelledFrame, Track
from mtl_bags.messages import to_colour_image, to_depth, to_mask
from mtl_core.errors import MtlError
from mtl_core.images import ColourImage

TIMELINE = "stamp"
"""Stamps of the images."""

VIEWS = (("image", "segmentation"), ("confidence",), ("depth",), ("sensor_depth",))
"""Entities under `camera` that are shown side by side."""

_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]


def write_rerun(bag: LabelledBag, out: Path, track: Track = lambda frames, _: frames) -> int:
    """Write what a labelled recording holds for the Rerun viewer.

    `camera/image` with its pinhole at `camera`, `camera/segmentation` with the classes' names and
    colours, `camera/confidence`, `camera/depth` (the teacher's) and `camera/sensor_depth`, each on
    the timeline of the images' stamps. Frames that cannot be read are left out, as in the report.

    Args:
        bag: The labelled recording.
        out: The .rrd file, which appears when it is complete.
        track: Wraps the frames, such as in a progress bar.

    Returns:
        How many frames were written.

    Raises:
        BagError: Rerun is not installed, or the file cannot be written.
    """
    rr = _rerun()
    with _growing(out) as path:
        stream = rr.RecordingStream("mtl_bags", recording_id=bag.path.resolve().name)
        stream.save(path, default_blueprint=_blueprint(rr))
        classes = zip(bag.label_map.classes, bag.label_map.colours, strict=True)
        names = [(number, name, colour) for number, (name, colour) in enumerate(classes)]
        stream.log("camera", rr.AnnotationContext(names), static=True)
        every = track(bag, bag.camera.colour.count)
        frames = sum(_logged(rr, stream, bag, frame) for frame in every)
        stream.flush()
        stream.disconnect()
    return frames


def _rerun() -> Any:
    try:
        import rerun
    except ImportError as err:
        raise BagError("--rerun needs Rerun: pip install 'mtl_bags[rerun]'") from err
    return rerun


def _blueprint(rr: Any) -> Any:
    """Side by side, since one picture hides the other."""
    blueprint = rr.blueprint
    views = (
        blueprint.Spatial2DView(
            origin="camera", name=names[-1], contents=[f"camera/{name}" for name in names]
        )
        for names in VIEWS
    )
    return blueprint.Blueprint(blueprint.Grid(*views, blueprint.Spatial3DView(origin="camera")))


@contextmanager
def _growing(out: Path) -> Iterator[Path]:
    """A file beside `out` that takes its name at the end."""
    growing = out.with_name(f".{out.name}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield growing
        os.replace(growing, out)
    except (OSError, RuntimeError) as err:  # Rerun's own errors are of the second kind
        raise BagError(f"cannot write {out}: {err}") from err
    finally:
        growing.unlink(missing_ok=True)


def _logged(rr: Any, stream: Any, bag: LabelledBag, frame: LabelledFrame) -> bool:
    """Write a frame, unless it cannot be read."""
    try:
        image = to_colour_image(bag.deserialize(frame.frame.image))
        entities = dict(_entities(rr, bag, frame, image))
    except (BagError, MtlError):
        return False
    stream.set_time(TIMELINE, timestamp=np.datetime64(frame.frame.stamp_ns, "ns"))
    for name, entity in entities.items():
        stream.log(name, entity)
    return True


def _entities(
    rr: Any, bag: LabelledBag, frame: LabelledFrame, image: ColourImage
) -> Iterator[tuple[str, Any]]:
    info = bag.deserialize(frame.frame.camera_info) if frame.frame.camera_info else None
    camera = camera_info.intrinsics(info, image) if info else None
    if camera:
        yield (
            "camera",
            rr.Pinhole(
                resolution=(camera.width, camera.height),
                focal_length=(camera.fx, camera.fy),
                principal_point=(camera.cx, camera.cy),
            ),
        )
    jpeg = cv2.imencode(".jpg", image.bgr(), _JPEG)[1].tobytes()
    yield "camera/image", rr.EncodedImage(contents=jpeg, media_type="image/jpeg")
    yield "camera/segmentation", rr.SegmentationImage(to_mask(bag.deserialize(frame.mask)))
    yield "camera/confidence", rr.Image(to_mask(bag.deserialize(frame.confidence)))
    depths = (("camera/depth", frame.depth), ("camera/sensor_depth", frame.frame.depth))
    for name, record in depths:
        if record:
            metres = to_depth(bag.deserialize(record))
            yield name, rr.DepthImage(np.nan_to_num(metres), meter=1.0)
