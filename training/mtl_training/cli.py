"""`mtl-train`: train a student, export it, evaluate a model."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from mtl_core.errors import MtlError
from mtl_core.predictor import OnnxPredictor
from mtl_training.config import load_config
from mtl_training.data.nyuv2 import NYUv2
from mtl_training.data.rooms import HeldOutRooms
from mtl_training.engine import train
from mtl_training.errors import TrainingError
from mtl_training.evaluate import evaluate
from mtl_training.release import release


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _student(args: argparse.Namespace) -> None:
    device = _device(args.device)
    print(f"training on {device}, {torch.get_num_threads()} threads, run folder {args.run}")
    train(load_config(args.config), args.run, device, args.workers, args.start)


def _export(args: argparse.Namespace) -> None:
    path = release(args.run, args.out, args.val_list)
    print(f"{path}\n{OnnxPredictor(path).card.to_json()}")


def _evaluate(args: argparse.Namespace) -> None:
    data = HeldOutRooms(args.rooms) if args.rooms else NYUv2(args.list)
    print(json.dumps(evaluate(OnnxPredictor(args.model), data), indent=1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mtl-train", description=__doc__)
    commands = parser.add_subparsers(required=True)

    student = commands.add_parser("student", help="train a student; run again to go on")
    student.add_argument("config", type=Path, help="TOML file, see training/configs")
    student.add_argument("--run", type=Path, required=True, help="folder for checkpoint and log")
    student.add_argument("--start", type=Path, help="finished run whose weights to begin with")
    student.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    student.add_argument("--workers", type=int, default=1, help="processes that prepare images")
    student.set_defaults(do=_student)

    export = commands.add_parser("export", help="write a finished run as ONNX with its card")
    export.add_argument("run", type=Path, help="folder of a finished run")
    export.add_argument("--out", type=Path, required=True, help="folder for the ONNX file")
    export.add_argument("--val-list", default="val.txt", help="NYUv2 list for the card's metrics")
    export.set_defaults(do=_export)

    measure = commands.add_parser("evaluate", help="measure an ONNX model")
    measure.add_argument("model", type=Path)
    on = measure.add_mutually_exclusive_group()
    on.add_argument("--list", default="val.txt", help="NYUv2 list in $MTL_DATA/nyuv2; val.txt")
    on.add_argument("--rooms", type=int, help="instead, so many synthetic rooms never trained on")
    measure.set_defaults(do=_evaluate)
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
        print("mtl-train: interrupted; the same command goes on from the last epoch")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
