"""Preliminary results in a log: sparse while a walk runs, and always where it stops."""

import io

import pytest
from rich.console import Console

from flow.cli.printing.preliminary import PreliminaryPrinter
from flow.walks.summaries import HardwareWalkSummary
from tests.helpers.hardware_results import unfinished


def printed(*running: bool, interval: float) -> str:
    console = Console(file=io.StringIO(), width=1000)
    tell = PreliminaryPrinter(console, interval)
    for goes_on in running:
        summary, _ = unfinished(running=goes_on)
        tell(HardwareWalkSummary.model_validate(summary | {"report": "there/report.html"}))
    return console.file.getvalue()


@pytest.mark.slow
def test_a_log_has_few_tables() -> None:
    assert printed(True, True, True, interval=60).count("μ golden") == 1
    assert printed(True, True, True, interval=0).count("μ golden") == 3


def test_where_a_walk_stops_is_always_told() -> None:
    said = printed(True, False, interval=60)
    assert said.count("μ golden") == 2 and "the walk continues; report: there/report.html" in said
    assert said.rstrip().endswith("stopped: the same command resumes; report: there/report.html")
    assert "Preliminary: 88 % of the points (software 38 of 38, golden 19 of 19, " in said
    assert "not yet judged" in said and "agree" not in said
