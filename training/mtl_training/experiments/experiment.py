"""All methods by all seeds of an experiment: `results.jsonl`, and from it tables and plots."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl_training.config import TrainConfig
from mtl_training.data.files import read_json
from mtl_training.errors import ConfigError
from mtl_training.experiments.chain import (
    ProtocolStage,
    PseudoStage,
    QualityStage,
    TeacherStage,
    TrainStage,
    quality_in,
)
from mtl_training.experiments.design import Experiment, NetworkDesign, Share, check_known
from mtl_training.experiments.evaluation import EvaluationStage, figures_in
from mtl_training.experiments.stages import (
    RECORD,
    Stage,
    Workshop,
    open_workshop,
    short_hash,
    stages_in,
)
from mtl_training.experiments.tables import write_report
from mtl_training.files import write_json, write_text
from mtl_training.learning.machine import Machine
from mtl_training.settings import config_fields

RESULTS = "results.jsonl"


@dataclass(frozen=True)
class Job:
    """One method with one seed.

    Attributes:
        method: Its name.
        seed: Of training.
        fraction: Of the sweep's task; None = there is no sweep.
        students: Their evaluations, one for each student.
        teacher: Evaluation of its teacher, given the truth of its inputs; None = it has none.
        quality: Of its pseudo-labels; None = it has none, or nothing to judge them by.
    """

    method: str
    seed: int
    fraction: float | None
    students: tuple[EvaluationStage, ...]
    teacher: EvaluationStage | None
    quality: QualityStage | None

    @property
    def goals(self) -> list[Stage]:
        """What it needs in the end, in the order in which it is done."""
        return [stage for stage in (self.quality, self.teacher, *self.students) if stage]

    @property
    def stages(self) -> dict[str, Stage]:
        """All of its stages by name, those before that others build on."""
        return {stage.name: stage for goal in self.goals for stage in goal.ancestry()}

    def __str__(self) -> str:
        """In words."""
        return _name(self.method, self.fraction, self.seed)


def _name(method: str, fraction: float | None, seed: int) -> str:
    share = "" if fraction is None else f" at {fraction:g}"
    return f"{method}{share}, seed {seed}"


def jobs(experiment: Experiment, only: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Job]:
    """All methods by all seeds, a seed with all of its methods before the next.

    Args:
        experiment: Which.
        only: Names of methods; none = all.
        seeds: Some of its seeds; none = all.

    Raises:
        ConfigError: A method or a seed is unknown, or a method's settings are none.
    """
    check_known("method", set(only), experiment.methods)
    check_known("seeds", set(map(str, seeds)), dict.fromkeys(map(str, experiment.seeds)))
    sweep = experiment.sweep
    shares = [Share(sweep.task, value) for value in sweep.fractions] if sweep else [None]
    return [
        _job(experiment, method, seed, share)
        for seed in experiment.seeds
        if not seeds or seed in seeds
        for share in shares
        for method in experiment.methods
        if not only or method in only
    ]


def _job(experiment: Experiment, name: str, seed: int, share: Share | None) -> Job:
    method, data = experiment.methods[name], experiment.data
    imbalance = data.imbalance(seed, share) if method.protocol else None
    protocol = ProtocolStage(data.train, imbalance) if imbalance else None
    configs = experiment.student_configs(name, seed)
    pseudo = _pseudo(experiment, method.teacher, seed, protocol) if method.teacher else None
    where = f"methods.{name}"
    students = [
        TrainStage(config, protocol, pseudo, before=_before(experiment, method, config, where))
        for config in configs
    ]
    losses = configs[0].losses
    quality = None
    if pseudo and protocol:
        quality = QualityStage(pseudo, losses.pseudo_threshold, losses.pseudo_share)
    return Job(
        method=name,
        seed=seed,
        fraction=share.value if share else None,
        students=tuple(EvaluationStage(student, data.test) for student in students),
        teacher=EvaluationStage(pseudo.teacher, data.test, "truth") if pseudo else None,
        quality=quality,
    )


def _pseudo(
    experiment: Experiment, name: str, seed: int, protocol: ProtocolStage | None
) -> PseudoStage:
    design, config = experiment.teachers[name], experiment.teacher_config(name, seed)
    earlier = _pseudo(experiment, design.teacher, seed, protocol) if design.teacher else None
    before = _before(experiment, design, config, f"teachers.{name}")
    teacher = TeacherStage(config, protocol, earlier, design.flip, before=before)
    tasks = tuple(task for task in config.tasks.names if task in experiment.lacking)
    if not tasks:
        raise ConfigError(f"teachers.{name}: learns none of {', '.join(experiment.lacking)}")
    return PseudoStage(teacher, tasks)


def _before(
    experiment: Experiment, design: NetworkDesign, config: TrainConfig, where: str
) -> TrainStage | None:
    """What a network is pretrained by."""
    if not design.pretrain:
        return None
    pretraining = experiment.pretrainings[design.pretrain]
    before = pretraining.config(config, f"pretrainings.{design.pretrain} before {where}")
    return TrainStage(before, protocol=None, pseudo=None)


def run(
    experiment: Experiment,
    out: Path,
    machine: Machine,
    only: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> Path:
    """Do what is not done yet, then write results, tables and plots of all that is.

    Args:
        experiment: Which.
        out: Its folder.
        machine: Trains the networks; one device.
        only: Names of methods to do now; none = all.
        seeds: Those to do now; none = all.

    Returns:
        `out`, which holds `experiment.json`, `results.jsonl`, `table.md`, plots, and `stages/`.

    Raises:
        ConfigError: A setting is none, a method or a seed is unknown, or there are several devices.
        TrainingError: A stage failed; what was done before stays.
    """
    every, wanted = jobs(experiment), jobs(experiment, only, seeds)
    workshop = open_workshop(out, machine)
    write_json(out / "experiment.json", config_fields(experiment))
    _make_all(every, wanted, workshop, out)
    write_report(experiment, _write_results(every, workshop, out), out)
    return out


def archive(
    experiment: Experiment,
    out: Path,
    folder: Path,
    only: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> Path:
    """Copy what is measured, and of what was trained the records alone: all that tables need.

    A study goes on from an archive as from its own folder. What is needed once more, such as a
    teacher for another method, is trained once more; where it comes out otherwise, so is all that
    was built on it.

    Args:
        experiment: Which.
        out: Its folder.
        folder: The archive. What it holds already stays.
        only: Names of methods; none = all.
        seeds: Some of its seeds; none = all.

    Returns:
        `folder`.

    Raises:
        ConfigError: Nothing of that is measured, or the archive holds results with which it cannot
            stand in one table.
    """
    every = jobs(experiment)
    ours, kept = (Workshop(stages_in(one), Machine(), _nothing) for one in (out, folder))
    done = [job for job in jobs(experiment, only, seeds) if _measured(job, ours)]
    if not done:
        raise ConfigError(f"{out}: expected something measured to archive, got nothing")
    _check_archive(every, done, folder, kept, ours)
    for job in done:
        for stage in job.stages.values():
            kept.copy_from(ours, stage, products=stage in job.goals)
    write_json(folder / "experiment.json", config_fields(experiment))
    write_report(experiment, _write_results(every, kept, folder), folder)
    return folder


def _check_archive(
    every: Sequence[Job], done: Sequence[Job], folder: Path, kept: Workshop, ours: Workshop
) -> None:
    """Refuse to overwrite results, and to leave some out of the table that were in it."""
    if kept.folder == ours.folder:
        raise ConfigError(f"{folder}: an archive is another folder than the study's own")
    stages = {name: stage for job in done for name, stage in job.stages.items()}
    if other := [name for name, stage in stages.items() if kept.differs(ours, stage)]:
        raise ConfigError(
            f"{folder}: expected the outcome of {other[0]} that is to be archived, got another; "
            "another folder can take it"
        )
    path = folder / RESULTS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    told = [_name(one["method"], one["fraction"], one["seed"]) for one in map(json.loads, lines)]
    measured = {str(job) for job in every if job in done or _measured(job, kept)}
    if lost := [name for name in told if name not in measured]:
        raise ConfigError(
            f"{folder}: holds {lost[0]}, which is not of this study as it is configured now; "
            "another folder can take it"
        )


def _make_all(every: Sequence[Job], wanted: Sequence[Job], workshop: Workshop, out: Path) -> None:
    """Do the jobs' goals, and keep the results up to date."""
    goals = [(job, goal) for job in wanted for goal in job.goals]
    for number, (job, goal) in enumerate(goals, start=1):
        if not workshop.done(goal):
            workshop.say(f"{number}/{len(goals)} {job}")
            workshop.make(goal)
            _write_results(every, workshop, out)


def _write_results(every: Sequence[Job], workshop: Workshop, out: Path) -> list[dict[str, Any]]:
    """One line for each method and seed that is done."""
    done = [job for job in every if _measured(job, workshop)]
    found = [_result(job, workshop) for job in done]
    write_text(out / RESULTS, "".join(json.dumps(one, allow_nan=False) + "\n" for one in found))
    return found


def _measured(job: Job, workshop: Workshop) -> bool:
    return all(map(workshop.done, job.goals))


def _result(job: Job, workshop: Workshop) -> dict[str, Any]:
    figures = [figures_in(workshop.at(one)) for one in job.students]
    return {
        "method": job.method,
        "seed": job.seed,
        "fraction": job.fraction,
        "figures": {task: found for one in figures for task, found in one.items()},
        "teacher": figures_in(workshop.at(job.teacher)) if job.teacher else None,
        "pseudo": quality_in(workshop.at(job.quality)) if job.quality else None,
        "evaluations": {task.name: one.name for one in job.students for task in one.tasks},
        "stages": list(job.stages),
        "config": short_hash([goal.name for goal in job.goals]),
        "commit": read_json(workshop.at(job.students[0].trained) / RECORD)["commit"],
    }


def listing(
    experiment: Experiment, out: Path, only: Sequence[str] = (), seeds: Sequence[int] = ()
) -> Iterator[str]:
    """What would run, and what is done, line by line; nothing is run or written.

    Raises:
        ConfigError: See `jobs`.
    """
    workshop = Workshop(stages_in(out), Machine(), _nothing)
    chosen, seen = jobs(experiment, only, seeds), set[str]()
    goals = [goal for job in chosen for goal in job.goals]
    lacking = {stage.name for goal in goals for stage in workshop.lacking(goal)}
    for job in chosen:
        yield str(job)
        for stage in job.stages.values():
            state = "to do" if stage.name in lacking else "done"
            yield f"  {state:5}  {stage.name}" + (" (as above)" if stage.name in seen else "")
            seen.add(stage.name)


def _nothing(line: str) -> None:
    """Say nothing."""
