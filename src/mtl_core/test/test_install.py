"""What `colcon build` installed, seen from outside the source tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that Python imports the package from where no source lies in its way."""
    code = "import mtl_core; print(mtl_core.__file__)"
    outside = tmp_path_factory.mktemp("outside")
    run = [sys.executable, "-c", code]
    printed = subprocess.run(run, cwd=outside, check=True, text=True, stdout=subprocess.PIPE).stdout
    return Path(printed.strip()).parent


def test_package_is_imported_from_where_it_was_installed(installed: Path) -> None:
    assert not installed.is_relative_to(SOURCE)


@pytest.mark.parametrize("pattern", ["label_maps/*.yaml", "py.typed", "**/*.py"])
def test_every_file_of_the_source_is_installed(installed: Path, pattern: str) -> None:
    source = SOURCE / "mtl_core"
    expected = {path.relative_to(source) for path in source.glob(pattern)}
    assert expected
    assert {path.relative_to(installed) for path in installed.glob(pattern)} == expected
