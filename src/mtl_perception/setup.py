import os
import sys
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "mtl_perception"
SHARED = (
    "launch",
    "config",
    "config/nav2",
    "config/nav2/costs",
    "models",
    "rviz",
    "foxglove",
    "security",
)


def files(folder: str) -> list[str]:
    """List the files of a folder that go to `share/` under the same name."""
    return sorted(str(path) for path in Path(folder).glob("*") if path.is_file())


def interpreter() -> str:
    """Python of the scripts: an active .venv's, though that which runs colcon be the system's.

    Where `--symlink-install` is given, setuptools does not ask.
    """
    active = os.environ.get("VIRTUAL_ENV")
    own = Path(sys.executable).parents[1] / "pyvenv.cfg"  # colcon changes sys.prefix
    return f"{active}/bin/python3" if active and not own.is_file() else sys.executable


setup(
    name=PACKAGE,
    version="0.1.0",
    description="RGB in, segmentation and metric depth out, as ROS 2 nodes",
    maintainer="mtl_perception maintainers",
    maintainer_email="maintainers@example.org",
    license="Apache-2.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        *((f"share/{PACKAGE}/{folder}", files(folder)) for folder in SHARED),
    ],
    python_requires=">=3.10",
    # Not here: rclpy and the messages, which a sourced ROS 2 or `make setup` brings.
    install_requires=["mtl_bags", "mtl_core", "numpy", "pyyaml", "tqdm"],
    extras_require={"test": ["pytest"], "rerun": ["mtl_bags[rerun]"]},
    options={"build_scripts": {"executable": interpreter()}},
    entry_points={
        "console_scripts": [
            "student_node = mtl_perception.student_node:main",
            "teacher_node = mtl_perception.teacher_node:main",
            "mtl-health = mtl_perception.healthcheck:main",
            "mtl-play = mtl_perception.play:main",
            "mtl-policy = mtl_perception.policy:main",
            "mtl-predict = mtl_perception.predict:main",
            "mtl-demo = mtl_perception.demo:main",
            "mtl-view = mtl_perception.view:main",
            "mtl-costmap-config = mtl_perception.nav2.config:main",
            "mtl-check-nav2 = mtl_perception.nav2.check:main",
        ]
    },
    zip_safe=False,
)
