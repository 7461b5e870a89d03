"""What a subcommand is, and the options that several share."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from mtl_training.learning.machine import Machine, Precision


@dataclass(frozen=True)
class Command:
    """One subcommand.

    Attributes:
        name: As typed.
        help: One line.
        arguments: Adds its arguments to a parser.
        run: Does it.
    """

    name: str
    help: str
    arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], None]


def add_machine(parser: ArgumentParser) -> None:
    """Options that say on what to train; none of them changes the result on one CPU."""
    machine = Machine()
    parser.add_argument("--accelerator", default=machine.accelerator, help="auto, cpu or cuda")
    parser.add_argument(
        "--devices", type=int, default=machine.devices, help="more than one: DDP (default 1)"
    )
    parser.add_argument("--precision", choices=get_args(Precision), default=machine.precision)
    parser.add_argument(
        "--workers",
        type=int,
        default=machine.workers,
        help="processes that prepare images for each device; 0: none (default 1)",
    )
    parser.add_argument(
        "--save-every",
        type=int,
        default=machine.save_every,
        help="steps between checkpoints (default 100)",
    )


def machine_of(args: Namespace) -> Machine:
    """What those options say."""
    return Machine(args.accelerator, args.devices, args.precision, args.workers, args.save_every)
