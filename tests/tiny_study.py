"""Small studies for the tests: two tasks at 64x96, on the made NYUv2 folder."""

from __future__ import annotations

import tomllib
from dataclasses import replace

from mtl_training.experiments.design import Experiment, Method
from mtl_training.settings import config_fields, parse_config

SHARED = """[tasks]
names = ["segmentation", "depth"]
label_map = "nyu13"
canonical_fx = 77.8
min_depth_m = 0.3
max_depth_m = 12.0

[network]
height = 64
width = 96

[data]
train = {source = "nyuv2", split = "fit"}
test = {source = "nyuv2", split = "fit"}
"""
"""Tables that an experiment's TOML and an affinity's have in common."""

EXPERIMENT = (
    """
name = "tiny"
seeds = [0, 1]

"""
    + SHARED
    + """
[data.protocol]
kind = "fraction"
fractions = {segmentation = 0.75}
block = 1
calibration = 0.25

[student]
schedule = {steps = 2, batch_size = 2, ema_decay = 0.5}

[teacher]
schedule = {steps = 2, batch_size = 2, ema_decay = 0.5}

[teachers.multi_modal]
inputs = ["depth"]
flip = false

[methods.multi_task]

[methods.teacher_student]
teacher = "multi_modal"
schedule.balanced = true
losses.pseudo_threshold = 0.0

[report]
compare = [["teacher_student", "multi_task"]]
resamples = 20
"""
)
"""TOML of an experiment: two methods, two seeds, two steps each."""


def tiny_experiment() -> Experiment:
    """What `EXPERIMENT` says."""
    return parse_config(Experiment, tomllib.loads(EXPERIMENT), "tiny")


def with_methods(study: Experiment, **methods: dict[str, object]) -> Experiment:
    """The experiment with other methods, by plain settings."""
    return replace(
        study,
        report=replace(study.report, compare=()),
        methods={name: parse_config(Method, fields, name) for name, fields in methods.items()},
    )


def with_sweep(study: Experiment) -> Experiment:
    """The experiment at two fractions of the labels."""
    sweep = {"task": "segmentation", "fractions": [0.25, 0.5]}
    return parse_config(Experiment, {**config_fields(study), "sweep": sweep}, "sweep")
