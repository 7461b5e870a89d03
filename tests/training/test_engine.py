"""Runs: resumable at any step to the same bits, on several devices, and never half-written."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from mtl_training.cli import main
from mtl_training.config import LossConfig, NetworkConfig, TrainConfig
from mtl_training.data.catalogue import open_source
from mtl_training.data.loader import BatchOrder, batches
from mtl_training.data.protocols import Imbalance, assign
from mtl_training.errors import (
    CheckpointError,
    ConfigError,
    DatasetError,
    DivergedError,
    ResumeError,
)
from mtl_training.learning.checkpoint import (
    CHECKPOINT,
    RECORD,
    WEIGHTS,
    load,
    load_trained,
    save,
)
from mtl_training.learning.engine import CLIP, new_run, one_cycle, train
from mtl_training.learning.learner import Learner
from mtl_training.learning.log import METRICS
from mtl_training.learning.material import gather
from mtl_training.settings import config_fields, load_config


def with_steps(config, steps, **schedule):
    return replace(config, schedule=replace(config.schedule, steps=steps, **schedule))


def write_toml(path, config):
    """The configuration as TOML, of which JSON's values are a part."""

    def lines(fields, prefix=""):
        tables = {k: v for k, v in fields.items() if isinstance(v, dict)}
        plain = {k: v for k, v in fields.items() if k not in tables}
        out = [f"{k} = {json.dumps(v)}" for k, v in plain.items() if k != "data"]
        for name, table in tables.items():
            out += [f"[{prefix}{name}]", *lines(table, f"{prefix}{name}.")]
        for source in fields.get("data", ()):
            out += ["[[data]]", *(f"{k} = {json.dumps(v)}" for k, v in source.items())]
        return out

    path.write_text("\n".join(lines(config_fields(config))), encoding="utf-8")
    return path


def command(toml, run, *words):
    """The command line, in a process that SIGINT reaches even where it was ignored before."""
    start = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from mtl_training.cli import main\nraise SystemExit(main())"
    )
    options = ["--run", str(run), "--accelerator", "cpu", "--workers", "0", "--save-every", "2"]
    return [sys.executable, "-c", start, "student", str(toml), *options, *words]


def logged(folder):
    return [json.loads(line)["step"] for line in (folder / METRICS).read_text().splitlines()]


def same(one, other):
    a, b = load_trained(one).weights, load_trained(other).weights
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_run_killed_outright_resumes_to_the_same_bits(config, made_data, tmp_path, here):
    """`kill -9` at whatever point it happens to hit, twice; everything that can differ is on."""
    losses = LossConfig(weighting="kendall", consistency=0.5, consistency_threshold=0.1)
    config = replace(with_steps(config, 24), losses=losses)
    toml, killed = write_toml(tmp_path / "c.toml", config), tmp_path / "killed"
    train(config, tmp_path / "whole", here)
    for _ in range(2):
        before = _stamp(killed / CHECKPOINT)
        process = subprocess.Popen(command(toml, killed, "--resume"), stderr=subprocess.DEVNULL)
        while _stamp(killed / CHECKPOINT) == before and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.wait()
        assert not (killed / WEIGHTS).exists(), "it was finished before it could be killed"
    subprocess.run(command(toml, killed, "--resume"), check=True)
    assert same(tmp_path / "whole", killed)
    assert logged(killed) == logged(tmp_path / "whole")


def _stamp(path):
    return path.stat().st_mtime_ns if path.exists() else None


def test_an_interrupted_run_says_how_to_go_on(config, made_data, tmp_path):
    toml, run = write_toml(tmp_path / "c.toml", with_steps(config, 60)), tmp_path / "run"
    process = subprocess.Popen(command(toml, run), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not (run / CHECKPOINT).exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said, complaint = process.communicate()
    assert process.returncode == 130, complaint
    assert b"interrupted" in said
    assert b"--resume" in said
    assert b"Traceback" not in complaint
    again = subprocess.run(command(toml, run), capture_output=True, text=True)
    assert again.returncode == 1
    assert "holds an unfinished run; --resume goes on with it" in again.stderr


def test_a_finished_run_is_not_trained_again(config, made_data, tmp_path, here):
    train(config, tmp_path, here)
    before = _stamp(tmp_path / WEIGHTS)
    train(config, tmp_path, here)
    assert _stamp(tmp_path / WEIGHTS) == before


def test_the_run_folder_says_how_its_result_came_about(config, made_data, tmp_path, here):
    train(config, tmp_path, here)
    record = json.loads((tmp_path / RECORD).read_text())
    assert set(record) == {"config", "commit", "environment", "protocols", "pseudo"}
    assert record["config"] == config_fields(config)
    assert record["environment"]["torch"] == torch.__version__
    assert logged(tmp_path) == [4]
    assert any((tmp_path / "tensorboard").iterdir())
    assert load_trained(tmp_path).config == config
    assert not list(tmp_path.glob("*.part*"))


def test_training_lowers_both_losses(config, made_data, tmp_path, here):
    config = with_steps(config, 60, backbone_lr=5e-4, lr=5e-3, ema_decay=0.9)
    train(config, tmp_path, here)
    first, *_, last = map(json.loads, (tmp_path / METRICS).read_text().splitlines())
    assert last["segmentation"] < 0.7 * first["segmentation"]
    assert last["depth"] < first["depth"]


def test_another_configuration_does_not_overwrite_a_run(config, made_data, tmp_path, here):
    train(config, tmp_path, here)
    before = (tmp_path / WEIGHTS).read_bytes()
    other = replace(with_steps(config, 9), seed=7)
    with pytest.raises(ResumeError, match=r"other settings: config\.schedule\.steps, config\.seed"):
        train(other, tmp_path, here)
    assert (tmp_path / WEIGHTS).read_bytes() == before


def test_a_run_starts_from_the_weights_of_another(config, made_data, tmp_path, here):
    train(config, tmp_path / "first", here)
    # So slow a rate that the weights stay where they began.
    slow = with_steps(config, 2, backbone_lr=1e-12, lr=1e-12, weight_decay=0.0)
    train(replace(slow, start=str(tmp_path / "first")), tmp_path / "second", here)
    begun, ended = (load_trained(tmp_path / name) for name in ("first", "second"))
    for name, weight in begun.weights.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(ended.weights[name], weight, atol=1e-6, rtol=1e-6)
    assert ended.record["start"] == begun.record


def test_what_is_left_lies_between_start_and_what_was_learned(config, made_data, tmp_path, here):
    train(config, tmp_path / "start", here)
    tuned = replace(with_steps(config, 3, backbone_lr=1e-3), start=str(tmp_path / "start"))
    mixed = replace(tuned, schedule=replace(tuned.schedule, start_share=0.25))
    for name, one in (("tuned", tuned), ("mixed", mixed)):
        train(one, tmp_path / name, here)
    start, end, mean = (load_trained(tmp_path / n).weights for n in ("start", "tuned", "mixed"))
    assert any(not torch.equal(start[name], end[name]) for name in start)
    for name, weight in mean.items():
        if weight.is_floating_point():
            torch.testing.assert_close(weight, 0.75 * end[name] + 0.25 * start[name])
        else:
            assert torch.equal(weight, end[name])


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_that_is_none_is_refused(config, share):
    with pytest.raises(ConfigError, match=r"start_share in \[0, 1\) expected"):
        replace(config.schedule, start_share=share)


def test_a_share_of_nothing_is_refused(config):
    with pytest.raises(ConfigError, match="start_share: a start expected"):
        replace(config, schedule=replace(config.schedule, start_share=0.5))


def test_weights_of_another_architecture_are_refused_by_name(
    config, teacher_config, made_data, tmp_path, here
):
    train(config, tmp_path / "student", here)
    config = replace(teacher_config, start=str(tmp_path / "student"))
    with pytest.raises(CheckpointError, match=r"student/weights\.safetensors: of another archite"):
        train(config, tmp_path / "teacher", here)


@pytest.mark.parametrize("harm", [b"", b"not safetensors at all"])
def test_a_damaged_checkpoint_is_named_and_kept(config, made_data, tmp_path, here, harm):
    train(config, tmp_path, here)
    (tmp_path / WEIGHTS).unlink()
    (tmp_path / CHECKPOINT).write_bytes(harm)
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors: expected safetensors"):
        train(config, tmp_path, here, resume=True)
    assert (tmp_path / CHECKPOINT).read_bytes() == harm


def test_a_training_that_diverges_stops_and_keeps_its_checkpoint(
    config, made_data, tmp_path, here, monkeypatch
):
    """A loss that is no number from step 3 on; two steps were saved."""
    forward = Learner.forward

    def sick(self, batch, step, averaged):
        losses = forward(self, batch, step, averaged)
        return {k: v * (math.nan if step >= 2 else 1) for k, v in losses.items()}

    monkeypatch.setattr(Learner, "forward", sick)
    with pytest.raises(DivergedError, match=r"step 3: the gradient is not finite \(losses: segm"):
        train(config, tmp_path, here)
    assert not (tmp_path / WEIGHTS).exists()
    tensors, notes = load(tmp_path / CHECKPOINT)
    assert notes["step"] == 2
    assert all(t.isfinite().all() for t in tensors.values())


def test_a_protocol_drawn_anew_under_the_same_name_is_another_run(
    config, made_data, tmp_path, here
):
    path = tmp_path / "protocol.json"
    limited = replace(config, data=(replace(config.data[0], protocol=str(path)),))
    for seed, wanted in ((0, None), (3, r"other settings: protocols\.")):
        assign(open_source(config.data[0]), Imbalance("one-label", block=1, seed=seed)).save(path)
        if wanted:
            with pytest.raises(ResumeError, match=wanted):
                train(limited, tmp_path / "run", here)
        else:
            train(limited, tmp_path / "run", here)


def test_a_resumed_run_says_which_code_and_machine_went_on(
    config, made_data, tmp_path, here, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "forward", _dies_at(Learner.forward, step=3))
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path, here)
    train(config, tmp_path, here, resume=True)
    (again,) = json.loads((tmp_path / RECORD).read_text())["resumed"]
    assert set(again) == {"commit", "environment"}


def _dies_at(forward, step):
    def forward_or_die(self, batch, number, averaged):
        if number == step:
            raise KeyboardInterrupt
        return forward(self, batch, number, averaged)

    return forward_or_die


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"expected weights\.safetensors, or the folder of a"):
        load_trained(tmp_path)


LIMITED = """
import resource, signal, sys, torch
from pathlib import Path
from mtl_training.errors import OutputError
from mtl_training.learning.checkpoint import save
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    save(Path(sys.argv[1]), {"w": torch.zeros(100_000)}, {"step": 2})
except OutputError as err:
    print(err)
    sys.exit(7)
"""


def test_a_full_disk_keeps_the_earlier_checkpoint(tmp_path):
    """A real limit on the size of files, in a process of its own."""
    path = tmp_path / CHECKPOINT
    save(path, {"w": torch.ones(3)}, {"step": 1})
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True
    )
    assert done.returncode == 7, done.stderr
    assert f"{path}: not written, what stood there is kept" in done.stdout
    tensors, notes = load(path)
    assert torch.equal(tensors["w"], torch.ones(3))
    assert notes == {"step": 1}
    assert os.listdir(tmp_path) == [CHECKPOINT]


def test_two_processes_train_as_the_mean_of_their_gradients_says(config, made_data, tmp_path):
    """DDP over gloo, against the same steps done by hand: each process has half of every batch,
    batch norm sees that half, its running values are those of process 0. Each image has labels of
    one task only, and every labelled pixel of the batch counts alike."""
    protocol = tmp_path / "protocol.json"
    assign(open_source(config.data[0]), Imbalance("one-label", block=1)).save(protocol)
    config = replace(config, data=(replace(config.data[0], protocol=str(protocol)),))
    config = with_steps(config, 3, batch_size=4)
    toml, folder = write_toml(tmp_path / "c.toml", config), tmp_path / "two"
    script = tmp_path / "train.py"
    script.write_text("from mtl_training.cli import main\nraise SystemExit(main())\n")
    options = ["--run", str(folder), "--accelerator", "cpu", "--workers", "0", "--devices", "2"]
    words = [sys.executable, str(script), "student", str(toml), *options]
    subprocess.run(words, check=True, capture_output=True)
    (begun, _), (expected, _) = by_hand(config, 0), by_hand(config, 3)
    got = load_trained(folder).weights
    # Adam makes a whole step of the last bit of a gradient that is almost zero: norms, not bits.
    apart, way = (
        torch.stack([(one[k] - expected[k]).float().norm() for k in expected]).norm()
        for one in (got, begun)
    )
    assert apart < 0.02 * way
    assert logged(folder) == [3], "one process alone writes"


def by_hand(config, steps):
    material = gather(config)
    run = new_run(config, material)
    halves = [
        iter(
            batches(
                material.views,
                BatchOrder(material.pools, 4, 0, 0, steps, (rank, 2)),
                material.tasks,
                0,
            )
        )
        for rank in range(2)
    ]
    for step, pair in enumerate(zip(*halves, strict=True)):
        run.set_rates(config.schedule)
        run.optimizer.zero_grad()
        buffers = []
        everywhere = [sum(counts) for counts in zip(*map(labelled_pixels, pair), strict=True)]
        for batch in pair:
            before = {k: v.clone() for k, v in run.learner.named_buffers()}
            losses = run.learner(batch, step, run.averaged)
            shares = (n / of for n, of in zip(labelled_pixels(batch), everywhere, strict=True))
            sum(losses[t] * s for t, s in zip(TASKS, shares, strict=True)).backward()
            buffers.append({k: v.clone() for k, v in run.learner.named_buffers()})
            _set_buffers(run.learner, before)
        _set_buffers(run.learner, buffers[0])
        torch.nn.utils.clip_grad_norm_(run.learner.parameters(), CLIP)
        run.optimizer.step()
        run.averaged.update_parameters(run.learner.network)
        run.step += 1
    return run.network.state_dict(), run


TASKS = ("segmentation", "depth")


def labelled_pixels(batch):
    return (
        int((batch["truth"]["segmentation"] != 255).sum()),
        int(batch["truth"]["depth"].isfinite().sum()),
    )


def _set_buffers(module, values):
    for name, buffer in module.named_buffers():
        buffer.copy_(values[name])


def test_the_learning_rate_rises_and_falls(config):
    schedule = with_steps(config, 100).schedule
    rates = [one_cycle(step, schedule) for step in range(100)]
    assert max(rates) == pytest.approx(1.0, abs=1e-6)
    assert rates.index(max(rates)) == 15
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[-1] == pytest.approx(1e-5, rel=1e-3)


def test_fewer_samples_than_a_batch_are_refused(config, made_data, tmp_path, here):
    with pytest.raises(ConfigError, match="4 samples with labels do not fill a batch of 6"):
        train(with_steps(config, 2, batch_size=6), tmp_path, here)


def test_a_data_set_of_other_classes_is_refused(config, made_data, tmp_path, here):
    other = replace(config, tasks=replace(config.tasks, label_map="camvid11"))
    with pytest.raises(ConfigError, match="the classes of camvid11, the data have nyu13"):
        train(other, tmp_path, here)


def test_a_network_may_be_trained_on_smaller_views_than_it_predicts_on(
    config, made_data, tmp_path, here
):
    """The views are smaller; what the run says of its input, and so its card, is not."""
    smaller = with_steps(config, 1, crop=(32, 64))
    material = gather(smaller)
    (batch,) = batches(material.views, BatchOrder(material.pools, 2, 0, 0, 1), material.tasks, 0)
    assert batch["image"].shape == (2, 3, 32, 64)
    assert batch["truth"]["depth"].shape == (2, 32, 64)
    trained = load_trained(train(smaller, tmp_path, here))
    assert (trained.config.network.height, trained.config.network.width) == (64, 96)


def test_views_are_degraded_as_the_schedule_says(config, made_data):
    def image(chance):
        return gather(with_steps(config, 1, degrade=chance)).views[0, 0].sample.image

    assert (image(1.0) != image(0.0)).any()


def test_views_are_as_wide_as_the_schedule_says_with_bars_of_the_colour_of_the_mean(
    config, made_data
):
    views = gather(with_steps(config, 1, wide=1.0)).views
    below = [views[epoch, 0].sample.image[-1] for epoch in range(8)]
    assert any((row == 127).all() for row in below)


def test_absent_data_are_named(config, made_data, tmp_path, here):
    missing = replace(config, data=(replace(config.data[0], split="nowhere"),))
    with pytest.raises(DatasetError, match=r"nowhere"):
        train(missing, tmp_path, here)


def test_a_configuration_survives_its_file(config, tmp_path):
    assert load_config(TrainConfig, write_toml(tmp_path / "c.toml", config)) == config


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("speed = 3\n", "speed: Unexpected keyword argument"),
        ("seed = '3'\n", "seed: Input should be a valid integer"),
        ("[schedule]\nsteps = 0\n", "steps >= 1"),
        ("[schedule]\nsteps = 1\ncrop = [60, 96]\n", r"crop.*multiples of 32.*got \[60, 96\]"),
        ("[schedule]\nsteps = 1\ncrop = [64]\n", r"crop: height and width.*got \[64\]"),
        ("[schedule]\nsteps = 1\ndegrade = 1.5\n", r"degrade in \[0, 1\] expected, got 1.5"),
        ("[schedule]\nsteps = 1\nwide = -0.5\n", r"wide in \[0, 1\] expected, got -0.5"),
        ("[network]\nrole='student'\nheight=64\nwidth=100\n", "multiples of 32, got 64x100"),
        ("[losses]\npseudo_threshold = 1.5\n", "expected between 0 and 1, got"),
        ("data = []\n", "at least one source"),
        ("[losses.task_weights]\ndpeth = 1.0\n", "dpeth not learned, these are: segmentation"),
        ("[losses.task_weights]\ndepth = -1.0\n", "at least 0, got"),
    ],
)
def test_a_configuration_with_a_wrong_setting_is_refused(config, tmp_path, line, message):
    path = tmp_path / "c.toml"
    fields = config_fields(config)
    key = line.split("=")[0].strip() if not line.startswith("[") else line[1 : line.index("]")]
    key = key.partition(".")[0]
    fields.pop(key, None)
    rest = write_toml(path, config).read_text(encoding="utf-8")
    kept = _without(rest, key)
    text = f"{line}\n{kept}" if not line.startswith("[") else f"{kept}\n{line}"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_config(TrainConfig, path)


def _without(text, key):
    """TOML without a key, a table or a list of tables."""
    kept, skipping = [], False
    for line in text.splitlines():
        if line.startswith("["):
            skipping = line.strip("[]").split(".")[0] == key
        if not skipping and not line.startswith(f"{key} ="):
            kept.append(line)
    return "\n".join(kept)


def test_bars_are_refused_beside_consistency(config):
    """The averaged network's answers on a bar would become targets."""
    with pytest.raises(
        ConfigError, match=r"either wide or consistency expected, got 0\.5 and 1\.0"
    ):
        replace(with_steps(config, 1, wide=0.5), losses=LossConfig(consistency=1.0))


def test_the_shipped_configurations_are_valid(pytestconfig):
    folder = pytestconfig.rootpath / "training" / "configs"
    found = [path for path in folder.rglob("*.toml") if path.parent.name != "experiments"]
    assert found
    for path in found:
        assert isinstance(load_config(TrainConfig, path), TrainConfig)


def test_the_command_line_says_what_is_wrong(config, tmp_path, capsys):
    assert main(["student", str(tmp_path / "none.toml"), "--run", str(tmp_path / "run")]) == 1
    assert "none.toml" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    toml = write_toml(tmp_path / "c.toml", config)
    assert main(["teacher", str(toml), "--run", str(tmp_path / "run")]) == 1
    assert "a teacher expected, the configuration is that of a student" in capsys.readouterr().err


def test_a_student_of_one_task_trains_on_it_alone(config, made_data, tmp_path, here):
    alone = replace(config, tasks=replace(config.tasks, names=("depth",)))
    train(alone, tmp_path, here)
    (line,) = (tmp_path / METRICS).read_text().splitlines()
    assert set(json.loads(line)) == {"step", "depth", "total"}


def test_a_teacher_trains_with_its_inputs(teacher_config, made_data, tmp_path, here):
    train(teacher_config, tmp_path / "mm", here)
    control = replace(teacher_config, network=NetworkConfig("teacher", 64, 96, ("image",)))
    train(control, tmp_path / "rgb", here)
    weights = load_trained(tmp_path / "mm").weights
    assert weights["fusion.0.projection.weight"].any(), "the fusion starts at zero and learns"
