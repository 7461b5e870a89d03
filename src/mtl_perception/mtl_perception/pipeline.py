"""From cameras through one model to the output topics."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import CallbackGroup
from rclpy.lifecycle import LifecycleNode

from mtl_bags.errors import BagError
from mtl_core.errors import MtlError
from mtl_perception import parameters
from mtl_perception.camera import Arrived, Camera, Question
from mtl_perception.health import Complaint, Health
from mtl_perception.latest import Worker
from mtl_perception.loading import load_student

CATCH_UP = 5
"""So often frames are prepared at most before an inference: a flood of them must not put it off."""


class Pipeline:
    """One model and one thread that works for all cameras, the newest frame of each in turn.

    The executor's threads only leave frames; the worker decodes, infers and publishes, so that
    services and parameters are answered meanwhile.

    Attributes:
        cameras: By name.
        enabled: Whether frames are looked at.
    """

    def __init__(
        self, node: LifecycleNode, healths: Mapping[str, Health], live: CallbackGroup
    ) -> None:
        """Load the model and create inputs and outputs; frames are ignored until `start`.

        Args:
            node: Whose parameters, publishers and logger are used.
            healths: Where frames are counted, by camera.
            live: In which frames are taken in.

        Raises:
            MtlError: The model cannot be used.
            PerceptionError: The package's own model cannot be found.
        """
        self._node = node
        self.predictor = self._next = load_student(node, parameters.value(node, "model"))
        self._worker: Worker[Camera, Arrived] | None = None
        self.enabled, self._gone = True, False
        self._changing = threading.Lock()  # cleanup comes from another thread than `look`
        said = self.predictor.model.outputs
        self.cameras = {
            name: Camera(node, name, health, said, self._take, live)
            for name, health in healths.items()
        }

    def start(self) -> None:
        """Say what the masks will mean, and begin to answer frames."""
        self.predictor = self._next
        for camera in self.cameras.values():
            camera.begin()
            camera.publish_label_info(self.predictor.label_map)
        self._worker = Worker(
            self._answer, "student", self.cameras.values(), lambda: self._next.max_batch
        )

    def stop(self) -> None:
        """Finish the frames at hand and join the worker; does nothing if it is stopped."""
        worker, self._worker = self._worker, None
        if worker is not None:
            for camera in worker.stop():
                camera.health.drop(1)

    def destroy(self) -> None:
        """Stop, and take inputs and outputs off the node."""
        self.stop()
        with self._changing:
            self._gone = True
            for camera in self.cameras.values():
                camera.destroy()

    def look(self) -> None:
        """Subscribe the cameras of which something is wanted, and only those."""
        at_work = self._worker is not None and self.enabled
        lazy = parameters.value(self._node, "lazy")
        with self._changing:
            for camera in () if self._gone else self.cameras.values():
                camera.listen(at_work and (not lazy or bool(camera.outputs.wanted())))

    def take_over(self, model: str) -> Path:
        """Load a model that answers from the next frame on, and return its file.

        Raises:
            MtlError: It cannot be used.
            PerceptionError: The package's own model cannot be found.
        """
        loaded = load_student(self._node, model)
        for camera in self.cameras.values():
            camera.outputs.check(loaded.model.outputs)
        self._next = loaded
        if self._worker is None:
            self._switch()
        return loaded.path

    def complaint(self, camera: str) -> Complaint | None:
        """What is wrong with a camera beside its frames."""
        if self._worker is None or not self.enabled:
            return None
        verdict = self.predictor.model.verdict
        fallback = Complaint(DiagnosticStatus.WARN, verdict.text) if verdict.fallback else None
        return self.cameras[camera].complaint() or fallback

    def _switch(self) -> None:
        """Let the newest model answer, between two frames."""
        known, self.predictor = self.predictor.label_map, self._next
        other = self._worker is not None and known != self.predictor.label_map
        for camera in self.cameras.values():
            camera.new_model(self.predictor.label_map, other_classes=other)

    def _take(self, arrived: Arrived) -> int | None:
        worker = self._worker
        return (
            worker.offer(arrived.camera, arrived) if worker is not None and self.enabled else None
        )

    def _answer(self, arrived: list[Arrived]) -> None:
        if self._next is not self.predictor:
            self._switch()
        most = self.predictor.max_batch  # the model may be another one than when they were taken
        for first in range(0, len(arrived), most):
            self._answer_together(arrived[first : first + most])

    def _answer_together(self, arrived: Sequence[Arrived]) -> None:
        asked = self._asked(arrived)
        self._predict([question for question in asked if question.prepared])
        for question in asked:
            if question.prediction or not question.prepared:
                self._publish(question)

    def _asked(self, arrived: Sequence[Arrived]) -> list[Question]:
        """Lay frames into the model's input, then those that came meanwhile in their place.

        So inference is of the newest ones; an older one stays where a newer one is of no use.
        """
        rows = {one.camera: row for row, one in enumerate(arrived)}
        asked: dict[Camera, Question] = {}
        for attempt in range(CATCH_UP):
            for one in self._newer(asked) if attempt else arrived:
                if question := self._question(one, rows[one.camera]):
                    one.camera.health.drop(int(one.camera in asked))
                    asked[one.camera] = question
        return list(asked.values())

    def _newer(self, cameras: Iterable[Camera]) -> list[Arrived]:
        worker = self._worker
        found = [worker.newer(camera) for camera in cameras] if worker else []
        return [one for one in found if one]

    def _question(self, arrived: Arrived, row: int) -> Question | None:
        """Decode a frame, and lay it into a row of the input if the model is needed."""
        try:
            question = arrived.camera.question(arrived)
            if question and question.needs_model:
                fx = question.seen.fx
                question.prepared = self.predictor.prepare(question.image, fx, row)
        except Exception as err:  # one bad frame must not end the thread that serves the next
            self._reject(arrived.camera, err)
            return None
        return question

    def _predict(self, asked: Sequence[Question]) -> None:
        """Ask the model of all frames at once."""
        if not asked:
            return
        try:
            predictions = self.predictor.infer([one.prepared for one in asked if one.prepared])
        except Exception as err:
            for question in asked:
                self._reject(question.camera, err)
            return
        for question, prediction in zip(asked, predictions, strict=True):
            question.laps.switch("wait")  # for those before it
            question.laps.move("pre", "infer", self.predictor.inference_s)
            try:
                question.camera.answered(question, prediction, self.predictor.depth)
            except Exception as err:
                self._reject(question.camera, err)

    def _publish(self, question: Question) -> None:
        try:
            question.laps.switch("post")
            question.camera.publish(question, self.predictor.label_map, self.predictor.card.input)
        except Exception as err:
            self._reject(question.camera, err)

    def _reject(self, camera: Camera, err: Exception) -> None:
        if isinstance(err, (MtlError, BagError)):
            camera.reject(str(err))
            return
        camera.reject(f"unexpected {type(err).__name__}: {err}")
        self._node.get_logger().debug(traceback.format_exc())
