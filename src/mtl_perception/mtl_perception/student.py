"""The student as a lifecycle node: colour image in, segmentation and depth out."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool

from mtl_core.errors import MtlError
from mtl_perception import parameters, topics
from mtl_perception.errors import PerceptionError
from mtl_perception.health import Health
from mtl_perception.parameter_tables import STUDENT
from mtl_perception.pipeline import Pipeline
from mtl_perception.process import release_signals

REPORT_PERIOD_S = 1.0
LOOK_PERIOD_S = 0.25
"""How often it is looked whether anybody reads what a camera's frames are for."""


class StudentNode(LifecycleNode):
    """Creates its pipeline in configure, publishes in active, frees it in cleanup.

    A configuration that fails leaves the node unconfigured with the reason in log and diagnostics;
    after `model` is set it can be configured again.
    """

    def __init__(self) -> None:
        """Declare parameters; nothing is loaded yet.

        Raises:
            rclpy.exceptions.ParameterException: A start value is refused.
        """
        super().__init__("student")
        self._pipeline: Pipeline | None = None
        # Frames and reports, which go on while a service loads a model.
        self.live = MutuallyExclusiveCallbackGroup()
        parameters.declare(self, STUDENT, lambda: parameters.state_of(self), self._take_over)
        self._healths: dict[str, Health] = {}
        self._know_cameras()
        self._diagnostics = self.create_publisher(DiagnosticArray, topics.DIAGNOSTICS, 1)
        self.create_service(SetBool, topics.ENABLE, self._on_enable)
        # A steady clock: with use_sim_time and no /clock, diagnostics are needed most.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        for period_s, work in ((REPORT_PERIOD_S, self._report), (LOOK_PERIOD_S, self._look)):
            self.create_timer(period_s, work, clock=steady, callback_group=self.live)

    def autostart(self) -> int | None:
        """Configure and activate the node if its parameter says so.

        Returns:
            The exit status if there is nothing more to do: `build_only` ended, well or not.
        """
        if parameters.value(self, "build_only"):
            return self._build()
        if not parameters.value(self, "autostart"):
            return None
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()
        return None

    def _build(self) -> int:
        release_signals()  # it may take minutes
        self.trigger_configure()
        if self._pipeline is None:
            return 1
        verdict = self._pipeline.predictor.model.verdict
        return 1 if verdict.fallback else 0

    def _know_cameras(self) -> None:
        """Count for the cameras that the parameter names; those known already go on."""
        names = parameters.value(self, "cameras")
        self._healths = {name: self._healths.get(name, Health()) for name in names}

    def close(self) -> None:
        """End the worker thread and frees everything, in whatever state the node is."""
        if self._pipeline is not None:
            self._pipeline.destroy()
            self._pipeline = None

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and creates inputs and outputs; stays unconfigured if that fails."""
        self._know_cameras()
        try:
            self._pipeline = Pipeline(self, self._healths, self.live)
        except (MtlError, PerceptionError) as err:
            self._note_failure(err)
            return TransitionCallbackReturn.FAILURE
        except Exception as err:
            self._note_failure(err)  # rclpy turns it into ErrorProcessing without a word
            raise
        for health in self._healths.values():
            health.configured()
        self._announce(self._pipeline)
        return super().on_configure(state)

    def _announce(self, pipeline: Pipeline) -> None:
        topics_read = ", ".join(camera.image_topic for camera in pipeline.cameras.values())
        self.get_logger().info(f"model {pipeline.predictor.path}, frames from {topics_read}")
        verdict = pipeline.predictor.model.verdict
        say = self.get_logger().warning if verdict.fallback else self.get_logger().info
        say(f"provider: {verdict.text}")

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to answer frames."""
        result = super().on_activate(state)
        if self._pipeline is not None:
            self._pipeline.start()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Finish the frame at hand; nothing is published afterwards."""
        if self._pipeline is not None:
            self._pipeline.stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free model, inputs and outputs."""
        self.close()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free model, inputs and outputs."""
        self.close()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything; the node is unconfigured and can be configured again."""
        self.close()
        return super().on_error(state)

    def _take_over(self, values: Mapping[str, parameters.Value]) -> str:
        """Load a new model beside the old one; returns why that cannot be done."""
        if self._pipeline is None or "model" not in values:
            return ""
        try:
            path = self._pipeline.take_over(str(values["model"]))
        except (MtlError, PerceptionError) as err:
            return f"model: {err}; the old one stays"
        except Exception as err:  # whatever happens to the new one, the old one goes on
            return f"model: unexpected {type(err).__name__}: {err}; the old one stays"
        self.get_logger().info(f"model {path} takes over")
        return ""

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if self._pipeline is None:
            response.success, response.message = False, "there is nothing to pause: not configured"
            return response
        self._pipeline.enabled = request.data
        response.success, response.message = True, self._shown_state()
        self.get_logger().info(response.message)
        return response

    def _shown_state(self) -> str:
        paused = self._pipeline is not None and not self._pipeline.enabled
        return parameters.state_of(self) + (", paused" if paused else "")

    def _note_failure(self, err: Exception) -> None:
        error = f"cannot be configured: {type(err).__name__}: {err}"
        for health in self._healths.values():
            health.configured(error)
        self.get_logger().error(error)

    def _look(self) -> None:
        if self._pipeline is not None:
            self._pipeline.look()

    def _report(self) -> None:
        report = DiagnosticArray()
        report.header.stamp = self.get_clock().now().to_msg()
        pipeline = self._pipeline
        report.status = [
            health.status(
                self.get_fully_qualified_name(),
                camera or "frames",
                self._shown_state(),
                self._facts(pipeline, camera),
                pipeline.complaint(camera) if pipeline else None,
            )
            for camera, health in self._healths.items()
        ]
        self._diagnostics.publish(report)

    def _facts(self, pipeline: Pipeline | None, camera: str) -> dict[str, str]:
        if pipeline is None:
            return dict.fromkeys(("model", "model_sha256", "provider", "provider_choice"), "")
        predictor = pipeline.predictor
        return {
            "model": str(predictor.path),
            "model_sha256": predictor.model.sha256,
            "provider": predictor.provider,
            "provider_choice": predictor.model.verdict.text,
            **pipeline.cameras[camera].facts(),
        }
