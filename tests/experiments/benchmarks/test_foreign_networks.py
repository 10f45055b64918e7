"""The table of networks that others wrote: every row says what becomes of its network."""

import os
import re
from pathlib import Path

import pytest

from flow.experiments.benchmarks import foreign_networks
from flow.paths import REPOSITORY

TABLE = REPOSITORY / "docs" / "results" / "foreign-networks.md"
ZOO = REPOSITORY.parent / "shared" / "zoo"
"""The files, which the repository does not hold."""
INPUT_QUANT = "8,-4,4"
"""The quantiser of networks that have none, where the row names no other."""
AGAIN = tuple(filter(None, os.environ.get("FOREIGN_NETWORKS", "").split(",")))
"""Words that begin the names of rows to measure again: FOREIGN_NETWORKS=tfc takes minutes."""


def rows() -> dict[str, list[str]]:
    """Return the cells of each row, by the network's name."""
    lines = TABLE.read_text().split(foreign_networks.HEAD)[1].split("\n\n")[0].splitlines()[2:]
    cells = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in lines)
    return {name: rest for name, *rest in cells}


def source(name: str) -> str:
    """Return what the benchmark takes for a row."""
    if "@" in name:
        return name
    path = ZOO / f"{name}.onnx"
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the checkout, in ../shared/zoo")
    return str(path)


def row(name: str, folder: Path, measured: bool) -> list[str]:
    """Make a row anew with the options that it was made with, and return its cells."""
    fits, _, cycles, labels, _, rtl, _ = rows()[name]
    quantiser = re.search(r"INPUT_QUANT=([^`]+)", fits)
    options = {}
    if measured:
        # a network of large images has fewer of them, and more cycles
        target = max(foreign_networks.CYCLES, int(cycles.replace(",", "")))
        options = {"images": of(labels), "rtl_images": of(rtl) // 2, "cycles": target}
    asked = quantiser[1] if quantiser else INPUT_QUANT
    line = foreign_networks.row(source(name), asked, folder, measured, **options)
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def of(cell: str) -> int:
    """Return how many were compared, as of a cell ``0 of 256``."""
    return int(cell.split(" of ")[1])


SLOW = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in (
        "brevitas:tfc_1w1a@1,28,28",
        "tests/helpers/gated_networks.py:squeeze_excite@3,16,16",
        "tests/helpers/branched_networks.py:inceptions@3,16,16",
        "tests/helpers/branched_networks.py:without_weights@3,16,16",
    )
]
"""The others take longer to export."""


@pytest.mark.parametrize("name", [*(name for name in rows() if "@" not in name), *SLOW])
def test_a_network_fits_or_not_as_the_table_says(name, tmp_path):
    assert row(name, tmp_path, measured=False)[:2] == [name, rows()[name][0]]


if chosen := [name for name in rows() if name.startswith(AGAIN)]:

    @pytest.mark.slow
    @pytest.mark.parametrize("name", chosen)
    def test_a_row_is_measured_again(name, tmp_path):
        *cells, _ = rows()[name]
        measured = cells[1] != foreign_networks.UNKNOWN
        assert row(name, tmp_path, measured)[1:-1] == cells
