"""Data of a page's interactive charts, drawn by ``templates/charts.js``.

A chart is a panel of series over a logarithmic axis. A series is one side of one run: its points
with their intervals, the line through them, and its midpoint. Python computes all figures and
names; the script in the page only draws, so no figure is computed twice.

The script is our own and draws SVG. Bokeh, which is installed anyway, draws on a canvas: its charts
follow neither the user's light or dark mode nor a printer's resolution, offer no text for screen
readers and no keys to step through the points (its issues 11259 and 12259), and add 1.3 MB to every
page, where the script takes 14 kB.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from flow.data.reference import Measure
from flow.report.wording import IN_PART
from flow.rtl.scope import SITE
from flow.walks.crosscheck.summary_values import (
    clean_value,
    fit_of,
    guides,
    line_of,
    midpoint_of,
    one_device,
    sigma_unit,
)
from flow.walks.points.curves import clean_of, side_table
from flow.walks.points.side import SHOWN, Side

_FINE = 60
"""Number of points of a fitted line."""


def walk_charts(
    runs: Sequence[tuple[str, Mapping[str, Any], pd.DataFrame]],
) -> dict[str, Any]:
    """Return the charts of accuracy, or agreement, over noise level, one panel per site and unit.

    Args:
        runs: name, summary and `flow.walks.points.curves.curve_table` of each walk; all of one
            measure.
    """
    panels: dict[tuple[str, str], dict[str, Any]] = {}
    for number, (run, summary, curves) in enumerate(runs):
        for site, entry in summary["sites"].items():
            unit = sigma_unit(summary, site)
            panel = panels.setdefault(
                (site, unit),
                {"title": site, "axis": f"noise level σ ({unit})", "guides": [], "series": []},
            )
            if len(runs) == 1:
                panel["guides"] = [list(guide) for guide in guides(summary)]
            for side in Side:
                found = _series(summary, curves, site, entry, side)
                if found["points"]:
                    panel["series"].append({"run": number, "name": run} | found)
    sites = [site for site, _ in panels]
    for (site, unit), panel in panels.items():
        if sites.count(site) > 1:
            panel["title"] = f"{site}, σ {unit.replace(',', ' ').split()[0]}"
    return {
        "x": "σ",
        "y": runs[0][1]["measure"],
        "runs": [run for run, _, _ in runs],
        "sides": {
            side: {"name": side.label, "shown": side in SHOWN}
            for side in Side
            if any(s["side"] == side for panel in panels.values() for s in panel["series"])
        },
        "panels": list(panels.values()),
    }


def _series(
    summary: Mapping[str, Any],
    curves: pd.DataFrame,
    site: str,
    entry: Mapping[str, Any],
    side: Side,
) -> dict[str, Any]:
    table = side_table(curves, site, side, summary["noise"])
    part = IN_PART if side is Side.RTL and summary["rtl"]["scope"] == SITE else ""
    points = [
        {
            "x": row.sigma, "y": row.accuracy, "lo": row.lo, "hi": row.hi,
            "note": _note(row.images, round(row.trials / row.images)) + part,
        }
        for row in table.itertuples()
    ]  # fmt: skip
    mu = midpoint_of(entry, side)
    fit = (
        fit_of(entry, side) if side is not Side.RTL else None
    )  # only points and μ, as its images are few
    line: list[list[float]] = []
    if points and fit is not None:
        guess, clean = summary["guessing"], clean_of(curves, site, side, clean_value(summary, side))
        fine, fitted = line_of(fit, table, clean, guess, _FINE)
        line = [[float(f"{x:.5g}"), round(float(y), 5)] for x, y in zip(fine, fitted, strict=True)]
    alone = one_device(entry, side)
    return {"side": side, "points": points, "line": line, "mu": mu, "oneDevice": alone}


def _note(images: int, draws: int) -> str:
    return f"{images:,} images" + (f", {draws} noise draws" if draws > 1 else "")


def repeat_charts(repeats: Mapping[str, Any], measure: Measure) -> dict[str, Any]:
    """Return the charts of accuracy, or agreement, over cycles per image, one panel per site.

    Args:
        repeats: content of ``repeats.json``.
        measure: what was measured.
    """
    panels: dict[str, dict[str, Any]] = {}
    for side, images in ((Side.GOLDEN, repeats["images"]["golden"]), (Side.RTL, None)):
        for row in repeats["rows"]:
            panel = panels.setdefault(
                row["site"],
                {
                    "title": f"{row['site']}, σ = {row['sigma']:.3g}",
                    "axis": "cycles per image",
                    "guides": [["golden, no noise", repeats["clean"][0]]],
                    "series": [],
                },
            )
            if not any(series["side"] == side for series in panel["series"]):
                empty: dict[str, Any] = {"line": [], "mu": None, "oneDevice": False, "points": []}
                panel["series"].append({"run": 0, "name": "", "side": side} | empty)
            accuracy, low, high = row[side]
            note = f"{row['executions']} executions, {_note(images or row['rtl_images'], 1)}"
            point = {"x": row["cycles_per_image"], "y": accuracy, "lo": low, "hi": high}
            panel["series"][-1]["points"].append(point | {"note": note})
    return {
        "x": "cycles",
        "y": measure,
        "runs": [""],
        "sides": {side: {"name": side.label, "shown": True} for side in (Side.GOLDEN, Side.RTL)},
        "panels": list(panels.values()),
    }
