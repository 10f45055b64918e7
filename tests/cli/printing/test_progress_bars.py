"""Progress without a terminal: lines for a log."""

import io
import time

from rich.console import Console

from flow.cli.printing.progress_bars import ProgressBars


def lines_of(work, interval: float) -> list[str]:
    console = Console(file=io.StringIO(), width=1000)
    with ProgressBars(console, interval) as progress:
        work(progress)
    return console.file.getvalue().splitlines()


def test_a_long_stage_has_a_line_now_and_then():
    def work(progress) -> None:
        progress("rtl", 0, 8)
        progress("rtl", 2, 8, 600)
        time.sleep(0.35)
        progress("rtl", 8, 8, 2400)
        time.sleep(0.25)

    first, *beats = lines_of(work, 0.1)
    assert first == "rtl ..."
    assert 1 <= len(beats) <= 4
    for line in beats:
        # done of total, images per second, time taken, time left
        assert line.startswith("rtl: 2 of 8, ") and " images/s, " in line
        assert line.endswith(" s left")


def test_a_stage_without_steps_is_still_seen_to_work():
    def work(progress) -> None:
        progress("build simulator", 0, 1)
        time.sleep(0.25)

    assert any(
        line.startswith("build simulator: 0 of 1, ") and " left" not in line
        for line in lines_of(work, 0.1)
    )


def test_short_stages_have_one_line():
    assert lines_of(lambda progress: progress("compile", 1, 1), 30) == ["compile ..."]
