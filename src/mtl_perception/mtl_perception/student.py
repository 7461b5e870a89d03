"""The student as a lifecycle node: colour image in, segmentation and depth out."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool

from mtl_core.errors import MtlError
from mtl_perception import parameters, topics
from mtl_perception.errors import PerceptionError
from mtl_perception.health import Health
from mtl_perception.pipeline import Pipeline

REPORT_PERIOD_S = 1.0


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
        self._health = Health()
        self._pipeline: Pipeline | None = None
        parameters.declare(
            self, parameters.STUDENT, lambda: parameters.state_of(self), self._take_over
        )
        self._diagnostics = self.create_publisher(DiagnosticArray, topics.DIAGNOSTICS, 1)
        self.create_service(SetBool, topics.ENABLE, self._on_enable)
        # A steady clock: with use_sim_time and no /clock, diagnostics are needed most.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(REPORT_PERIOD_S, self._report, clock=steady)

    def autostart(self) -> None:
        """Configure and activate the node if its parameter says so."""
        if not parameters.value(self, "autostart"):
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def close(self) -> None:
        """End the worker thread and frees everything, in whatever state the node is."""
        if self._pipeline is not None:
            self._pipeline.destroy()
            self._pipeline = None

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and creates inputs and outputs; stays unconfigured if that fails."""
        try:
            self._pipeline = Pipeline(self, self._health)
        except (MtlError, PerceptionError) as err:
            self._note_failure(err)
            return TransitionCallbackReturn.FAILURE
        except Exception as err:
            self._note_failure(err)  # rclpy turns it into ErrorProcessing without a word
            raise
        self._health.configured()
        predictor = self._pipeline.predictor
        self.get_logger().info(
            f"model {predictor.path} on {predictor.provider}, "
            f"frames from {self._pipeline.image_topic}"
        )
        return super().on_configure(state)

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
        self._health.configured(error=f"cannot be configured: {type(err).__name__}: {err}")
        self.get_logger().error(self._health.last_error)

    def _report(self) -> None:
        report = DiagnosticArray()
        report.header.stamp = self.get_clock().now().to_msg()
        report.status = [
            self._health.status(
                self.get_fully_qualified_name(),
                self._shown_state(),
                self._facts(),
                self._pipeline.complaint() if self._pipeline else None,
            )
        ]
        self._diagnostics.publish(report)

    def _facts(self) -> dict[str, str]:
        predictor = self._pipeline.predictor if self._pipeline else None
        return {
            "model": str(predictor.path) if predictor else "",
            "provider": predictor.provider if predictor else "",
        }
