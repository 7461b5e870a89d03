"""The node's life: states by service, the way back after a bad model, and a clean end."""

from __future__ import annotations

import re
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition

import frames
import tiny_student
from mtl_core.card import DepthSpec
from mtl_perception import topics
from peer import TYPES, Peer, student

pytestmark = pytest.mark.ros

CONFIGURE = Transition.TRANSITION_CONFIGURE
ACTIVATE = Transition.TRANSITION_ACTIVATE
DEACTIVATE = Transition.TRANSITION_DEACTIVATE
CLEANUP = Transition.TRANSITION_CLEANUP


def test_a_manager_leads_the_node_through_its_states_and_back(model: Path, tmp_path: Path) -> None:
    arguments = ("-p", f"model:={model}", "-p", "autostart:=false")
    with student(tmp_path / "log", *arguments) as peer:
        assert peer.state() == "unconfigured"
        assert not peer.ros.count_subscribers(topics.IMAGE)
        for _ in range(2):
            assert peer.change(CONFIGURE)
            assert peer.state() == "inactive"
            peer.read(topics.MASK)
            assert peer.change(ACTIVATE)
            peer.warm_up(frames.image())
            peer.ask(frames.image())
            assert peer.change(DEACTIVATE)
            check_silent(peer)
            assert peer.change(ACTIVATE)
            peer.warm_up(frames.image())
            assert peer.change(DEACTIVATE)
            assert peer.change(CLEANUP)
            assert peer.state() == "unconfigured"
            peer.wait(lambda: not peer.ros.count_publishers(topics.MASK), "freed outputs")
            peer.wait(lambda: not peer.ros.count_subscribers(topics.IMAGE), "freed inputs")
            peer.ignore(topics.MASK)
        assert not peer.change(ACTIVATE)  # there is nothing to activate
        assert peer.state() == "unconfigured"
        assert peer.change(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
        assert peer.state() == "finalized"
        assert peer.node.end() == 0
        assert "Traceback" not in peer.node.log


def test_without_vision_msgs_one_warning_says_what_is_missing(model: Path, tmp_path: Path) -> None:
    if find_spec("vision_msgs"):
        pytest.skip("vision_msgs is installed")
    with student(tmp_path / "log", "-p", f"model:={model}") as peer:
        peer.read(topics.MASK)
        peer.camera = frames.camera_info()
        peer.warm_up(frames.image())
        assert peer.node
        said = "vision_msgs is not installed: nothing is published on segmentation/label_info"
        assert peer.node.log.count(said) == 1
        assert not peer.ros.count_publishers(topics.LABEL_INFO)


def check_silent(peer: Peer) -> None:
    """An inactive node takes no frame and publishes nothing."""
    _, before = peer.report()
    peer.got.clear()
    for _ in range(3):
        peer.send(frames.image())
        peer.spin()
    _, after = peer.report()
    assert (after["received"], after["state"]) == (before["received"], "inactive")
    assert not peer.got[topics.MASK]


@pytest.mark.parametrize(
    ("transition", "start"),
    [
        (Transition.TRANSITION_INACTIVE_SHUTDOWN, False),
        (Transition.TRANSITION_ACTIVE_SHUTDOWN, True),
    ],
)
def test_shutdown_frees_everything_from_any_state(
    model: Path, tmp_path: Path, transition: int, start: bool
) -> None:
    with student(tmp_path / "log", "-p", f"model:={model}", "-p", f"autostart:={start}") as peer:
        if not start:
            assert peer.change(CONFIGURE)
        peer.wait(lambda: peer.ros.count_publishers(topics.MASK), "outputs")
        assert peer.change(transition)
        assert peer.state() == "finalized"
        peer.wait(lambda: not peer.ros.count_publishers(topics.MASK), "freed outputs")
        assert peer.node.end() == 0


def foreign_model(folder: Path) -> tuple[Path, str]:
    path = folder / "foreign.onnx"
    path.write_bytes(b"not a model")
    return path, "expected an ONNX model"


def missing_model(folder: Path) -> tuple[Path, str]:
    return folder / "missing.onnx", "no such model file"


def uncarded_model(folder: Path) -> tuple[Path, str]:
    import onnx

    path = folder / "uncarded.onnx"
    model = onnx.load(tiny_student.write(path))
    del model.metadata_props[:]
    onnx.save(model, path)
    return path, "no model card"


def lying_model(folder: Path) -> tuple[Path, str]:
    path = tiny_student.write(folder / "lying.onnx")
    text = path.read_bytes()
    path.write_bytes(text.replace(b'"height": 64', b'"height": 96'))
    return path, r"card says input image N x 3 x 96 x 96, file has"


def test_after_bad_models_a_good_one_can_be_set(model: Path, tmp_path: Path) -> None:
    with student(tmp_path / "log", "-p", "model:=nowhere/none.onnx") as peer:
        peer.node.wait_for_log(r"\[ERROR\].*cannot be configured.*nowhere/none.onnx: no such model")
        for make in (missing_model, foreign_model, uncarded_model, lying_model):
            path, complaint = make(tmp_path)
            assert peer.state() == "unconfigured"
            assert peer.set(model=str(path)) == ""
            assert not peer.change(CONFIGURE)
            peer.node.wait_for_log(rf"\[ERROR\].*cannot be configured.*{path}.*{complaint}")
        status, values = peer.report()
        assert status.level == DiagnosticStatus.ERROR
        assert re.search(complaint, values["last_error"])
        assert peer.set(model=str(model)) == ""
        assert peer.change(CONFIGURE)
        assert peer.change(ACTIVATE)
        peer.camera = frames.camera_info()
        peer.read(topics.MASK, topics.DEPTH)
        peer.warm_up(frames.image())
        status, values = peer.report()
        assert (status.level, status.message) == (DiagnosticStatus.OK, "active")
        assert (values["model"], values["last_error"]) == (str(model), "")


def test_the_other_model_is_another_one_after_a_new_configuration(
    model: Path, tmp_path: Path
) -> None:
    card = tiny_student.card("near")
    near = tiny_student.write(
        tmp_path / "near.onnx",
        type(card)(**{**vars(card), "depth": DepthSpec(1.0, 9.0, 2 * tiny_student.CANONICAL_FX)}),
    )
    with student(tmp_path / "log", "-p", f"model:={model}") as peer:
        peer.wait(lambda: peer.state() == "active", "active")
        assert "unconfigured, it is active" in peer.set(threads=1)
        assert peer.change(DEACTIVATE)
        assert peer.change(CLEANUP)
        assert peer.set(model=str(near)) == ""
        assert peer.change(CONFIGURE)
        assert peer.change(ACTIVATE)
        peer.camera = frames.camera_info()
        peer.read(topics.DEPTH)
        peer.warm_up(frames.image())
        near_half, _ = frames.halves(frames.pixels(peer.ask(frames.image())[topics.DEPTH]))
        expected = tiny_student.metres(frames.NEAR, 0.5)
        assert abs(near_half - expected).max() < 1e-4


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["starting", "idle", "at work"])
def test_a_signal_ends_the_node_with_status_0_and_without_a_word(
    model: Path, tmp_path: Path, signum: signal.Signals, moment: str
) -> None:
    with student(tmp_path / "log", "-p", f"model:={model}") as peer:
        if moment == "starting":
            # Python itself needs a moment until the first line of main.
            peer.wait(lambda: blocks(peer.node.process.pid, signum), "held signals")
        else:
            peer.node.wait_for_log("frames from /image")
        if moment == "at work":
            peer.read(*(set(TYPES) - {topics.POINTS, *topics.CAMERA_INFOS}))
            peer.warm_up(frames.image())
            for _ in range(50):
                peer.send(frames.image(frames.rgb(640, 480)))
            peer.node.process.send_signal(signum)  # a second one must not disturb
        assert peer.node.end(signum) == 0
        for word in ("Traceback", "Error", "abort", "terminate", "Failed"):
            assert word not in peer.node.log


def blocks(pid: int, signum: signal.Signals) -> bool:
    """Whether a process holds a signal back, as Linux tells it."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk:"))
    return bool(int(mask, 16) >> (signum - 1) & 1)
