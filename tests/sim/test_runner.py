"""The Verilator runner's store: what was compiled once is not compiled again."""

import os
from pathlib import Path

import pytest

from sim import verilated
from sim.runner import REPOSITORY, FolderError, build
from tests.helpers.variants import SHARED

SOURCES = [*SHARED, REPOSITORY / "hw" / "kernels" / "pool.sv"]
HEADERS = "verilator_headers.h"


def compiled(log: str, name: str) -> bool:
    return any(f"/{name}.cpp" in line or f" {name} " in line for line in log.splitlines())


def kernel(root: Path, window: int, optimise: bool = False):
    return build(
        "pool", SOURCES, parameters={"WINDOW": window}, optimise=optimise, root=root, jobs=1
    )


@pytest.mark.slow
def test_verilators_own_library_is_compiled_once(built):
    """Of all simulators in the store, as many have compiled it as there are of it.

    Processes that begin to build at the same time compile it each.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    store = built / "sim"
    first, second = kernel(store, 2), kernel(store, 3)
    assert first.binary != second.binary
    logs = [log.read_text() for log in store.glob("*/build.log")]
    for stored, name in (("runtime-*", "verilated_vpi"), ("headers-*", HEADERS)):
        libraries = len(list(store.glob(stored)))
        times = sum(compiled(log, name) for log in logs)
        assert 0 < times <= libraries * processes and times < len(logs)


@pytest.mark.slow
def test_a_stored_build_is_returned_at_once(built):
    store = built / "sim"
    first = kernel(store, 2)
    written = first.binary.stat().st_mtime_ns
    assert kernel(store, 2) == first
    assert first.binary.stat().st_mtime_ns == written


def test_a_folder_that_make_cannot_build_in_is_named(tmp_path):
    with pytest.raises(FolderError, match="my builds, which has a space"):
        kernel(tmp_path / "my builds", 2)


CLASSES = """
VM_PARALLEL_BUILDS = 1
VM_TRACE_FST = 0
VM_CLASSES_FAST += \\
  Vtop \\

VM_GLOBAL_FAST += \\
  verilated \\
  verilated_vpi \\

"""


def test_the_library_of_other_settings_is_another(tmp_path):
    """Whatever the design, and whether it is compiled in pieces."""

    def digest(classes: str, *flags: str) -> str:
        (tmp_path / "Vtop_classes.mk").write_text(classes)
        (tmp_path / "Vtop.mk").write_text("VM_USER_CFLAGS = \\\n\n")
        return verilated.library_digest(tmp_path, flags)

    first = digest(CLASSES, "-O2")
    assert digest(CLASSES.replace("BUILDS = 1", "BUILDS = 0").replace("Vtop", "Vtop_a"), "-O2") == (
        first
    )
    assert len({first, digest(CLASSES, "-O0"), digest(CLASSES.replace("FST = 0", "FST = 1"))}) == 3


def test_objects_that_are_stored_are_not_compiled(tmp_path):
    stored, made = tmp_path / "stored", []
    for number in range(2):
        scratch = tmp_path / f"{number}"
        scratch.mkdir()
        (scratch / "Vtop_classes.mk").write_text(CLASSES)
        with verilated.library(scratch, stored) as missing:
            made.append(missing)
            for name in missing:
                (scratch / name).write_text(name)
        assert (scratch / "verilated.o").read_text() == "verilated.o"
    assert made == [["verilated.o", "verilated_vpi.o"], []]
