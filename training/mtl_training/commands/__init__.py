"""The subcommands of `mtl-train`: what each takes, and what it calls."""

from mtl_training.commands.base import Command
from mtl_training.commands.labelling import CALIBRATE, PROTOCOL, PSEUDO_LABEL
from mtl_training.commands.measuring import (
    EVALUATE,
    EXPORT,
    HALF,
    PLAUSIBILITY,
    QUANTIZE,
    ROBUSTNESS,
)
from mtl_training.commands.studies import AFFINITY, EXPERIMENT, TOY
from mtl_training.commands.training import STUDENT, TEACHER

ALL: tuple[Command, ...] = (
    TOY,
    PROTOCOL,
    TEACHER,
    CALIBRATE,
    PSEUDO_LABEL,
    STUDENT,
    EVALUATE,
    ROBUSTNESS,
    PLAUSIBILITY,
    EXPORT,
    QUANTIZE,
    HALF,
    EXPERIMENT,
    AFFINITY,
)
"""In the order of the help, which is that of the method."""
