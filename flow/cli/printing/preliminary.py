"""Preliminary results on the terminal, while a walk runs and where it stops."""

import time

from rich.console import Console
from rich.table import Table

from flow.report.wording import preliminary_sentence
from flow.walks.crosscheck.summary_values import midpoint_text
from flow.walks.summaries import HardwareWalkSummary, SoftwareWalkSummary


class PreliminaryPrinter:
    """Prints preliminary midpoints, and where the results lie.

    Args:
        console: where to.
        interval: least seconds between two tables where there is no terminal.
    """

    def __init__(self, console: Console, interval: float = 180) -> None:
        self._console = console
        self._interval = 0.0 if console.is_terminal else interval
        self._printed = -float("inf")

    def __call__(self, summary: HardwareWalkSummary | SoftwareWalkSummary) -> None:
        """Print a summary; while the walk runs, unless the last one was printed just now."""
        stopped = summary.progress is None or not summary.progress.running
        if not stopped and time.monotonic() - self._printed < self._interval:
            return
        self._printed = time.monotonic()
        if isinstance(summary, HardwareWalkSummary):
            tables, where = [_hardware(summary)], f"report: {summary.report}"
        else:
            tables, where = _software(summary), f"results: {summary.folder}"
        for table in tables:
            self._console.print(table)
        said = "stopped: the same command resumes" if stopped else "the walk continues"
        self._say(f"{preliminary_sentence(summary.model_dump(mode='json'))}")
        self._say(f"{said}; {where}")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)


def _hardware(summary: HardwareWalkSummary) -> Table:
    table = Table(title=f"preliminary: {summary.model} on {summary.dataset}, {summary.noise} noise")
    table.add_column("site")
    for name in ("software", "golden", "RTL"):
        table.add_column(f"μ {name}", justify="right")
    for site, entry in summary.sites.items():
        table.add_row(site, *map(midpoint_text, (entry.software, entry.golden, entry.rtl)))
    return table


def _software(summary: SoftwareWalkSummary) -> list[Table]:
    tables = []
    for kind, walked in summary.kinds.items():
        title = f"preliminary: {summary.model} on {summary.dataset}, {kind} noise"
        table = Table("site", title=title)
        for name in ("μ", "images", "search"):
            table.add_column(name, justify="right")
        for site, entry in walked.entries.items():
            table.add_row(site, midpoint_text(entry.midpoint), str(entry.images), entry.ended)
        tables.append(table)
    return tables
