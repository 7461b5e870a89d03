"""The other side of a node under test: starts it as a process and talks to it over DDS."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from mtl_perception import environment

environment.prepare()  # before rclpy is imported

with warnings.catch_warnings():  # the parser generator below ROS's messages warns on Python 3.11
    warnings.simplefilter("ignore")
    import rosidl_generator_py  # noqa: F401

import rclpy  # noqa: E402
from builtin_interfaces.msg import Time  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rcl_interfaces.srv import DescribeParameters, SetParameters  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2  # noqa: E402

from mtl_perception import topics  # noqa: E402
from mtl_perception.domain import own_domain  # noqa: E402
from mtl_perception.health import OUTCOMES  # noqa: E402

PATIENCE_S = 60.0
"""Far more than anything here takes: what ends a test that would hang, not a measure of speed."""

RESEND_S = 1.0
TYPES: dict[str, type] = {
    topics.MASK: Image,
    topics.CONFIDENCE: Image,
    topics.OVERLAY: Image,
    topics.DEPTH: Image,
    topics.UNCERTAINTY: Image,
    topics.POINTS: PointCloud2,
    topics.SEGMENTATION_CAMERA_INFO: CameraInfo,
    topics.DEPTH_CAMERA_INFO: CameraInfo,
}
INPUTS: dict[type, str] = {
    Image: topics.IMAGE,
    CompressedImage: topics.compressed(topics.IMAGE),
    CameraInfo: topics.CAMERA_INFO,
}
T = TypeVar("T")


class NodeProcess:
    """A node as its own process, its output in a file."""

    def __init__(
        self,
        log: Path,
        domain: int,
        *arguments: str,
        module: str = "mtl_perception.student_node",
        environ: Mapping[str, str] = os.environ,
        command: Sequence[str | Path] = (),
    ) -> None:
        self._log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [*(command or (sys.executable, "-m", module)), "--ros-args", *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**environ, "ROS_DOMAIN_ID": str(domain), "PYTHONUNBUFFERED": "1"},
            )

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        """End it cleanly: what is killed leaves its shared memory behind."""
        try:
            self.end()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    @property
    def log(self) -> str:
        """All that it has said so far."""
        return self._log.read_text()

    def wait_for_log(self, pattern: str) -> re.Match[str]:
        """Waits until it has said something."""
        return until(lambda: re.search(pattern, self.log), f"{pattern!r} in the log", self)

    def end(self, signum: signal.Signals = signal.SIGINT) -> int:
        """Sends a signal and returns the exit status."""
        self.process.send_signal(signum)
        return self.process.wait(PATIENCE_S)


def until(
    condition: Callable[[], T],
    what: str,
    node: NodeProcess | None = None,
    work: Callable[[], object] = lambda: time.sleep(0.02),
) -> T:
    """Does `work` until a condition is true and returns its value; gives up at long last."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        if node and node.process.poll() is not None:
            raise AssertionError(f"waiting for {what}, the node ended:\n{node.log}")
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what}; the node said:\n{node.log if node else ''}")
        work()
    return value


class Peer:
    """A camera, a reader of the outputs and an operator, all in one node in this process.

    Attributes:
        node: The node under test.
        camera: The camera_info that precedes each frame; None for a camera without.
        got: Outputs by topic and stamp (ns), until `ask` hands them out.
        statuses: All diagnostics so far.
        reported_ns: Stamp of the newest, 0 before the first.
    """

    def __init__(
        self,
        domain: int,
        node: NodeProcess | None = None,
        namespace: str = "/",
        remap: Iterable[str] = (),
    ) -> None:
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        rules = [argument for rule in remap for argument in ("-r", rule)]
        self.ros = rclpy.create_node(
            "peer",
            context=self._context,
            namespace=namespace,
            cli_args=["--ros-args", *rules],
            enable_rosout=False,  # two peers in one process would share a name there
        )
        self._student = f"{namespace.rstrip('/')}/student"
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.ros)
        self.node = node
        self.camera: CameraInfo | None = None
        self.got: dict[str, dict[int, Any]] = defaultdict(dict)
        self.statuses: list[DiagnosticStatus] = []
        self._stamps = itertools.count(1_700_000_000_000_000_001, 33_333_333)
        self._senders: dict[type, Any] = {}
        self._readers: dict[str, Any] = {}
        self._clients: dict[str, Any] = {}
        self.reported_ns = 0
        self.ros.create_subscription(DiagnosticArray, topics.DIAGNOSTICS, self._on_report, 10)

    def close(self) -> None:
        self._executor.shutdown()
        self.ros.destroy_node()
        self._context.try_shutdown()

    def spin(self) -> None:
        self._executor.spin_once(timeout_sec=0.05)

    def wait(self, condition: Callable[[], T], what: str) -> T:
        return until(condition, what, self.node, self.spin)

    # ---- reader --------------------------------------------------------------------------------
    def read(self, *names: str, best_effort: bool = False) -> None:
        """Subscribes outputs and waits until they match."""
        reliability = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        for name in names:
            self._readers[name] = self.ros.create_subscription(
                TYPES[name],
                name,
                lambda message, name=name: self._note(name, message),
                QoSProfile(depth=50, reliability=reliability),
            )
        self.wait(
            lambda: all(self.ros.count_publishers(name) for name in names), f"publishers of {names}"
        )

    def ignore(self, *names: str) -> None:
        """Ends subscriptions."""
        for name in names:
            self.ros.destroy_subscription(self._readers.pop(name))

    def _note(self, name: str, message: Any) -> None:
        self.got[name][nanoseconds(message.header.stamp)] = message

    # ---- camera --------------------------------------------------------------------------------
    def send(self, frame: Image | CompressedImage, stamp: int | None = None) -> int:
        """Stamps and publishes a frame after its camera_info; returns its stamp in ns."""
        stamp = next(self._stamps) if stamp is None else stamp
        frame.header.stamp = Time(sec=stamp // 10**9, nanosec=stamp % 10**9)
        if self.camera:
            self.camera.header = frame.header
            self._sender(CameraInfo).publish(self.camera)
        self._sender(type(frame)).publish(frame)
        return stamp

    def _sender(self, kind: type) -> Any:
        if kind not in self._senders:
            self._senders[kind] = self.ros.create_publisher(kind, INPUTS[kind], 10)
            self.wait(self._senders[kind].get_subscription_count, f"reader of {INPUTS[kind]}")
        return self._senders[kind]

    def ask(
        self, message: Image | CompressedImage, expect: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """Sends a frame and returns the outputs with its stamp, once all subscribed are there."""
        names = set(self._readers if expect is None else expect)
        stamp = self.send(message)
        self.wait(lambda: all(stamp in self.got[name] for name in names), f"{names} of {stamp}")
        return {name: self.got[name].pop(stamp) for name in names}

    def warm_up(self, message: Image | CompressedImage) -> None:
        """Sends a frame again and again until one is answered on all subscribed topics.

        DDS matches each pair of endpoints in its own time, and sensor data is best effort.
        """
        stamps: list[int] = []
        last = -RESEND_S

        def answered() -> bool:
            nonlocal last
            if time.monotonic() - last >= RESEND_S:
                last = time.monotonic()
                stamps.append(self.send(message))
            return any(all(s in self.got[name] for name in self._readers) for s in stamps)

        self.wait(answered, "first answer")
        self.report()
        self.got.clear()

    def see_through(self, camera: CameraInfo, frame: Image) -> None:
        """Change the camera_info and wait until outputs carry it: topics have no common order."""
        self.camera = camera

        def seen() -> bool:
            stamp = self.send(frame)
            self.wait(lambda: stamp in self.got[topics.OVERLAY], "overlay, the last output")
            infos = [self.got[output].pop(stamp, None) for output in self._readers]
            return any(repr(m.k) == repr(camera.k) for m in infos if isinstance(m, CameraInfo))

        until(seen, "camera_info as sent", self.node, work=self.spin)

    # ---- operator ------------------------------------------------------------------------------
    def call(self, kind: Any, name: str, request: Any) -> Any:
        """Call a service of the student and returns its response."""
        if name not in self._clients:  # kept: a server may answer before it has matched a new one
            self._clients[name] = self.ros.create_client(kind, f"{self._student}/{name}")
        client = self._clients[name]
        self.wait(lambda: client.service_is_ready(), f"service {name}")
        future = client.call_async(request)
        self.wait(future.done, f"answer of {name}")
        return future.result()

    def change(self, transition: int) -> bool:
        """Asks for a lifecycle transition; returns whether it succeeded."""
        request = ChangeState.Request()
        request.transition.id = transition
        return bool(self.call(ChangeState, "change_state", request).success)

    def state(self) -> str:
        """Returns the student's lifecycle state."""
        return str(self.call(GetState, "get_state", GetState.Request()).current_state.label)

    def set(self, **values: Any) -> str:
        """Sets parameters of the student; returns why they were refused, empty if not."""
        request = SetParameters.Request()
        request.parameters = [
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()
        ]
        results = self.call(SetParameters, "set_parameters", request).results
        return "; ".join(r.reason for r in results if not r.successful)

    def describe(self, *names: str) -> list[Any]:
        """Returns descriptors of the student's parameters."""
        request = DescribeParameters.Request(names=list(names))
        return list(self.call(DescribeParameters, "describe_parameters", request).descriptors)

    def _on_report(self, message: DiagnosticArray) -> None:
        self.statuses += message.status
        self.reported_ns = nanoseconds(message.header.stamp)

    @property
    def values(self) -> dict[str, str]:
        """What the student's newest diagnostics say."""
        return {v.key: v.value for v in self.statuses[-1].values}

    def report(self) -> tuple[DiagnosticStatus, dict[str, str]]:
        """Wait for a new report in which each frame received has been dealt with."""
        asked_ns = self.ros.get_clock().now().nanoseconds  # older ones may still be under way
        self.wait(
            lambda: (
                self.reported_ns > asked_ns
                and int(self.values["received"]) == sum(int(self.values[key]) for key in OUTCOMES)
            ),
            "settled report",
        )
        return self.statuses[-1], self.values


def nanoseconds(stamp: Time) -> int:
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


@contextmanager
def student(log: Path, *arguments: str, environ: Mapping[str, str] = os.environ) -> Iterator[Peer]:
    """A running student and its peer in a domain of their own."""
    with own_domain() as domain, NodeProcess(log, domain, *arguments, environ=environ) as node:
        peer = Peer(domain, node)
        try:
            yield peer
        finally:
            peer.close()
