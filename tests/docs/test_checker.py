"""What test_commands.py would notice: each way in which a document and the code can part."""

from __future__ import annotations

import re

import pytest

from command_checks import check, check_path
from command_syntax import CommandError
from documents import SHELL, Code
from shell import commands

LAUNCH = "ros2 launch mtl_perception student.launch.py"
NODE = ".venv/bin/student_node --ros-args"

BROKEN: dict[str, tuple[str, str]] = {
    "unknown program": ("frobnicate --now", "no command that tests/command_syntax.py knows"),
    "unknown subcommand": ("ros2 topic hurtz /student", "no command that"),
    "unknown option of another's": ("colcon build --symlinc-install", "unrecognized arguments"),
    "make target": ("make bencch", "no make target bencch"),
    "make variable": ("make bench-label MODELS=x", "reads no MODELS, but .*MODEL"),
    "variable of another target": ("make demo MINUTES=1", "reads no MINUTES"),
    "our program": (".venv/bin/mtl-bag info walk", "no command that"),
    "our subcommand": ("mtl-bags lable walk", "invalid choice: 'lable'"),
    "our option": ("mtl-bags report walk --outt x --out y", "unrecognized arguments: --outt"),
    "our option's value": ("mtl-predict photos --out o --fx wide", "invalid _positive value"),
    "abbreviated": ("mtl-predict p --out o --mod x", "unrecognized arguments: --mod"),
    "what an option needs": ("mtl-predict photos/", "arguments are required: --out"),
    "training option": ("mtl-train toy --out x --seedz 3", "unrecognized arguments: --seedz"),
    "program in the repository": ("python benchmarks/compare.py", "arguments are required: models"),
    "launch file": ("ros2 launch mtl_perception pupil.launch.py", "no launch file pupil.launch.py"),
    "launch argument": (f"{LAUNCH} image_topik:=/a", "image_topik is no argument"),
    "launch choice": (f"{LAUNCH} log_level:=loud", "got loud, expected one of debug"),
    "executable": ("ros2 run mtl_perception pupil_node", "no executable pupil_node"),
    "package": ("ros2 run mtl_bags student_node", "mtl_bags has no executable student_node"),
    "remapped topic": (f"{NODE} -r imagge:=/camera/image", "imagge: student has"),
    "other node's topic": (f"{NODE} -r depth_image:=/camera/depth", "depth_image: student has"),
    "parameter": (f"{NODE} -p max_rang:=5.0", "no parameter max_rang, expected one of"),
    "parameter's choice": (f"{NODE} -p depth_encoding:=64FC1", "expected one of 32FC1, 16UC1"),
    "parameter's type": (f"{NODE} -p max_range:=5", "max_range: got 5, expected float"),
    "parameter's range": (f"{NODE} -p min_confidence:=1.5", "got 1.5, expected 0 to 1"),
    "no ROS argument": (f"{NODE} --parms-file x.yaml", "none of -r, --remap"),
    "parameter by ros2": ("ros2 param set /student max_rang 5.0", "no parameter max_rang"),
    "fixed parameter": ("ros2 param set /student autostart false", "can be set at start only"),
    "parameter described": ("ros2 param describe /teacher lazy", "no parameter lazy"),
    "node": ("ros2 param get /pupil model", "no node /pupil"),
    "topic": ("ros2 topic hz /segmentation/masc", "no topic /segmentation/masc"),
    "label's topic": ("ros2 topic hz /camera/color/mtl/segmentation/masc", "no topic"),
    "transition": ("ros2 lifecycle set /student start", "expected one of configure"),
    "service": ("ros2 service call /student/enabled std_srvs/srv/SetBool", "the student has"),
    "service type": ("ros2 service call /student/enable std_srvs/srv/Empty", "the student has"),
    "environment": ("export MTL_DATTA=/data", "MTL_DATTA is not known"),
    "environment of one": ("ROS_DOMAINID=3 make demo", "ROS_DOMAINID is not known"),
    "sourced": ("source install/setup.sh", "install/setup.sh: expected"),
    "python": ("python -c 'import ('", "invalid syntax"),
    "module": ("python -m httpserver", "python -m httpserver: expected one of"),
    "path": ("ls -l docs/nothing.md", "docs/nothing.md: no such file"),
    "path in a value": ("mtl-predict x --out=y --model=src/none.onnx", "src/none.onnx: no such"),
    "path by a variable": ("T=training/none\nls $T.toml", "training/none.toml: no such file"),
    "behind &&": ("make setup && make tst", "no make target tst"),
    "in a substitution": ('echo "$(ros2 pkg prefiks x)"', "no command that"),
    "on a continued line": ("make \\\n  tst", "no make target tst"),
}


def verdict(text: str) -> None:
    for command in commands(Code("page.md", 1, SHELL, text)):
        check(command)
        for word in (*command.words, *command.files):
            check_path(word)


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_command_is_noticed(case: str) -> None:
    text, complaint = BROKEN[case]
    if "mtl-train" in text:
        pytest.importorskip("torch")
    with pytest.raises(CommandError, match=complaint):
        verdict(text)


def test_what_is_right_is_left_alone() -> None:
    verdict(
        f"""
        cd ws && source /opt/ros/jazzy/setup.bash  # or another
        {LAUNCH} image_topic:=/camera/color/image_raw log_level:=debug
        {NODE} -r image:=/front -p "cameras:=[front, left]" -p max_range:=5.0 -r __ns:=/robot
        ROS_DOMAIN_ID=3 make bench-label MODEL=x.onnx GPU=1 | tail -n 3 > out.txt
        ros2 topic hz /robot/front/segmentation/mask --window 10
        ros2 service call /student/enable std_srvs/srv/SetBool "{{data: false}}"
        mtl-bags --help
        S=docs/images && ls $S/*.jpg "${{S}}/demo.jpg" "$(pwd)"
        """
    )


def test_a_place_is_the_line_on_which_a_command_begins() -> None:
    found = list(commands(Code("page.md", 10, SHELL, "ls a\n\n# no\nls \\\n b && ls c\nls d\n")))
    assert [(c.place, c.words[-1]) for c in found] == [
        ("page.md:10", "a"),
        ("page.md:13", "b"),
        ("page.md:13", "c"),
        ("page.md:15", "d"),
    ]


def test_a_substitution_names_a_path() -> None:
    block = Code("page.md", 1, SHELL, "ls $(where x)/config")
    *_, last = commands(block, lambda inner: {"where x": "src"}[inner])
    assert last.words == ["ls", "src/config"]
    assert re.fullmatch(r"page\.md:1", last.place)
