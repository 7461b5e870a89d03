"""Which file a model's name means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import tiny_student
from mtl_core.errors import ModelError
from mtl_perception import models
from mtl_perception.errors import PerceptionError
from mtl_perception.models import default_model, find_model
from mtl_perception.resources import share_path
from mtl_perception.student_predictor import StudentPredictor

SHIPPED = share_path("models")


def test_no_name_means_the_default_that_the_record_names() -> None:
    assert find_model() == SHIPPED / default_model()
    assert default_model() == "student-lite0-288x384.onnx"
    assert find_model(role="teacher") == SHIPPED / "teacher-lite2-288x384.onnx"
    assert find_model(role="teacher").is_file()


def test_a_bare_name_means_a_shipped_model_unless_the_working_directory_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_model("other.onnx") == SHIPPED / "other.onnx"
    Path("other.onnx").touch()
    assert find_model("other.onnx").absolute() == tmp_path / "other.onnx"


def test_a_path_stays_a_path_and_home_is_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_model("~/x.onnx") == tmp_path / "x.onnx"
    assert find_model("folder/x.onnx") == Path("folder/x.onnx")
    assert find_model("/x.onnx") == Path("/x.onnx")


@pytest.mark.parametrize("text", ["", "- student", "teacher: x.onnx", "student: 3"])
def test_a_damaged_record_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/models.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(models, "share_path", tmp_path.joinpath)
    with pytest.raises(PerceptionError, match=r"models\.yaml: expected 'student: FILE\.onnx', got"):
        default_model()


def test_a_student_of_classes_and_depth_is_taken(tmp_path: Path) -> None:
    student = StudentPredictor(tiny_student.write(tmp_path / "tiny.onnx"))
    assert student.label_map == tiny_student.card().label_map


def test_a_teacher_is_not_taken_for_a_student(tmp_path: Path) -> None:
    path = tiny_student.write_teacher(tmp_path / "teacher.onnx")
    expected = "expected a student with outputs segmentation and depth, got a teacher with segm"
    with pytest.raises(ModelError, match=rf"teacher\.onnx: {expected}"):
        StudentPredictor(path)


@pytest.mark.parametrize(("missing", "said"), [("depth", "segmentation"), ("label_map", "depth")])
def test_a_student_of_one_task_is_not_enough(tmp_path: Path, missing: str, said: str) -> None:
    card = replace(tiny_student.card(), **{missing: None})
    path = tiny_student.write(tmp_path / "half.onnx", card)
    with pytest.raises(ModelError, match=f"segmentation and depth, got a student with {said}$"):
        StudentPredictor(path)
