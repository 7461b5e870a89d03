"""How camera and labels are drawn in the Rerun viewer: the one way of it, for files and live.

Entities: `camera` is the pinhole, below it `image`, `segmentation`, `confidence`, `depth` and
`sensor_depth`, in pixels; `points` stands beside it, in metres in the optical frame; `diagnostics`
are numbers over time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mtl_bags.clouds import to_labelled_points
from mtl_bags.errors import BagError
from mtl_bags.messages import to_depth, to_mask
from mtl_core.geometry import Intrinsics
from mtl_core.images import ColourImage
from mtl_core.labels import LabelMap

TIMELINE = "stamp"
"""Stamps of the messages."""

POINTS = 50_000
"""Of a cloud, at most: more cannot be told apart on a screen, and cost the viewer its rate."""

_IMAGES = (("image", "segmentation"), ("confidence",), ("depth",), ("sensor_depth",))
"""Entities under `camera` that are shown side by side."""

_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]


class Drawing:
    """What a camera sees and what is said of it, drawn into one Rerun recording.

    Args:
        name: Of the application, as the viewer shows it.
        recording: Of this recording.
        space: Entity that is shown in space, where the image stands in front of the camera.

    Raises:
        BagError: Rerun is not installed.

    Attributes:
        stream: The `rerun.RecordingStream`.
    """

    def __init__(self, name: str, recording: str, space: str = "points") -> None:
        """Begin a recording that goes nowhere yet."""
        self._rr, self._space = _rerun(), space
        self._drawn: list[tuple[str | list[object], Any]] = []
        self.stream = self._rr.RecordingStream(name, recording_id=recording)

    @contextmanager
    def saved(self, out: Path) -> Iterator[None]:
        """Write all that is drawn inside the block to an .rrd file, which appears at its end.

        Raises:
            BagError: The file cannot be written.
        """
        growing = out.with_name(f".{out.name}.partial")
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            self.stream.save(growing, default_blueprint=self._blueprint())
            self._begin()
            yield
            self._end()
            os.replace(growing, out)
        except (OSError, RuntimeError) as err:  # Rerun's own errors are of the second kind
            raise BagError(f"cannot write {out}: {err}") from err
        finally:
            growing.unlink(missing_ok=True)

    @contextmanager
    def shown(self, address: str = "") -> Iterator[None]:
        """Show all that is drawn inside the block.

        Args:
            address: Of a viewer, such as `rerun+http://127.0.0.1:9876/proxy`; empty: start one.

        Raises:
            BagError: There is no viewer.
        """
        blueprint = self._blueprint()
        try:
            if address:
                self.stream.connect_grpc(address, default_blueprint=blueprint)
            else:
                self.stream.spawn(default_blueprint=blueprint)
            self._begin()
            yield
            self._end()
        except (OSError, RuntimeError) as err:
            raise BagError(f"no viewer: {err}") from err

    def _begin(self) -> None:
        # The optical frame: x right, y down, z forward.
        self.stream.log("/", self._rr.ViewCoordinates.RDF, static=True)

    def _end(self) -> None:
        self.stream.flush()
        self.stream.disconnect()

    @contextmanager
    def moment(self, stamp_ns: int) -> Iterator[None]:
        """Draw all that the block draws at this time, or nothing of it if it fails."""
        self._drawn = []
        yield
        self.stream.set_time(TIMELINE, timestamp=np.datetime64(stamp_ns, "ns"))
        for entity, what in self._drawn:
            self.stream.log(entity, what)

    def _draw(self, entity: str | list[object], what: Any) -> None:
        self._drawn.append((entity, what))

    def classes(self, label_map: LabelMap) -> None:
        """Name and colour the classes, of all that was and will be drawn."""
        pairs = zip(label_map.classes, label_map.colours, strict=True)
        names = [(number, name, colour) for number, (name, colour) in enumerate(pairs)]
        self.stream.log("/", self._rr.AnnotationContext(names), static=True)

    def camera(self, camera: Intrinsics) -> None:
        """Draw where the images are taken from."""
        pinhole = self._rr.Pinhole(
            resolution=(camera.width, camera.height),
            focal_length=(camera.fx, camera.fy),
            principal_point=(camera.cx, camera.cy),
        )
        self._draw("camera", pinhole)

    def image(self, image: ColourImage) -> None:
        """Draw what the camera sees."""
        jpeg = cv2.imencode(".jpg", image.bgr(), _JPEG)[1].tobytes()
        picture = self._rr.EncodedImage(contents=jpeg, media_type="image/jpeg")
        self._draw("camera/image", picture)

    def mask(self, message: Any) -> None:
        """Draw the class ids in an image message."""
        self._draw("camera/segmentation", self._rr.SegmentationImage(to_mask(message)))

    def confidence(self, message: Any) -> None:
        """Draw the confidences in an image message."""
        self._draw("camera/confidence", self._rr.Image(to_mask(message)))

    def depth(self, message: Any, name: str = "depth") -> None:
        """Draw the depth in an image message; `sensor_depth` is that of a sensor."""
        metres = np.nan_to_num(to_depth(message))
        self._draw(f"camera/{name}", self._rr.DepthImage(metres, meter=1.0))

    def points(self, message: Any) -> None:
        """Draw a cloud in the colours of its labels, where it has some."""
        points, labels = to_labelled_points(message, POINTS)
        self._draw("points", self._rr.Points3D(points, class_ids=labels))

    def numbers(self, of: str, values: Mapping[str, float]) -> None:
        """Draw one point of each curve, such as `rate_out_hz` of `student: front`."""
        for name, value in values.items():
            self._draw(["diagnostics", of, name], self._rr.Scalars(value))

    def _blueprint(self) -> Any:
        """Side by side, since one picture hides the other."""
        blueprint = self._rr.blueprint
        views = (
            blueprint.Spatial2DView(
                origin="camera", name=names[-1], contents=[f"camera/{name}" for name in names]
            )
            for names in _IMAGES
        )
        space = blueprint.Spatial3DView(
            origin="/", name="space", contents=[self._space, "camera", "camera/image"]
        )
        curves = blueprint.TimeSeriesView(origin="diagnostics", name="diagnostics")
        return blueprint.Blueprint(blueprint.Grid(*views, space, curves))


def _rerun() -> Any:
    try:
        import rerun
    except ImportError as err:
        raise BagError("the viewer needs Rerun: pip install 'mtl_bags[rerun]'") from err
    return rerun
