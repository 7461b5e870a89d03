"""What `mtl-train calibrate` and `mtl-train pseudo-label` do with a run, a file and a data set."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

import untrained
from mtl_training.cli import main
from mtl_training.config import DataConfig, LossConfig
from mtl_training.data.catalogue import open_source
from mtl_training.data.files import read_json
from mtl_training.data.protocols import Assignment, Imbalance, assign, limit
from mtl_training.errors import ConfigError, DatasetError, ResumeError
from mtl_training.learning.checkpoint import load_trained
from mtl_training.pseudo.job import Job
from mtl_training.pseudo.store import PseudoStore, WithPseudo
from mtl_training.settings import config_fields
from mtl_training.tasks.registry import build_tasks

HALF = Imbalance("fraction", {"segmentation": 0.5}, block=1, calibration=0.5)


def taught(folder, config, data, **record):
    """A run that was trained on these data."""
    config = replace(config, data=(data,))
    if data.protocol:
        sha256 = hashlib.sha256(Path(data.protocol).read_bytes()).hexdigest()
        record["protocols"] = {data.protocol: sha256}
    return untrained.run(folder, config, **record)


@pytest.fixture
def job(teacher_config, made_data, tmp_path):
    """Two of four images keep their segmentation, one of them is set aside."""
    data = DataConfig("nyuv2", split="fit", protocol=str(tmp_path / "protocol.json"))
    assign(open_source(data), HALF).save(tmp_path / "protocol.json")
    return Job(taught(tmp_path / "taught", teacher_config, data), data, ("depth",))


def test_from_a_run_to_judged_labels(job, tmp_path):
    run = job.model
    found = job.calibrate()
    assert found == load_trained(run).temperatures
    store = job.label(tmp_path / "labels")
    assert store.record.recipe.temperatures == found
    assert store.record.recipe.signals == ("depth",)
    assert len(store.record.names) == 2
    report = job.judge(tmp_path / "labels", tmp_path / "report")
    assert report["tasks"].keys() == {"segmentation"}
    assert report["tasks"]["segmentation"]["images"] <= 2

    source = open_source(job.data)
    limited = limit(source, Assignment.load(Path(job.data.protocol)))
    tasks = build_tasks(load_trained(run).config.tasks)
    both = WithPseudo(limited, tmp_path / "labels", tasks, LossConfig(), job.data)
    states = [both.sample(i).state("segmentation") for i in range(4)]
    assert sorted(states) == ["pseudo", "pseudo", "truth", "truth"]


def test_the_command_calibrates_a_run(job, made_data, capsys):
    data = job.data
    options = ["--split", data.split, "--protocol", data.protocol, "--signals", "depth"]
    assert main(["calibrate", str(job.model), str(made_data / "nyuv2"), *options]) == 0
    found = load_trained(job.model).temperatures
    assert found == job.calibrate()
    said = capsys.readouterr().out
    assert all(f"{task}: temperature {value:.3f}" in said for task, value in found.items())


def test_another_protocol_needs_another_folder(job, tmp_path):
    job.label(tmp_path / "labels")
    other = Imbalance("fraction", {"segmentation": 0.25}, block=1)
    assign(open_source(job.data), other).save(Path(job.data.protocol))
    with pytest.raises(ResumeError, match="data"):
        job.label(tmp_path / "labels")


def test_what_cannot_be_calibrated_is_refused(job, tmp_path):
    with pytest.raises(ConfigError, match="calibrate its run"):
        replace(job, model=tmp_path / "teacher.onnx").calibrate()
    assign(open_source(job.data), Imbalance("one-label")).save(Path(job.data.protocol))
    with pytest.raises(DatasetError, match="sets no samples aside"):
        job.calibrate()


@pytest.mark.usefixtures("made_data")
def test_an_onnx_file_labels_as_well(tmp_path):
    path = min((Path(__file__).parents[2] / "src/mtl_perception/models").glob("student-*.onnx"))
    job = Job(path, DataConfig("nyuv2", split="val"))
    recipe = job.label(tmp_path / "labels", everywhere=True).record.recipe
    assert recipe.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (recipe.teacher, recipe.temperatures) == (path.stem, {})
    found = job.judge(tmp_path / "labels", tmp_path / "report")
    assert found["tasks"].keys() == {"segmentation", "depth"}


def test_only_the_tasks_that_are_asked_for_are_labelled(made_data, tmp_path):
    path = min((Path(__file__).parents[2] / "src/mtl_perception/models").glob("student-*.onnx"))
    words = ["pseudo-label", str(path), str(made_data / "nyuv2"), "--split", "val", "--everywhere"]
    options = ["--tasks", "segmentation", "--out", str(tmp_path / "labels")]
    assert main([*words, *options, "--quality", str(tmp_path / "report")]) == 0
    record = PseudoStore.open(tmp_path / "labels").record
    assert record.recipe.tasks == ("segmentation",)
    assert set(record.labelled) == {"segmentation"}
    assert read_json(tmp_path / "report/quality.json")["tasks"].keys() == {"segmentation"}
    job = Job(path, DataConfig("nyuv2", split="val"))
    with pytest.raises(ConfigError, match="says segmentation, depth, asked for normals"):
        replace(job, tasks=("normals",)).label(tmp_path / "other")


def test_the_report_leaves_out_what_the_student_sees(job, tmp_path):
    """Labels of all four images, of which two are hidden."""
    job.label(tmp_path / "labels", everywhere=True)
    found = job.judge(tmp_path / "labels", tmp_path / "report", LossConfig(pseudo_threshold=0.0))
    assert found["tasks"].keys() == {"segmentation"}
    assert found["tasks"]["segmentation"]["images"] == 2
    before = sum(g["pixels_before"] for g in found["tasks"]["segmentation"]["groups"].values())
    assert before <= 2 * 480 * 640


# ---- what may calibrate --------------------------------------------------------------------------


def test_without_a_protocol_all_samples_of_another_split_calibrate(job):
    found = replace(job, data=DataConfig("nyuv2", split="val")).calibrate()
    assert found.keys() == {"segmentation", "depth"}


def test_what_was_trained_on_does_not_calibrate(job, made_data):
    for data in (DataConfig("nyuv2", split="fit"), DataConfig("nyuv2", str(made_data / "nyuv2"))):
        with pytest.raises(ConfigError, match="trained on 4 of the 4 samples"):
            replace(job, data=replace(data, split="fit")).calibrate()
    assert not load_trained(job.model).temperatures


def test_a_protocol_that_the_run_was_not_trained_with_does_not_calibrate(
    job, teacher_config, tmp_path
):
    other = replace(job.data, protocol=str(tmp_path / "other.json"))
    assign(open_source(other), replace(HALF, seed=5)).save(tmp_path / "other.json")
    with pytest.raises(ConfigError, match=r"trained on \d of the \d samples"):
        replace(job, data=other).calibrate()
    every = replace(job.data, protocol="")
    whole = taught(tmp_path / "whole", teacher_config, every)
    with pytest.raises(ConfigError, match="trained on 1 of the 1 samples"):
        replace(job, model=whole).calibrate()


def test_the_same_protocol_elsewhere_calibrates(job, tmp_path):
    copy = tmp_path / "copy.json"
    copy.write_bytes(Path(job.data.protocol).read_bytes())
    assert replace(job, data=replace(job.data, protocol=str(copy))).calibrate()


def test_neither_a_student_nor_what_started_from_the_same_samples_is_calibrated(
    job, config, teacher_config, tmp_path
):
    """A student sees what is set aside, and so did a run without a protocol before this one."""
    student = taught(tmp_path / "student", config, job.data)
    with pytest.raises(ConfigError, match="trained on 1 of the 1"):
        replace(job, model=student, signals=()).calibrate()
    first = {"config": config_fields(teacher_config)}
    later = taught(tmp_path / "later", teacher_config, job.data, start=first)
    with pytest.raises(ConfigError, match="trained on 1 of the 1"):
        replace(job, model=later).calibrate()


def test_another_data_set_is_never_the_same(job):
    rooms_held_out = DataConfig("held-out-rooms", frames=6)
    assert replace(job, data=rooms_held_out).calibrate()
