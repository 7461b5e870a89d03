"""From cameras through one model to the output topics."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Mapping
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.callback_groups import CallbackGroup
from rclpy.lifecycle import LifecycleNode

from mtl_core.errors import MtlError
from mtl_perception import parameters
from mtl_perception.camera import Arrived, Camera, Question
from mtl_perception.health import Complaint, Health
from mtl_perception.latest import Worker
from mtl_perception.loading import load_student


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
        asked = [question for one in arrived if (question := self._question(one))]
        self._predict([question for question in asked if question.needs_model])
        for question in asked:
            if question.prediction or not question.needs_model:
                self._publish(question)

    def _question(self, arrived: Arrived) -> Question | None:
        """Decode a frame, or the one that came while it was decoded: inference is of the newest."""
        question, worker = self._decoded(arrived), self._worker
        while question and worker and (newer := worker.newer(arrived.camera)):
            arrived.camera.health.drop(1)
            question = self._decoded(newer)
        return question

    def _decoded(self, arrived: Arrived) -> Question | None:
        try:
            return arrived.camera.question(arrived)
        except Exception as err:  # one bad frame must not end the thread that serves the next
            self._reject(arrived.camera, err)
            return None

    def _predict(self, asked: list[Question]) -> None:
        """Ask the model of all frames at once."""
        if not asked:
            return
        try:
            predictions = self.predictor.predict_batch(
                [question.image for question in asked], [question.seen.fx for question in asked]
            )
        except Exception as err:
            if len(asked) == 1:
                self._reject(asked[0].camera, err)
                return
            for question in asked:  # one bad frame must not spoil those of other cameras
                self._predict([question])
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
        if isinstance(err, MtlError):
            camera.reject(str(err))
            return
        camera.reject(f"unexpected {type(err).__name__}: {err}")
        self._node.get_logger().debug(traceback.format_exc())
