"""A labelled recording as an .rrd file for the Rerun viewer: images, labels, depths over time."""

from __future__ import annotations

from pathlib import Path

from mtl_bags import camera_info
from mtl_bags.drawing import Drawing
from mtl_bags.errors import BagError
from mtl_bags.labelled import LabelledBag, LabelledFrame, Track
from mtl_bags.messages import to_colour_image
from mtl_core.errors import MtlError


def write_rerun(bag: LabelledBag, out: Path, track: Track = lambda frames, _: frames) -> int:
    """Write what a labelled recording holds for the Rerun viewer.

    Image, classes, confidence, the teacher's depth and the sensor's, as `drawing` lays them out,
    on the timeline of the images' stamps. Frames that cannot be read are left out, as in the
    report.

    Args:
        bag: The labelled recording.
        out: The .rrd file, which appears when it is complete.
        track: Wraps the frames, such as in a progress bar.

    Returns:
        How many frames were written.

    Raises:
        BagError: Rerun is not installed, or the file cannot be written.
    """
    drawing = Drawing("mtl_bags", bag.path.resolve().name, space="camera/depth")
    with drawing.saved(out):
        drawing.classes(bag.label_map)
        return sum(_drawn(drawing, bag, frame) for frame in track(bag, bag.camera.colour.count))


def _drawn(drawing: Drawing, bag: LabelledBag, frame: LabelledFrame) -> bool:
    """Draw a frame, unless it cannot be read."""
    try:
        with drawing.moment(frame.frame.stamp_ns):
            _draw(drawing, bag, frame)
    except (BagError, MtlError):
        return False
    return True


def _draw(drawing: Drawing, bag: LabelledBag, frame: LabelledFrame) -> None:
    image = to_colour_image(bag.deserialize(frame.frame.image))
    info = bag.deserialize(frame.frame.camera_info) if frame.frame.camera_info else None
    if camera := info and camera_info.intrinsics(info, image):
        drawing.camera(camera)
    drawing.image(image)
    drawing.mask(bag.deserialize(frame.mask))
    drawing.confidence(bag.deserialize(frame.confidence))
    for name, record in (("depth", frame.depth), ("sensor_depth", frame.frame.depth)):
        if record:
            drawing.depth(bag.deserialize(record), name)
