"""`mtl-train`: train teachers and students, write pseudo-labels, measure, export, experiment."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mtl_core.errors import MtlError
from mtl_training import commands
from mtl_training.errors import TrainingError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mtl-train", description=__doc__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in commands.ALL:
        one = subparsers.add_parser(command.name, help=command.help, description=command.help)
        command.arguments(one)
        one.set_defaults(do=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; 0 on success, 1 with a message on bad input, 130 when interrupted."""
    args = _parser().parse_args(argv)
    try:
        args.do(args)
    except (TrainingError, MtlError) as err:
        print(f"mtl-train: {err}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("mtl-train: interrupted; what was saved is kept, --resume goes on with a training")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
