"""`mtl-train toy`, `mtl-train experiment` and `mtl-train affinity`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mtl_training.commands.base import Command, add_machine, machine_of
from mtl_training.experiments import affinity, experiment
from mtl_training.experiments.affinity import Affinity
from mtl_training.experiments.design import Experiment
from mtl_training.settings import load_config
from mtl_training.toy.run import run_toy
from mtl_training.toy.settings import ToySettings


def _toy_arguments(parser: ArgumentParser) -> None:
    settings = ToySettings()
    parser.add_argument("--out", type=Path, required=True, help="folder for all results")
    parser.add_argument("--seeds", type=int, default=settings.seeds, help="of the main tables")
    parser.add_argument(
        "--sweep-seeds", type=int, default=settings.sweep_seeds, help="of the sweeps; 0: none"
    )
    parser.add_argument("--seed", type=int, default=settings.seed, help="all others follow from it")
    parser.add_argument("--steps", type=int, default=settings.steps, help="of each network")


def _toy(args: Namespace) -> None:
    sweep_seeds = min(args.sweep_seeds, args.seeds)
    settings = ToySettings(args.seeds, sweep_seeds, args.seed, steps=args.steps)
    run_toy(args.out, settings)


def _experiment_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="TOML file, see training/configs/experiments")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder; what is done there is kept"
    )
    parser.add_argument("--only", nargs="*", default=[], metavar="METHOD", help="these now")
    parser.add_argument("--seeds", nargs="*", type=int, default=[], help="these now")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--list", action="store_true", help="say what there is to do, and end")
    instead.add_argument(
        "--archive",
        type=Path,
        metavar="FOLDER",
        help="copy there what is measured, without what was trained, and end",
    )
    add_machine(parser)


def _experiment(args: Namespace) -> None:
    config = load_config(Experiment, args.config)
    if args.list:
        print(*experiment.listing(config, args.out, args.only, args.seeds), sep="\n")
        return
    if args.archive:
        out = experiment.archive(config, args.out, args.archive, args.only, args.seeds)
    else:
        out = experiment.run(config, args.out, machine_of(args), args.only, args.seeds)
    print((out / "table.md").read_text(encoding="utf-8"))


def _affinity_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="TOML file, see training/configs/experiments")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder; what is done there is kept"
    )
    add_machine(parser)


def _affinity(args: Namespace) -> None:
    affinity.run(load_config(Affinity, args.config), args.out, machine_of(args))
    print((args.out / "affinity.md").read_text(encoding="utf-8"))


TOY = Command(
    "toy", "two coupled functions of one input, in about two minutes", _toy_arguments, _toy
)
EXPERIMENT = Command(
    "experiment",
    "all methods of a study, all seeds; run again to go on",
    _experiment_arguments,
    _experiment,
)
AFFINITY = Command(
    "affinity",
    "which task's output, given to a teacher, helps which other task",
    _affinity_arguments,
    _affinity,
)
