"""Pinhole camera geometry in the optical frame: x right, y down, z forward (REP 103).

Pixel centres lie at integer coordinates, as in OpenCV: the image covers [-0.5, width - 0.5].
Resizing by s therefore moves a centre to ``(u + 0.5) * s - 0.5``. image_pipeline's resize node
ignores the half pixel; at a factor of 2 its principal point is off by a quarter of a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mtl_core.errors import GeometryError


@dataclass(frozen=True)
class Intrinsics:
    """Intrinsics of a rectified pinhole camera, all in pixels of an image of width x height.

    Raises:
        GeometryError: A size or a focal length is not positive, or a number is not finite.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        """Refuse what no camera can have."""
        if self.width <= 0 or self.height <= 0:
            raise GeometryError(f"image size must be positive, got {self.width}x{self.height}")
        if not all(math.isfinite(v) for v in (self.fx, self.fy, self.cx, self.cy)):
            raise GeometryError(f"intrinsics must be finite, got {self}")
        if self.fx <= 0 or self.fy <= 0:
            raise GeometryError(f"focal lengths must be positive, got fx={self.fx} fy={self.fy}")

    def resized(self, width: int, height: int) -> Intrinsics:
        """The same camera after its image was resized to width x height."""
        sx, sy = width / self.width, height / self.height
        return Intrinsics(
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
        )

    def cropped(self, left: int, top: int, width: int, height: int) -> Intrinsics:
        """The same camera after a crop whose upper left pixel is (left, top)."""
        return Intrinsics(width, height, self.fx, self.fy, self.cx - left, self.cy - top)

    def flipped(self) -> Intrinsics:
        """The same camera after its image was mirrored left to right."""
        return Intrinsics(
            self.width, self.height, self.fx, self.fy, self.width - 1 - self.cx, self.cy
        )

    def slopes(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """X (W,) and y (H,) float32 at depth 1, of each column and row."""
        u = (np.arange(self.width) - self.cx) / self.fx
        v = (np.arange(self.height) - self.cy) / self.fy
        return u.astype(np.float32), v.astype(np.float32)

    def rays(self) -> npt.NDArray[np.float32]:
        """Viewing rays (H, W, 3) float32 with z = 1: a point at depth d lies at ``d * ray``."""
        rays = np.ones((self.height, self.width, 3), np.float32)
        rays[..., 0], rays[..., 1] = self.slopes()[0], self.slopes()[1][:, None]
        return rays


def coordinates(
    depth: npt.NDArray[np.float32], intrinsics: Intrinsics
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """X, y and z of `organised_points`, (H, W) float32 each; arguments and errors are the same."""
    if depth.shape != (intrinsics.height, intrinsics.width):
        raise GeometryError(
            f"depth is {depth.shape[::-1]}, intrinsics are for "
            f"{(intrinsics.width, intrinsics.height)} (width, height)"
        )
    u, v = intrinsics.slopes()
    z = depth.astype(np.float32, copy=False)
    return z * u, z * v[:, None], z


def organised_points(
    depth: npt.NDArray[np.float32], intrinsics: Intrinsics
) -> npt.NDArray[np.float32]:
    """Back-project a depth image.

    Args:
        depth: (H, W) float32, metres along the Z axis, NaN = unknown.
        intrinsics: The camera at the depth image's size.

    Returns:
        (H, W, 3) float32, metres in the optical frame, NaN where depth is NaN.

    Raises:
        GeometryError: The depth image and the intrinsics differ in size.
    """
    return np.stack(coordinates(depth, intrinsics), axis=-1)
