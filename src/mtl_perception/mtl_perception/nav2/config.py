"""`mtl-costmap-config`: the costmaps' parameters for a model's classes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from mtl_core.errors import MtlError
from mtl_perception.errors import PerceptionError
from mtl_perception.models import find_model
from mtl_perception.nav2.costmap import LAYERS, Robot, costmaps
from mtl_perception.nav2.costs import CostTable
from mtl_perception.student_predictor import StudentPredictor

PROG = "mtl-costmap-config"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0; 1 if the model, the cost table or an option cannot be used.
    """
    options = _parser().parse_args(argv)
    try:
        text = costmap_yaml(options)
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(text, encoding="utf-8")
        else:
            print(text, end="")
    except (MtlError, PerceptionError, OSError) as err:
        print(f"{PROG}: {err}", file=sys.stderr)
        return 1
    return 0


def costmap_yaml(options: argparse.Namespace) -> str:
    """Return the parameter file that the options ask for.

    Raises:
        MtlError: The model cannot be used.
        PerceptionError: The cost table does not fit its label map, or the cameras are not apart.
    """
    label_map = StudentPredictor(find_model(options.model)).label_map
    costs = CostTable.load(label_map, options.costs)
    robot = Robot(
        cameras=options.cameras,
        namespace=options.namespace,
        odom_frame=options.odom_frame,
        map_frame=options.map_frame,
        base_frame=options.base_frame,
        use_sim_time=options.use_sim_time,
    )
    content = yaml.dump(
        costmaps(options.layer, robot, costs), Dumper=_Plain, sort_keys=False, width=100
    )
    return f"# Costmaps of Nav2 for the classes of {label_map.name}, made by {PROG}.\n{content}"


class _Plain(yaml.SafeDumper):
    """Writes what stands twice twice: rcl reads no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _parser() -> argparse.ArgumentParser:
    default = Robot()
    parser = argparse.ArgumentParser(
        prog=PROG,
        description="Write the parameters of Nav2's local and global costmap, with a layer that "
        "reads what the student node publishes.",
    )
    add = parser.add_argument
    add(
        "--layer",
        choices=tuple(LAYERS),
        default="semantic",
        help="semantic: costs by class, of kiwicampus's layer; obstacle, voxel: Nav2's own, by "
        "height; default: semantic",
    )
    add(
        "--model",
        default="",
        metavar="FILE",
        help="ONNX file, or the name of a model that ships; default: the package's",
    )
    add(
        "--costs",
        type=Path,
        metavar="FILE",
        help="free, caution and lethal: a list of classes each; default: the table that ships for "
        "the model's label map",
    )
    add("--namespace", default=default.namespace, help="of the student node")
    add(
        "--cameras",
        nargs="+",
        default=default.cameras,
        metavar="NAME",
        help="the student's parameter cameras; default: one without a name",
    )
    for name, what in (("odom", "local costmap"), ("map", "global costmap"), ("base", "robot")):
        frame = getattr(default, f"{name}_frame")
        add(f"--{name}-frame", default=frame, metavar="NAME", help=f"of the {what}: {frame}")
    add("--use-sim-time", action="store_true", help="time comes from /clock, as in a replay")
    add("--out", type=Path, metavar="FILE", help="default: print it")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
