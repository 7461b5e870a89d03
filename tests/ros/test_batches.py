"""What is asked together, what takes whose place, and that a bad frame spoils no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from mtl_core.errors import GeometryError, ModelError
from mtl_perception.health import Health
from mtl_perception.laps import Laps
from mtl_perception.latest import Slots
from mtl_perception.pipeline import CATCH_UP, Pipeline

pytestmark = pytest.mark.ros


class Camera:
    """Notes what becomes of its frames, each of which is a word."""

    def __init__(self) -> None:
        self.health, self.sent = Health(), []

    def question(self, arrived: Any) -> Any:
        return SimpleNamespace(
            camera=self,
            image=arrived.word,
            needs_model=arrived.word != "camera_info",
            seen=SimpleNamespace(fx=None),
            laps=Laps("pre", 0.0),
            prepared=None,
            prediction=None,
        )

    def answered(self, question: Any, prediction: str, depth: Any) -> None:
        question.prediction = prediction

    def publish(self, question: Any, label_map: Any, spec: Any) -> None:
        self.sent.append(question.prediction or question.image)

    def reject(self, reason: str) -> None:
        self.health.reject(reason)


class Predictor:
    """Answers with what was prepared last in a row; notes how many were asked at once."""

    depth = label_map = None
    inference_s, max_batch = 0.0, 8
    card = SimpleNamespace(input=None)

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.batches: list[int] = []
        self._meanwhile = meanwhile

    def prepare(self, image: str, fx: float | None, row: int) -> str:
        assert row < self.max_batch
        self._meanwhile()
        if image == "bad":
            raise GeometryError("bad image")
        return image

    def infer(self, images: Sequence[str]) -> list[str]:
        self.batches.append(len(images))
        if "poison" in images:
            raise ModelError("out of memory")
        return [f"answer to {image}" for image in images]


class Desk:
    """A pipeline with its slots, and no thread."""

    def __init__(self, cameras: int, came_meanwhile: Sequence[str] = ()) -> None:
        self.cameras = [Camera() for _ in range(cameras)]
        self.slots: Slots[Camera, Any] = Slots(self.cameras)
        self._coming = list(came_meanwhile)
        self.predictor = Predictor(self._let_one_come)
        self._pipeline: Any = Pipeline.__new__(Pipeline)
        self._pipeline.predictor = self._pipeline._next = self.predictor
        self._pipeline._worker = self.slots
        self._pipeline._node = SimpleNamespace(
            get_logger=lambda: SimpleNamespace(debug=lambda _: None)
        )

    def _let_one_come(self) -> None:
        if self._coming:
            self._put(self.cameras[0], self._coming.pop(0))

    def _put(self, camera: Camera, word: str) -> None:
        camera.health.drop(self.slots.put(camera, SimpleNamespace(camera=camera, word=word)))

    def answer(self, *words: str) -> None:
        """Let a frame of each camera wait, and work on all of them."""
        for camera, word in zip(self.cameras, words, strict=True):
            self._put(camera, word)
        self._pipeline._answer(self.slots.take(len(words)))


def test_frames_that_wait_together_are_one_inference() -> None:
    desk = Desk(3)
    desk.answer("one", "two", "three")
    assert desk.predictor.batches == [3]
    sent = [camera.sent for camera in desk.cameras]
    assert sent == [["answer to one"], ["answer to two"], ["answer to three"]]


def test_a_bad_one_is_rejected_alone() -> None:
    desk = Desk(3)
    desk.answer("one", "bad", "three")
    assert desk.predictor.batches == [2]
    assert [camera.sent for camera in desk.cameras] == [["answer to one"], [], ["answer to three"]]
    assert [camera.health.last_error for camera in desk.cameras] == ["", "bad image", ""]


def test_an_inference_that_fails_is_said_of_each() -> None:
    desk = Desk(2)
    desk.answer("one", "poison")
    assert [camera.health.last_error for camera in desk.cameras] == ["out of memory"] * 2


def test_without_need_of_the_model_there_is_no_inference() -> None:
    desk = Desk(1)
    desk.answer("camera_info")
    assert desk.predictor.batches == []
    assert desk.cameras[0].sent == ["camera_info"]


def test_inference_is_of_the_newest_frame_when_it_begins() -> None:
    """Also of one that came while the one before was laid into the input; that one is counted."""
    desk = Desk(2, ["newer", "newest"])
    desk.answer("old", "other")
    assert desk.predictor.batches == [2]
    assert [camera.sent for camera in desk.cameras] == [["answer to newest"], ["answer to other"]]
    assert [camera.health.dropped for camera in desk.cameras] == [2, 0]


def test_a_bad_newer_frame_does_not_cost_the_good_one() -> None:
    desk = Desk(1, ["bad"])
    desk.answer("good")
    assert desk.cameras[0].sent == ["answer to good"]
    assert (desk.cameras[0].health.dropped, desk.cameras[0].health.rejected) == (0, 1)


def test_a_flood_does_not_put_inference_off() -> None:
    flood = [str(number) for number in range(2 * CATCH_UP)]
    desk = Desk(1, flood)
    desk.answer("first")
    assert desk.cameras[0].sent == [f"answer to {flood[CATCH_UP - 2]}"]
    assert desk.cameras[0].health.dropped == CATCH_UP - 1
    waiting = desk.slots.take()
    assert [one.word for one in waiting] == [flood[CATCH_UP - 1]]


def test_more_frames_than_another_model_takes_at_once_are_answered_in_parts() -> None:
    """They were taken before it came."""
    desk = Desk(3)
    desk.predictor.max_batch = 2
    desk.answer("one", "two", "three")
    assert desk.predictor.batches == [2, 1]
    sent = [camera.sent for camera in desk.cameras]
    assert sent == [["answer to one"], ["answer to two"], ["answer to three"]]
