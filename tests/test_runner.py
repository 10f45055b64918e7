"""The Verilator runner's store: what was compiled once is not compiled again."""

from pathlib import Path

import pytest

from sim.runner import REPOSITORY, build

SOURCE = REPOSITORY / "hw" / "kernels" / "pool.sv"


def compiled(simulation, name: str) -> bool:
    log = (simulation.binary.parent / "build.log").read_text()
    return any(line.rstrip().endswith(f"{name}.cpp") for line in log.splitlines())


def kernel(root: Path, window: int, optimise: bool = False):
    return build(
        "pool", [SOURCE], parameters={"WINDOW": window}, optimise=optimise, root=root, jobs=1
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("builds")


def test_verilators_own_library_is_compiled_once_for_the_same_flags(root):
    first, second = kernel(root, 2), kernel(root, 3)
    assert first.binary != second.binary
    assert compiled(first, "verilated_vpi")
    assert not compiled(second, "verilated_vpi")
    assert compiled(kernel(root, 3, optimise=True), "verilated_vpi")


def test_a_stored_build_is_returned_at_once(root):
    first = kernel(root, 2)
    written = first.binary.stat().st_mtime_ns
    assert kernel(root, 2) == first
    assert first.binary.stat().st_mtime_ns == written
