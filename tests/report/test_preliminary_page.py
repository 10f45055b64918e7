"""The picture and the report of a walk that has not ended."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flow.report.plots.walk_hw import plot_curves, write_curves
from flow.report.walk_page import write_report
from flow.walks.crosscheck.preliminary import usable, with_points
from flow.walks.points.curves import curve_table
from flow.walks.summaries import HardwareWalkSummary, Progress
from tests.helpers.hardware_results import results, unfinished
from tests.helpers.synthetic import walk


def page_of(folder: Path, summary: dict[str, Any], curves: pd.DataFrame) -> str:
    """Write the page without a picture, and return it."""
    write_report(folder / "report.html", summary, curves, None)
    return (folder / "report.html").read_text()


def test_the_page_of_a_walk_that_goes_on_says_so_and_loads_itself_again(tmp_path: Path) -> None:
    page = page_of(tmp_path, *unfinished(running=True))
    assert '<meta http-equiv="refresh" content="60">' in page
    counts = "88 % of the points (software 38 of 38, golden 19 of 19, RTL 10 of 19)"
    said = f"Preliminary: {counts}. No RTL points yet at conv1.acc. The walk is not yet judged."
    assert said in page and "The walk goes on." in page and "fashion-mnist: preliminary<" in page
    assert 'id="verdicts"' not in page and not re.search(r'class="(dis)?agree', page)


def test_the_page_of_a_stopped_walk_does_not(tmp_path: Path) -> None:
    page = page_of(tmp_path, *unfinished(running=False))
    assert "<noscript>" not in page
    assert 'http-equiv="refresh' not in page and "The walk was stopped." in page
    assert "<code>noisewalk walk-hw --model tfc</code>" in page


def test_a_finished_page_has_nothing_preliminary(tmp_path: Path) -> None:
    page = page_of(tmp_path, *results(2))
    assert 'http-equiv="refresh' not in page and "reliminary:" not in page
    assert 'id="verdicts"' in page


def test_a_preliminary_walk_has_the_midpoints_of_its_points_and_no_verdict() -> None:
    summary, curves = unfinished(running=True)
    first, second = summary["sites"].values()
    assert first["mu_hw"] == first["mu_golden"] and first["rtl_runs"] == 9 * 128
    assert second["mu_hw"] is None and second["mu_rtl"] is None and second["rtl_runs"] == 0
    for entry in (first, second):
        mu, low, high = entry["mu_golden"]
        assert low < mu < high and entry["verdict"] is None and entry["reason"] == "not yet judged"
        assert entry["ratio"] is None and entry["p_agree"] is None
    assert summary["rtl"]["images"] == 10 * 128 == summary["checks"]["L1"]["images"]
    (left, right) = plot_curves(summary, curves).axes
    assert [panel.get_title("right") for panel in (left, right)] == ["… not yet judged"] * 2
    assert "not yet simulated in RTL" in {text.get_text() for text in right.texts}


@pytest.mark.slow
def test_a_walk_without_a_point_is_drawn_too(tmp_path: Path) -> None:
    begun, _ = results(2)
    found = with_points(
        HardwareWalkSummary.model_validate(begun | {"complete": False, "verdict": None}),
        [], np.zeros(0, np.int64), Progress(running=False, done={}, planned={}),
    )  # fmt: skip
    summary, empty = (
        found.model_dump(mode="json"),
        curve_table([], np.zeros(0, np.int64), "accuracy"),
    )
    assert not summary["clean"] and summary["images"] == {"software": 0, "golden": 0, "rtl": 0}
    write_curves(tmp_path / "curves.png", summary, empty)
    page = page_of(tmp_path, summary, empty)
    assert (
        "the walk searches for noise levels" in page and "No software points yet. No golden" in page
    )


def test_points_of_the_search_add_to_golden_until_it_has_a_curve_of_its_own() -> None:
    points, _ = walk({"conv0.acc": (2.0, 2.0), "conv1.acc": (4.0, 2.0)})
    golden = [p for p in points if p.side == "golden"]
    search = [replace(p, predictions=p.predictions[:500]) for p in golden]
    own = [p for p in golden if p.site in ("", "conv0.acc")]
    images = {p.site: p.images for p in usable(own, search)}
    assert images == {"": 2000, "conv0.acc": 2000, "conv1.acc": 500}
    few = [p for p in own if p.site][2:4]
    both = [p for p in usable(few, search) if p.site == "conv0.acc"]
    assert sorted(p.images for p in both) == [500] * 7 + [2000] * 2
    assert len({p.sigma for p in both}) == 9
    part = [replace(p, scope="site") for p in points if p.side == "rtl" and p.site]
    # a part counts once the whole network was simulated
    assert usable(part) == []
    whole = [replace(p, scope="full", bit_mismatches=3) for p in points if p.side == "rtl"][:1]
    assert {p.bit_mismatches for p in usable([*whole, *part])} == {3}
