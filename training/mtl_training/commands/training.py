"""`mtl-train teacher` and `mtl-train student`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mtl_training.commands.base import Command, add_machine, machine_of
from mtl_training.config import Role, TrainConfig
from mtl_training.errors import ConfigError
from mtl_training.learning.engine import train
from mtl_training.settings import load_config


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="TOML file, see training/configs")
    parser.add_argument("--run", type=Path, required=True, help="folder for all that it leaves")
    parser.add_argument("--resume", action="store_true", help="go on with that folder's run")
    add_machine(parser)


def _command(role: Role) -> Command:
    def run(args: Namespace) -> None:
        config = load_config(TrainConfig, args.config)
        if config.network.role != role:
            raise ConfigError(
                f"{args.config}: a {role} expected, the configuration is that of a "
                f"{config.network.role}"
            )
        print(train(config, args.run, machine_of(args), args.resume))

    return Command(role, f"train a {role}, in a folder of its own", _arguments, run)


TEACHER, STUDENT = _command("teacher"), _command("student")
