import os
import sys
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "mtl_bags"


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
    description="ROS recordings in and out, offline and without ROS",
    maintainer="mtl_perception maintainers",
    maintainer_email="maintainers@example.org",
    license="Apache-2.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    python_requires=">=3.10",
    install_requires=[
        "mtl_core",
        "numpy",
        "rosbags",
        "rosbags-image",
        "tqdm",
        # What reads damaged recordings; rosbags brings the first two.
        "apsw",
        "lz4",
        "mcap",
        "zstandard",
    ],
    extras_require={"test": ["pytest"], "ray": ["ray"], "rerun": ["rerun-sdk"]},
    options={"build_scripts": {"executable": interpreter()}},
    entry_points={"console_scripts": ["mtl-bags = mtl_bags.cli:main"]},
    zip_safe=False,
)
