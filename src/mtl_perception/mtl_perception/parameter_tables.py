"""The nodes' parameters: one table each gives names, defaults, ranges and what they mean.

`config/*.yaml` and the launch files repeat no default of their own; tests hold them to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.exceptions import InvalidTopicNameException
from rclpy.validate_topic_name import validate_topic_name

from mtl_bags.frames import SLOP_NS
from mtl_core.providers import CHOICES
from mtl_perception.parameters import Spec


def camera_fault(names: Sequence[str]) -> str:
    """Why these cannot be the names of cameras; empty if they can."""
    if not names or len(set(names)) < len(names):
        return f"got {list(names)}, expected one name or more, each once"
    if list(names) == [""]:
        return ""
    faults = ((name, _topic_fault(name)) for name in names)
    return "; ".join(
        f"got {name!r}, expected the beginning of a topic: {fault}"
        for name, fault in faults
        if fault
    )


def _topic_fault(name: str) -> str:
    try:
        validate_topic_name(name)
    except InvalidTopicNameException as err:
        return str(err).splitlines()[0]
    return ""


STUDENT = (
    Spec(
        "autostart",
        True,
        "Configure and activate at start; false leaves that to a lifecycle manager.",
        "at start",
    ),
    Spec(
        "model",
        "",
        "ONNX file of the student: a path, or the name of one that ships with the package; "
        "empty: the package's default. In a configured node the new one is loaded beside the old "
        "one and takes over between two frames; if it cannot be used, the old one stays.",
    ),
    Spec(
        "lazy",
        True,
        "Subscribe a camera only while one of its outputs is subscribed; false: always.",
    ),
    Spec(
        "cameras",
        [""],
        "Names of cameras whose topics lie in a namespace each, such as front/image; they share "
        "the model and are served in turn. One empty name: a single camera, without one.",
        "while unconfigured",
        fault=camera_fault,
    ),
    Spec(
        "provider",
        "auto",
        "Where the model runs. auto: on CUDA where it works, else on the CPU; cuda, tensorrt: "
        "there, and where that does not work on what comes next, with a warning.",
        "while unconfigured",
        choices=tuple(CHOICES),
    ),
    Spec(
        "provider_required",
        False,
        "Another provider than the one that is named is an error.",
        "while unconfigured",
    ),
    Spec(
        "precision",
        "fp32",
        "fp32: the model as it is; int8: its twin, the file beside it whose name ends in -int8; "
        "auto: that one on CPUs which are made for it (VNNI), if there is one.",
        "while unconfigured",
        choices=("fp32", "int8", "auto"),
    ),
    Spec(
        "threads",
        0,
        "Threads of one inference; 0: one for each core.",
        "while unconfigured",
        limits=(0, 256),
    ),
    Spec(
        "max_batch",
        0,
        "Frames, of a camera each, that one inference answers at most; 0: all that wait on a GPU, "
        "one on a CPU, where a batch takes as long as its frames one by one.",
        "while unconfigured",
        limits=(0, 64),
    ),
    Spec(
        "cache",
        "",
        "Folder for what TensorRT builds; empty: mtl_perception in $XDG_CACHE_HOME or ~/.cache.",
        "while unconfigured",
    ),
    Spec(
        "build_only",
        False,
        "Load the model, so that everything it needs is built and kept in the cache, and end.",
        "at start",
    ),
    Spec(
        "image_transport",
        "raw",
        "Which input to subscribe: image (raw) or image/compressed (compressed).",
        "while unconfigured",
        choices=("raw", "compressed"),
    ),
    Spec(
        "output_size",
        "input",
        "Size of the outputs: the input's, or the model's (model), which is smaller and faster; "
        "camera_info goes along.",
        choices=("input", "model"),
    ),
    Spec(
        "min_confidence",
        0.0,
        "A mask pixel is 255 where the confidence is below this share; 0: never.",
        limits=(0.0, 1.0),
    ),
    Spec(
        "depth_encoding",
        "32FC1",
        "Encoding of depth/image: 32FC1 is metres, 16UC1 millimetres with 0 = invalid.",
        choices=("32FC1", "16UC1"),
    ),
    Spec(
        "max_range",
        10.0,
        "Points of depth/points farther away than so many metres are NaN.",
        limits=(0.0, 1000.0),
    ),
    Spec(
        "max_age",
        0.0,
        "A frame whose stamp is more than so many seconds behind the node's clock when it is its "
        "turn is not answered but counted; 0: any is.",
        limits=(0.0, 3600.0),
    ),
    Spec(
        "stale_after",
        5.0,
        "Diagnostics say STALE after so many seconds without an image while active; 0: never.",
        limits=(0.0, 3600.0),
    ),
    Spec(
        "scale_source",
        "none",
        "What corrects the scale of depth: a depth image registered to the image on scale/depth "
        "(depth), a cloud in the camera's optical frame on scale/points (points), or none.",
        "while unconfigured",
        choices=("none", "depth", "points"),
    ),
    Spec(
        "scale_limit",
        2.0,
        "Depth is corrected by a factor of at most so much, or its inverse.",
        "while unconfigured",
        limits=(1.0, 10.0),
    ),
    Spec(
        "scale_time",
        1.0,
        "Time constant with which the correction follows what is measured, seconds; 0: at once.",
        "while unconfigured",
        limits=(0.0, 60.0),
    ),
    Spec(
        "scale_slop",
        SLOP_NS / 1e9,
        "Largest difference between the stamps of an image and a measurement, seconds.",
        "while unconfigured",
        limits=(0.0, 1.0),
    ),
    Spec(
        "rectified",
        False,
        "Images are rectified though their camera_info names a distortion, as those of image_proc "
        "are; false: such a camera_info is a warning.",
    ),
    Spec(
        "fallback_fx",
        0.0,
        "Focal length in pixels of the input image's width that scales depth while camera_info "
        "gives none; 0: the one the model was trained at.",
        limits=(0.0, 100_000.0),
    ),
)


TEACHER = (
    Spec(
        "model",
        "",
        "ONNX file of the teacher: a path, or the name of one that ships with the package; "
        "empty: the package's own.",
        "at start",
    ),
    Spec("threads", 0, "Threads of one inference; 0: one for each core.", "at start",
         limits=(0, 256)),
    Spec(
        "image_transport",
        "raw",
        "Which input to subscribe: image (raw) or image/compressed (compressed).",
        "at start",
        choices=("raw", "compressed"),
    ),
    Spec(
        "depth_transport",
        "none",
        "The sensor's depth, registered to the image: depth_image (raw), "
        "depth_image/compressedDepth (compressedDepth), or none.",
        "at start",
        choices=("none", "raw", "compressedDepth"),
    ),
    Spec(
        "slop",
        SLOP_NS / 1e9,
        "Largest difference between the stamps of image and depth, seconds.",
        "at start",
        limits=(0.0, 1.0),
    ),
    Spec(
        "queue",
        100,
        "Frames that may wait; when more come, the oldest is dropped and counted.",
        "at start",
        limits=(1, 10_000),
    ),
    Spec("flip", True, "Ask the teacher for the mirror image too.", "at start"),
    Spec(
        "depth_everywhere", False, "Publish depth also where the sensor has measured.", "at start"
    ),
    Spec(
        "fallback_fx",
        0.0,
        "Focal length in pixels of the image's width where no camera_info gives it; "
        "0: the one the model was trained at.",
        "at start",
        limits=(0.0, 100_000.0),
    ),
    Spec(
        "reliable",
        True,
        "Ask for lossless transport, as players offer it; a camera that publishes best effort "
        "needs false.",
        "at start",
    ),
)  # fmt: skip
