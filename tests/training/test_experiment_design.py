"""What an experiment's file may say, and the stages that come of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mtl_training.config import DataConfig
from mtl_training.errors import ConfigError
from mtl_training.experiments import experiment as experiments
from mtl_training.experiments.affinity import Affinity, evaluations, pairs
from mtl_training.experiments.chain import TrainStage
from mtl_training.experiments.design import Experiment, Pretraining
from mtl_training.experiments.evaluation import EvaluationStage
from mtl_training.experiments.experiment import jobs, run
from mtl_training.settings import load_config
from tiny_study import EXPERIMENT, tiny_experiment, with_methods, with_sweep

CONFIGS = Path(experiments.__file__).parents[2] / "configs" / "experiments"


@pytest.fixture(scope="module")
def tiny():
    return tiny_experiment()


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("losses.pseudo_threshold = 0.0", "losses.psuedo = 1.0", r"teacher_student.*psuedo"),
        ("schedule.balanced = true", "schedule.balanced = 3", r"teacher_student.*balanced"),
        ("flip = false", "flop = false", "flop"),
        ("inputs = [\"depth\"]", "network.inptus = [\"depth\"]", "inptus|inputs"),
        ("block = 1", "blok = 1", "blok"),
        ("resamples = 20", "resample = 20", "resample"),
        ('teacher = "multi_modal"', 'teacher = "rgb"', "rgb.*known: multi_modal"),
        ('"teacher_student", "multi_task"]]', '"teacher_student", "x"]]', "x.*known: multi_task"),
        ("seeds = [0, 1]", "seeds = [1, 1]", "seeds"),
        ('split = "fit"}\ntest', 'split = "fit", pseudo = "there"}\ntest', "pseudo"),
        ("flip = false", 'flip = false\npretrain = "x"', "pretrain: unknown .*x.*known: none"),
        ("[methods.multi_task]", '[pretrainings.x]\ndata = {source = "rooms", pseudo = "there"}\n'
         "[methods.multi_task]", r"pretrainings\.x: protocol and pseudo"),
        ("[methods.multi_task]", '[pretrainings.x]\ndata = {source = "nyuv2", split = "fit"}\n'
         "[methods.multi_task]", r"pretrainings\.x: other data.*nyuv2"),
        ("[methods.multi_task]", '[pretrainings.x]\ndata.source = "rooms"\nlosses.psuedo = 1\n'
         '[methods.multi_task]\npretrain = "x"',
         r"pretrainings\.x before methods\.multi_task.*psuedo"),
        ("[methods.multi_task]", '[pretrainings.x]\ndata.source = "rooms"\n'
         'network = {role = "teacher", inputs = ["depth"]}\n[methods.multi_task]\npretrain = "x"',
         "a student of segmentation and depth expected, got a teacher of .* given depth"),
        ("[methods.multi_task]", "[methods.multi_task]\nprotocol = false\nteacher = 'multi_modal'",
         "methods.multi_task: "),
    ],
)  # fmt: skip
def test_what_no_setting_is_called_is_fatal_and_named(tmp_path, old, new, named):
    assert old in EXPERIMENT
    path = tmp_path / "wrong.toml"
    path.write_text(EXPERIMENT.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=named):
        jobs(load_config(Experiment, path))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_files_that_ship_say_what_can_be_run(path):
    """All of their methods and seeds make jobs; those with methods are experiments."""
    if "[methods." in path.read_text(encoding="utf-8"):
        experiment = load_config(Experiment, path)
        found = jobs(experiment)
        points = len(experiment.sweep.fractions) if experiment.sweep else 1
        assert len(found) == len(experiment.seeds) * points * len(experiment.methods)
        if not all(method.teacher for method in experiment.methods.values()):  # else an ablation
            assert {"single_task", "multi_task", "fully_labelled"} <= experiment.methods.keys()
    else:
        affinity = load_config(Affinity, path)
        assert evaluations(affinity, pairs(affinity))


def test_an_unknown_method_is_named_with_those_there_are(tiny):
    with pytest.raises(ConfigError, match="multi_task, teacher_student"):
        jobs(tiny, only=["multitask"])


def test_several_devices_are_refused(tiny, tmp_path, here):
    with pytest.raises(ConfigError, match="one device"):
        run(tiny, tmp_path, replace(here, devices=2))


def test_teachers_in_a_circle_are_refused(tiny):
    one = tiny.teachers["multi_modal"]
    circle = {"multi_modal": replace(one, teacher="b"), "b": replace(one, teacher="multi_modal")}
    with pytest.raises(ConfigError, match=r"circle.*multi_modal from b from multi_modal"):
        replace(tiny, teachers=circle)
    with pytest.raises(ConfigError, match=r"unknown.*nobody.*known: multi_modal"):
        replace(tiny, teachers={"multi_modal": replace(one, teacher="nobody")})


def test_a_change_changes_its_setting_alone(tiny):
    (plain,), (changed,) = (
        tiny.student_configs(name, 1) for name in ("multi_task", "teacher_student")
    )
    assert changed == replace(
        plain,
        schedule=replace(plain.schedule, balanced=True),
        losses=replace(plain.losses, pseudo_threshold=0.0),
    )


@pytest.fixture(scope="module")
def begun(tiny):
    """The experiment with one pretraining, `rooms`."""
    rooms = Pretraining(data=DataConfig("rooms", frames=3), schedule={"steps": 5})
    return replace(tiny, pretrainings={"rooms": rooms})


def trainings(job):
    """Its stages that train, in order."""
    return [stage for stage in job.stages.values() if isinstance(stage, TrainStage)]


def test_what_is_pretrained_is_trained_alike_but_for_its_changes_on_other_data(begun):
    study = with_methods(begun, more={"pretrain": "rooms"})
    (job,) = jobs(study, seeds=[1])
    before, after = trainings(job)
    assert after.config == study.student_configs("more", 1)[0]
    assert before.config == replace(
        after.config,
        seed=0,
        data=(DataConfig("rooms", frames=3),),
        schedule=replace(after.config.schedule, steps=5),
    )
    assert before.protocol is before.pseudo is before.before is None
    assert after.protocol is not None


def test_seeds_begin_from_one_pretraining(begun):
    study = with_methods(begun, more={"pretrain": "rooms"})
    one, other = map(trainings, jobs(study))
    assert one[0] == other[0]
    assert one[1].name != other[1].name


def test_methods_that_draw_and_learn_otherwise_begin_from_one_pretraining(begun):
    study = with_methods(
        begun,
        taught={"teacher": "multi_modal", "pretrain": "rooms"},
        balanced={"schedule": {"balanced": True}, "pretrain": "rooms"},
        ceiling={"protocol": False, "pretrain": "rooms"},
    )
    chosen = jobs(study, only=["taught", "balanced", "ceiling"], seeds=[1])
    ends = [trainings(job)[-2:] for job in chosen]
    assert len({before.name for before, _ in ends}) == 1
    assert len({after.name for _, after in ends}) == 3
    assert ends[1][1].config.schedule.balanced


def test_one_student_per_task_makes_one_result(tiny):
    more = with_methods(tiny, single={"one_per_task": True})
    job = jobs(more)[0]
    assert [tuple(s.trained.config.tasks.names) for s in job.students] == [
        ("segmentation",),
        ("depth",),
    ]


def test_who_learns_one_task_of_several_has_its_weight_alone(tiny):
    weights = {"task_weights": {"depth": 0.3}}
    student = replace(tiny.student, losses=replace(tiny.student.losses, **weights))
    both = replace(tiny, student=student, teacher=student)
    job = jobs(with_methods(both, single={"one_per_task": True}))[0]
    assert [s.trained.config.losses.task_weights for s in job.students] == [{}, {"depth": 0.3}]
    assert both.lacking == ("segmentation",)
    assert both.teacher_config(next(iter(both.teachers)), 0).losses.task_weights == {}
    alone = with_methods(both, alone={"tasks": {"names": ["segmentation"]}})
    (config,) = alone.student_configs("alone", 0)
    assert (config.tasks.names, config.losses.task_weights) == (("segmentation",), {})


def test_the_ceiling_has_no_protocol(tiny):
    more = with_methods(tiny, full={"protocol": False})
    stages = jobs(more)[0].stages.values()
    assert [type(stage) for stage in stages] == [TrainStage, EvaluationStage]


def test_protocols_may_differ_between_seeds(tiny):
    apart = replace(tiny, data=replace(tiny.data, protocol_per_seed=True))
    for one, count in ((tiny, 1), (apart, 2)):
        names = {name for job in jobs(one) for name in job.stages if name.startswith("protocol")}
        assert len(names) == count


def test_a_sweep_repeats_all_at_each_fraction(tiny):
    sweep = with_sweep(tiny)
    found = jobs(sweep, only=["multi_task"])
    assert [(job.seed, job.fraction) for job in found] == [(0, 0.25), (0, 0.5), (1, 0.25), (1, 0.5)]
    drawn = [job.students[0].trained.protocol.imbalance.fractions for job in found]
    assert drawn[0] == {"segmentation": 0.25}
    assert sweep.lacking == ("segmentation",)


def test_a_teacher_learns_what_some_samples_lack(tiny):
    one_label = replace(tiny.data.protocol, kind="one-label", fractions={}, calibration=0.0)
    every = replace(tiny, data=replace(tiny.data, protocol=one_label))
    assert tiny.teacher_config("multi_modal", 0).tasks.names == ("segmentation",)
    assert every.teacher_config("multi_modal", 0).tasks.names == ("segmentation", "depth")
