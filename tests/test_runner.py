"""The Verilator runner's store: what was compiled once is not compiled again."""

from pathlib import Path

from sim.runner import REPOSITORY, build

SOURCE = REPOSITORY / "hw" / "kernels" / "pool.sv"


def compiled(simulation, name: str) -> bool:
    log = (simulation.binary.parent / "build.log").read_text()
    return any(line.rstrip().endswith(f"{name}.cpp") for line in log.splitlines())


def kernel(root: Path, window: int, optimise: bool = False):
    return build(
        "pool", [SOURCE], parameters={"WINDOW": window}, optimise=optimise, root=root, jobs=1
    )


def test_verilators_own_library_is_compiled_once_for_the_same_flags(tmp_path):
    first, second = kernel(tmp_path, 2), kernel(tmp_path, 3)
    assert first.binary != second.binary
    assert compiled(first, "verilated_vpi")
    assert not compiled(second, "verilated_vpi")
    assert compiled(kernel(tmp_path, 3, optimise=True), "verilated_vpi")


def test_a_stored_build_is_returned_at_once(tmp_path):
    first = kernel(tmp_path, 2)
    written = first.binary.stat().st_mtime_ns
    assert kernel(tmp_path, 2) == first
    assert first.binary.stat().st_mtime_ns == written
