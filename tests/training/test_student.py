"""The network, its training and the file that leaves it."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pytest
import torch

from mtl_core.card import METADATA_KEY, ModelCard
from mtl_core.predictor import OUTPUTS, OnnxPredictor
from mtl_training.cli import main
from mtl_training.config import StudentConfig, config_fields, load_config
from mtl_training.engine import CHECKPOINT, LOG, RECORD, load_finished, train
from mtl_training.errors import ConfigError, ExportError, ResumeError
from mtl_training.export import Exported, export
from mtl_training.model import build_student, build_tasks, input_spec
from mtl_training.networks.efficientnet_lite import EfficientNetLite
from mtl_training.release import golden_input, load_network, release

CPU = torch.device("cpu")


def network(config, seed=0):
    """A student with random weights whose signals survive all its layers."""
    torch.manual_seed(seed)
    tasks = build_tasks(config)
    student = build_student(tasks)
    norms = [m for m in student.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    student.train()(torch.randn(4, 3, config.height, config.width))
    return Exported(student, tasks).eval()


def write_toml(path, config):
    lines = [f"{k} = {json.dumps(v)}" for k, v in config_fields(config).items()]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_the_student_has_the_size_that_its_design_says(config):
    count = sum(p.numel() for p in network(config).parameters())
    assert 2.9e6 < count < 3.1e6


def test_the_encoder_gives_strides_4_8_16_32_with_the_pretrained_weights():
    encoder = EfficientNetLite().eval()
    encoder.load_imagenet()
    features = encoder(torch.zeros(1, 3, 64, 96))
    assert [tuple(f.shape[1:]) for f in features] == [
        (24, 16, 24),
        (40, 8, 12),
        (112, 4, 6),
        (320, 2, 3),
    ]


def test_torch_and_onnxruntime_agree_on_a_golden_image(config, tmp_path):
    """The contract between training and robot: same image, same outputs, within 1e-4."""
    net = network(config)
    export(net, input_spec(config), tmp_path / "student.onnx")
    session = ort.InferenceSession(tmp_path / "student.onnx", providers=["CPUExecutionProvider"])
    tensor = golden_input(input_spec(config))
    assert tensor.std() > 0.1
    with torch.no_grad():
        expected = net(torch.from_numpy(tensor))
    got = session.run(list(OUTPUTS), {"image": tensor})
    for name, ours, theirs in zip(OUTPUTS, got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4, rtol=1e-4, err_msg=name)
        assert np.ptp(ours) > 0.1, f"{name} says nothing"


def test_a_file_of_another_network_is_not_released(config, made_data, tmp_path, monkeypatch):
    train(replace(config, epochs=1, room_frames=0), tmp_path / "run", CPU, workers=0)
    monkeypatch.setattr(
        "mtl_training.release.export", lambda net, *args: export(network(config, seed=5), *args)
    )
    with pytest.raises(ExportError, match=r"output segmentation differs from torch's by \d"):
        release(tmp_path / "run", tmp_path / "models", "val.txt")
    assert not (tmp_path / "m.onnx").exists()


def test_the_file_takes_any_batch_and_names_no_path(config, tmp_path):
    path = tmp_path / "student.onnx"
    export(network(config), input_spec(config), path)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for n in (1, 3):
        logits, *_ = session.run(None, {"image": np.zeros((n, 3, 64, 96), np.float32)})
        assert logits.shape == (n, 13, 16, 24)
    assert b"mtl_training/" not in path.read_bytes()


def read_log(folder):
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.values(), other.values(), strict=True))


def test_a_killed_run_goes_on_to_the_same_weights(config, made_data, tmp_path, monkeypatch):
    whole = train(config, tmp_path / "whole", CPU, workers=0)
    monkeypatch.setattr("mtl_training.engine._save", save_then_die(after_epoch=1))
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "killed", CPU, workers=0)
    monkeypatch.undo()
    monkeypatch.setenv("MTL_DATA", str(made_data))
    resumed = train(config, tmp_path / "killed", CPU, workers=0)
    assert same_weights(whole.averaged.state_dict(), resumed.averaged.state_dict())
    epochs = [entry["epoch"] for entry in read_log(tmp_path / "whole")]
    assert epochs == [1, 2]


def save_then_die(after_epoch):
    from mtl_training.engine import _save

    def save(path, run):
        _save(path, run)
        if run.epoch == after_epoch:
            raise KeyboardInterrupt

    return save


def test_training_reduces_the_loss(config, made_data, tmp_path):
    config = replace(config, epochs=30, room_frames=0, lr=5e-3, backbone_lr=1e-3)
    train(config, tmp_path / "run", CPU, workers=0)
    log = read_log(tmp_path / "run")
    assert log[-1]["segmentation"] < 0.7 * log[0]["segmentation"]
    assert log[-1]["depth"] < log[0]["depth"]


def test_fewer_samples_than_a_batch_are_refused(config, made_data, tmp_path):
    with pytest.raises(ConfigError, match="4 samples do not fill a batch of 5"):
        train(replace(config, batch_size=5), tmp_path / "run", CPU, workers=0)


def test_another_configuration_does_not_overwrite_a_run(config, made_data, tmp_path):
    train(replace(config, epochs=1), tmp_path / "run", CPU, workers=0)
    before = (tmp_path / "run" / CHECKPOINT).read_bytes()
    with pytest.raises(ResumeError, match="other settings: epochs, seed"):
        train(replace(config, seed=9), tmp_path / "run", CPU, workers=0)
    assert (tmp_path / "run" / CHECKPOINT).read_bytes() == before


def test_a_run_starts_from_the_averaged_weights_of_another(config, made_data, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    train(replace(config, epochs=1), first, CPU, workers=0)
    begun = load_finished(first)
    # So slow a rate that the weights stay where they began.
    still = replace(config, epochs=1, backbone_lr=1e-12, lr=1e-12, weight_decay=0.0)
    train(still, second, CPU, workers=0, start=first)
    ended = load_finished(second)
    for name, weight in begun.weights.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(ended.weights[name], weight, atol=1e-6, rtol=1e-6)
    assert json.loads((second / RECORD).read_text())["start"] == begun.record
    shipped = OnnxPredictor(release(second, tmp_path / "models", "val.txt")).card
    assert len(shipped.data) == 2, "a card names the data of every run behind it"
    with pytest.raises(ResumeError, match="other settings: start"):
        train(still, second, CPU, workers=0)


def test_release_writes_a_file_that_says_what_it_is(config, made_data, tmp_path):
    config = replace(config, epochs=1)
    train(config, tmp_path / "run", CPU, workers=0)
    out = release(tmp_path / "run", tmp_path / "models", "val.txt")
    card = OnnxPredictor(out).card
    assert card.name == out.stem == "smoke"
    assert card.metrics["nyuv2_val_images"] == 1
    assert 0 <= card.metrics["nyuv2_val_miou"] <= 1
    assert "fit.txt" in card.data[0]
    assert list((tmp_path / "models").iterdir()) == [out]
    trained = load_network(load_finished(tmp_path / "run"))
    tensor = np.random.default_rng(0).normal(size=(1, 3, 64, 96)).astype(np.float32)
    with torch.no_grad():
        expected = trained(torch.from_numpy(tensor))
    for ours, theirs in zip(OnnxPredictor(out).run(tensor), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4, rtol=1e-4)


def test_an_unfinished_run_is_not_released(config, made_data, tmp_path, monkeypatch):
    monkeypatch.setattr("mtl_training.engine._save", save_then_die(after_epoch=1))
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", CPU, workers=0)
    with pytest.raises(ResumeError, match="1 of 2 epochs done"):
        release(tmp_path / "run", tmp_path / "models", "val.txt")
    assert not (tmp_path / "models").exists()
    with pytest.raises(ResumeError, match=r"expected run\.json and checkpoint\.pt"):
        release(tmp_path, tmp_path / "models", "val.txt")


def test_the_command_line_goes_the_whole_way(config, made_data, tmp_path, capsys):
    toml = write_toml(tmp_path / "c.toml", replace(config, epochs=1, room_frames=0))
    run, out = str(tmp_path / "run"), str(tmp_path)
    assert main(["student", str(toml), "--run", run, "--device", "cpu", "--workers", "0"]) == 0
    assert main(["export", run, "--out", out]) == 0
    capsys.readouterr()
    assert main(["evaluate", f"{out}/smoke.onnx", "--list", "fit.txt"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 2
    assert main(["evaluate", f"{out}/smoke.onnx", "--rooms", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 6
    assert main(["evaluate", f"{out}/smoke.onnx", "--rooms", "1001"]) == 1
    assert "1 to 1000 rooms are held out, got 1001" in capsys.readouterr().err


def test_the_command_line_says_what_is_wrong(tmp_path, capsys):
    assert main(["student", str(tmp_path / "none.toml"), "--run", str(tmp_path / "run")]) == 1
    assert "none.toml" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_epoch_that_was_logged_and_not_saved_is_logged_once(
    config, made_data, tmp_path, monkeypatch
):
    def die(path, run):
        raise KeyboardInterrupt

    monkeypatch.setattr("mtl_training.engine._save", die)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path, CPU, workers=0)
    assert [entry["epoch"] for entry in read_log(tmp_path)] == [1]
    monkeypatch.undo()
    monkeypatch.setenv("MTL_DATA", str(made_data))
    train(config, tmp_path, CPU, workers=0)
    assert [entry["epoch"] for entry in read_log(tmp_path)] == [1, 2]


# A shell that runs the tests in the background lets its children ignore SIGINT.
INTERRUPTIBLE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from mtl_training.cli import main
raise SystemExit(main())
"""


def test_an_interrupted_training_says_how_to_go_on(config, made_data, tmp_path):
    """A real process, interrupted after its first checkpoint; the second call finishes the run."""
    toml = write_toml(tmp_path / "c.toml", replace(config, epochs=40, room_frames=0))
    run = tmp_path / "run"
    words = [sys.executable, "-c", INTERRUPTIBLE, "student", str(toml), "--run", str(run)]
    command = [*words, "--device", "cpu", "--workers", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (run / CHECKPOINT).exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, complaint = process.communicate()
    assert process.returncode == 130, complaint
    assert "interrupted; the same command goes on" in said
    assert "Traceback" not in complaint
    assert 1 <= len(read_log(run)) < 40
    subprocess.run(command, check=True, capture_output=True)
    assert [entry["epoch"] for entry in read_log(run)] == list(range(1, 41))


def test_a_configuration_survives_its_file(config, tmp_path):
    assert load_config(write_toml(tmp_path / "c.toml", config)) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speed": 3}, "missing or unknown: speed"),
        ({"epochs": "3"}, "epochs must be int, got '3'"),
        ({"epochs": 0}, "epochs >= 1"),
        ({"nyuv2_list": "", "room_frames": 0}, "nothing to train on"),
        ({"width": 100}, "multiples of 32, got 64x100"),
        ({"ema_decay": 1.0}, r"\[0, 1\), got 1.0"),
    ],
)
def test_a_configuration_with_a_wrong_setting_is_refused(config, tmp_path, change, message):
    fields = config_fields(config) | change
    lines = [f"{k} = {json.dumps(v)}" for k, v in fields.items()]
    (tmp_path / "c.toml").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "c.toml")


def test_the_shipped_configurations_are_valid(pytestconfig):
    folder = pytestconfig.rootpath / "training" / "configs"
    configs = [load_config(path) for path in folder.glob("*.toml")]
    assert configs
    assert all(isinstance(c, StudentConfig) for c in configs)


def test_a_card_is_the_only_metadata(config, made_data, tmp_path):
    train(replace(config, epochs=1, room_frames=0), tmp_path / "run", CPU, workers=0)
    release(tmp_path / "run", tmp_path / "models", "val.txt")
    path = str(tmp_path / "models" / "smoke.onnx")
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert list(metadata) == [METADATA_KEY]
    assert ModelCard.from_json(metadata[METADATA_KEY]).name == "smoke"
