"""`mtl-train evaluate`, `robustness`, `plausibility`, `export` and `quantize`."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from mtl_training.commands.base import Command
from mtl_training.evaluate import data_config, evaluate_file
from mtl_training.files import write_json
from mtl_training.float16 import halve
from mtl_training.models import open_model
from mtl_training.plausibility import GROUND, plausibility_of_file
from mtl_training.quantize import Calibration, quantize
from mtl_training.release import release
from mtl_training.robustness.job import Job
from mtl_training.robustness.report import markdown

_MODEL = "ONNX file, weights.safetensors or folder of a finished run"
_DATA = "folder or file of a data set, of any layout that is known, or rooms:20"
_SIBLING = "ONNX file made in the same way of less data, whose figures go into the card as well"
_SIGNALS = "inputs of a teacher that are given the truth, such as depth"


def _evaluate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help=_MODEL)
    parser.add_argument("data", help=_DATA)
    parser.add_argument("--split", default="", help="which part of the data, such as val")
    parser.add_argument("--signals", nargs="*", default=[], help=_SIGNALS)
    parser.add_argument(
        "--json",
        type=Path,
        default=Path("out/evaluation.json"),
        help="file for what is printed (default: out/evaluation.json)",
    )
    parser.add_argument("--device", default="cpu", help="where torch runs a checkpoint")


def _evaluate(args: Namespace) -> None:
    found = evaluate_file(args.model, args.data, args.split, args.signals, args.device)
    write_json(args.json, found)
    print(json.dumps(found, indent=1))


def _robustness_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help=_MODEL)
    parser.add_argument("data", help=_DATA)
    parser.add_argument("--split", default="", help="which part of the data, such as val")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/robustness"),
        help="folder for the report (default: out/robustness)",
    )
    parser.add_argument(
        "--limit", type=int, help="images at most, spread evenly over the data (default: all)"
    )
    parser.add_argument(
        "--seed", type=int, default=Job.seed, help="of noise and resamples (default 0)"
    )
    parser.add_argument("--device", default="cpu", help="where torch runs a checkpoint")


def _robustness(args: Namespace) -> None:
    job = Job(args.model, args.data, args.split, args.limit, args.seed, args.device)
    print(f"{markdown(job.run(args.out))}\n{args.out}")


def _plausibility_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help=_MODEL)
    parser.add_argument("data", help="folder or file of a data set with true classes")
    parser.add_argument("--split", default="", help="which part of the data, such as val")
    parser.add_argument(
        "--ground", default=GROUND, help=f"class that is a plane (default {GROUND})"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the report")
    parser.add_argument("--device", default="cpu", help="where torch runs a checkpoint")


def _plausibility(args: Namespace) -> None:
    plausibility_of_file(args.model, args.data, args.split, args.out, args.ground, args.device)
    print((args.out / "plausibility.md").read_text(encoding="utf-8"))


def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="weights.safetensors or folder of a finished run")
    parser.add_argument("data", help=f"what the card's figures are measured on: {_DATA}")
    parser.add_argument("--split", default="", help="which part of the data, such as val")
    parser.add_argument("--sibling", type=Path, help=_SIBLING)
    parser.add_argument("--out", type=Path, required=True, help="folder for the ONNX file")


def _export(args: Namespace) -> None:
    card = open_model(args.run).card
    path = release(args.run, args.out, data_config(args.data, args.split, card), args.sibling)
    print(f"{path}\n{open_model(path).card.to_json()}")


def _quantize_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="ONNX file of a student in float32")
    parser.add_argument("data", help=f"what it is calibrated with: {_DATA}")
    parser.add_argument("--split", default="", help="which part of the data, such as fit")
    parser.add_argument(
        "--measure", default="val", help="split for the card's figures (default val)"
    )
    parser.add_argument(
        "--measure-data", help="data set for the card's figures, such as rooms:20 (default: data)"
    )
    parser.add_argument(
        "--images",
        type=int,
        default=Calibration.images,
        help=f"to calibrate with (default {Calibration.images})",
    )
    parser.add_argument("--seed", type=int, default=Calibration.seed, help="of their choice")
    parser.add_argument("--sibling", type=Path, help=_SIBLING)
    parser.add_argument("--out", type=Path, required=True, help="folder for the ONNX file")


def _quantize(args: Namespace) -> None:
    card = open_model(args.model).card
    calibration = data_config(args.data, args.split, card)
    measured = data_config(args.measure_data or args.data, args.measure, card)
    how = Calibration(calibration, args.images, args.seed)
    path = quantize(args.model, args.out, how, measured, args.sibling)
    print(f"{path}\n{open_model(path).card.to_json()}")


def _half_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="ONNX file in float32")
    parser.add_argument("data", help=_DATA)
    parser.add_argument("--split", default="val", help="for the card's figures (default val)")
    parser.add_argument("--sibling", type=Path, help=_SIBLING)
    parser.add_argument("--out", type=Path, required=True, help="folder for the ONNX file")


def _half(args: Namespace) -> None:
    data = data_config(args.data, args.split, open_model(args.model).card)
    path = halve(args.model, args.out, data, args.sibling)
    print(f"{path}\n{open_model(path).card.to_json()}")


EVALUATE = Command("evaluate", "measure a model on a data set", _evaluate_arguments, _evaluate)
ROBUSTNESS = Command(
    "robustness",
    "measure a model and its confidence under changed conditions",
    _robustness_arguments,
    _robustness,
)
PLAUSIBILITY = Command(
    "plausibility",
    "judge depth where there is no truth of it, by true classes",
    _plausibility_arguments,
    _plausibility,
)
EXPORT = Command("export", "write a finished run as ONNX with its card", _export_arguments, _export)
QUANTIZE = Command(
    "quantize", "write an exported student in int8, for CPUs", _quantize_arguments, _quantize
)
HALF = Command("half", "write an exported model in float16, for GPUs", _half_arguments, _half)
