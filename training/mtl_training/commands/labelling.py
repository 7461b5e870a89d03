"""`mtl-train protocol`, `mtl-train calibrate` and `mtl-train pseudo-label`."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import replace
from pathlib import Path

from mtl_training.commands.base import Command
from mtl_training.config import DataConfig, LossConfig
from mtl_training.data.catalogue import open_source
from mtl_training.data.protocols import KINDS, Imbalance, assign
from mtl_training.evaluate import data_config
from mtl_training.models import open_model
from mtl_training.pseudo.job import Job


def _share(text: str) -> tuple[str, float]:
    task, _, share = text.partition("=")
    try:
        return task, float(share)
    except ValueError as err:
        raise ArgumentTypeError(f"TASK=SHARE expected, such as depth=0.1, got {text!r}") from err


def _protocol_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("data", help="folder or file of a data set")
    parser.add_argument("--split", default="", help="which part of the data, such as fit")
    parser.add_argument("--kind", choices=sorted(KINDS), default="fraction")
    parser.add_argument(
        "--keep",
        nargs="*",
        type=_share,
        default=[],
        metavar="TASK=SHARE",
        help="for kind fraction: labels to keep, such as segmentation=0.1",
    )
    parser.add_argument("--block", type=int, default=3, help="samples of a block (default 3)")
    parser.add_argument(
        "--calibration", type=float, default=0.0, help="share of the labelled to set aside"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="file for the protocol")


def _protocol(args: Namespace) -> None:
    imbalance = Imbalance(args.kind, dict(args.keep), args.block, args.calibration, args.seed)
    found = assign(open_source(data_config(args.data, args.split)), imbalance)
    found.save(args.out)
    for task, names in found.labels.items():
        print(f"{task}: {len(names)} of {len(found.names)} keep their labels")
    print(f"set aside for calibration: {len(found.calibration)}")


def _job_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("data", help="folder or file of a data set")
    parser.add_argument("--split", default="", help="which part of the data, such as fit")
    parser.add_argument("--signals", nargs="*", default=[], help="inputs that get the truth")
    parser.add_argument("--no-flip", action="store_true", help="do not average over mirror images")
    parser.add_argument("--device", default="cpu", help="where torch runs a checkpoint")


def _job(args: Namespace) -> Job:
    data: DataConfig = data_config(args.data, args.split, open_model(args.model).card)
    data = replace(data, protocol=args.protocol)
    return Job(args.model, data, tuple(args.signals), not args.no_flip, device=args.device)


def _calibrate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", type=Path, help="folder of a finished run")
    _job_arguments(parser)
    parser.add_argument("--protocol", default="", help="file: use what that sets aside")
    parser.add_argument("--seed", type=int, default=0, help="of the pixels that are looked at")


def _calibrate(args: Namespace) -> None:
    for task, temperature in _job(args).calibrate(args.seed).items():
        print(f"{task}: temperature {temperature:.3f}")


def _label_arguments(parser: ArgumentParser) -> None:
    losses = LossConfig()
    parser.add_argument("model", type=Path, help="run folder, weights.safetensors or ONNX file")
    _job_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for the labels")
    parser.add_argument("--protocol", default="", help="file: label what that leaves unlabelled")
    parser.add_argument("--tasks", nargs="+", default=[], help="label these (default: all)")
    parser.add_argument("--everywhere", action="store_true", help="label what has labels too")
    parser.add_argument("--quality", type=Path, help="folder for a report against the hidden truth")
    parser.add_argument("--threshold", type=float, default=losses.pseudo_threshold)
    parser.add_argument("--share", type=float, default=losses.pseudo_share)


def _label(args: Namespace) -> None:
    job = replace(_job(args), tasks=tuple(args.tasks))
    print(job.label(args.out, args.everywhere).folder)
    if args.quality:
        losses = LossConfig(pseudo_threshold=args.threshold, pseudo_share=args.share)
        job.judge(args.out, args.quality, losses)
        print(args.quality)


PROTOCOL = Command(
    "protocol", "choose which samples keep which labels", _protocol_arguments, _protocol
)
CALIBRATE = Command(
    "calibrate",
    "fit a run's confidence to the share that is right",
    _calibrate_arguments,
    _calibrate,
)
PSEUDO_LABEL = Command(
    "pseudo-label", "label what lacks labels; run again to go on", _label_arguments, _label
)
