"""The firmware's driver on the host: against a model of the registers, and under sanitizers."""

import os
import subprocess
import sys

import numpy as np
import pytest

from flow.soc import driver, firmware, voting
from flow.soc.registers.model import RegisterModel
from sim.runner import REPOSITORY
from tests.benches.driver_scenarios import BREAKDOWNS, SCENARIOS


@pytest.fixture(scope="module")
def library(built):
    return driver.Library(driver.build(built / "driver"))


@pytest.mark.parametrize("scenario", [*SCENARIOS, *BREAKDOWNS], ids=lambda s: s.__name__)
def test_on_a_model_of_the_registers(library, scenario):
    device = RegisterModel()
    scenario(driver.Driver(library, device), device)


def sanitized(library, *arguments):
    names = ("libasan.so", "libubsan.so")
    found = [
        subprocess.run(["gcc", f"-print-file-name={n}"], capture_output=True, text=True).stdout
        for n in names
    ]
    return subprocess.run(
        [sys.executable, "-m", "tests.benches.driver_scenarios", str(library), *arguments],
        cwd=REPOSITORY,
        env=os.environ | {
            "LD_PRELOAD": " ".join(path.strip() for path in found),
            "ASAN_OPTIONS": "detect_leaks=0",
            "PYTHONMALLOC": "malloc",
        },
        capture_output=True,
        text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_under_sanitizers(built):
    library = driver.build(built / "sanitized", driver.SANITIZERS)
    ended = sanitized(library)
    assert ended.returncode == 0, ended.stderr
    wrong = sanitized(library, "overrun")
    assert wrong.returncode != 0 and "AddressSanitizer" in wrong.stderr


def test_statuses_are_those_of_the_header(library):
    for status in driver.Status:
        assert getattr(library.calls, f"NW_{status.name}") == status


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_votes_of_firmware_and_golden_are_the_same(library, classes):
    """And one that ends early has the winner of one that does not."""
    labels = np.random.default_rng(classes).integers(0, classes, (9, 200)).astype(np.uint8)
    for early in (False, True):
        winners, executions = voting.vote(labels, classes, early)
        for image in range(labels.shape[1]):
            found = driver.vote(library, labels[:, image].tolist(), classes, early)
            assert found == (winners[image], executions[image])
    assert (winners == voting.vote(labels, classes, False)[0]).all()
    assert executions.min() >= 5 and executions.mean() < 9


@pytest.mark.skipif(
    bool(firmware.missing()) and not os.environ.get("NEED_FIRMWARE"), reason=firmware.missing()
)
def test_the_driver_allocates_nothing(tmp_path):
    """It calls what bus.h names, and nothing else: so says its object file."""
    firmware.build(tmp_path)
    said = subprocess.run(
        ["riscv64-unknown-elf-nm", "-u", tmp_path / "noisewalk.o"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert {line.split()[-1] for line in said.splitlines()} == {
        "nw_bus_read", "nw_bus_write", "nw_bus_fault", "nw_bus_wait",
    }  # fmt: skip
