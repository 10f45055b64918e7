"""What is installed, told on machines that have it and on one that lacks a tool."""

import os
import shutil
import subprocess
import sys

import pytest

from flow.cli.printing import doctor
from flow.paths import REPOSITORY


def test_everything_needed_is_here():
    found = {one.name: one for one in doctor.examine()}
    assert not [name for name, one in found.items() if one.needed and one.missing]
    assert found["torch"].found.startswith("2.") and found["g++"].found[0].isdigit()
    assert not found["sbatch"].needed
    assert found["compiled kernel"].found == "in use"


@pytest.mark.slow
def test_a_missing_tool_is_named_with_its_remedy(tmp_path):
    """On a path that has make, but no compiler."""
    (tmp_path / "make").symlink_to(shutil.which("make"))
    ended = subprocess.run(
        [sys.executable, "-c", "from flow.cli.main import main; main()", "doctor"],
        env=os.environ | {"PATH": str(tmp_path), "COLUMNS": "200",
                          "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    assert "missing: g++" in ended.stdout and "apt-get install g++" in ended.stdout
    (line,) = (line for line in ended.stdout.splitlines() if "compiled kernel" in line)
    assert "not there" in line


def test_shells_are_told_how_to_complete():
    for shell in ("bash", "zsh", "fish"):
        ended = subprocess.run(
            [sys.executable, "-c", "from flow.cli.main import main; main()", "completion", shell],
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "_NOISEWALK_COMPLETE" in ended.stdout
