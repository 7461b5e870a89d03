"""Frames that wait together are asked together, and one that the model fails at spoils no other."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from mtl_core.errors import GeometryError
from mtl_perception.laps import Laps
from mtl_perception.pipeline import Pipeline

pytestmark = pytest.mark.ros


class Camera:
    """Notes what becomes of its frames."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.reasons: list[str] = []

    def answered(self, question: Any, prediction: Any, depth: Any) -> None:
        question.prediction = prediction
        self.answers.append(prediction)

    def reject(self, reason: str) -> None:
        self.reasons.append(reason)


class Predictor:
    """Answers with the image itself, but for a bad one; notes how many were asked at once."""

    depth, inference_s = None, 0.0

    def __init__(self) -> None:
        self.batches: list[int] = []

    def predict_batch(self, images: Sequence[str], fxs: Sequence[float | None]) -> list[str]:
        self.batches.append(len(images))
        if "bad" in images:
            raise GeometryError("bad image")
        return list(images)


def asked(*images: str) -> tuple[Predictor, list[Camera]]:
    """Let a pipeline's model answer an image of each of so many cameras."""
    pipeline: Any = Pipeline.__new__(Pipeline)
    pipeline.predictor = Predictor()
    cameras = [Camera() for _ in images]
    pipeline._predict(
        [
            SimpleNamespace(
                camera=camera, image=image, seen=SimpleNamespace(fx=None), laps=Laps("pre", 0.0)
            )
            for camera, image in zip(cameras, images, strict=True)
        ]
    )
    return pipeline.predictor, cameras


def test_frames_that_wait_together_are_one_inference() -> None:
    predictor, cameras = asked("one", "two", "three")
    assert predictor.batches == [3]
    assert [camera.answers for camera in cameras] == [["one"], ["two"], ["three"]]


def test_a_bad_one_is_rejected_alone() -> None:
    predictor, cameras = asked("one", "bad", "three")
    assert predictor.batches == [3, 1, 1, 1]
    assert [camera.answers for camera in cameras] == [["one"], [], ["three"]]
    assert [camera.reasons for camera in cameras] == [[], ["bad image"], []]


def test_nothing_asked_is_no_inference() -> None:
    assert asked()[0].batches == []
