"""Picture of a walk: accuracy over noise level, one panel per site, every side named.

It needs only ``summary.json`` and the curve table, so an old run can be drawn again.
Software is a line with a band, golden squares with bars, and simulated RTL hollow diamonds with
bars of their own, wider because RTL images are few. Below the axis of each panel, each side has a
lane with its midpoint and 95 % interval, or an arrow for a bound. If images share their noise
(`flow.statistics.devices`), the midpoint of a side with one device has no interval.

The picture fits a paper: it is as wide as a two-column page, with letters of at least 7 points.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from flow.files import replacing
from flow.report.plots.figure import Figure
from flow.report.wording import noise_title
from flow.rtl.scope import SITE
from flow.statistics.curve_models import Shape
from flow.statistics.estimate import Estimate
from flow.walks.crosscheck.preliminary import NOT_JUDGED
from flow.walks.crosscheck.summary_values import (
    clean_value,
    fit_of,
    guides,
    line_of,
    midpoint_of,
    midpoint_text,
    one_device,
    sigma_unit,
)
from flow.walks.points.curves import clean_of, levels_of, side_table
from flow.walks.points.side import SHOWN, Side

_LANES = dict(zip(SHOWN, (-0.055, -0.115, -0.175), strict=True))
"""Height of each side's midpoint in the lane below the axis."""
_PAGE = 7.16
"""Width of a page's two columns, inches."""
_VERDICTS = {
    "agree": ("✓", "#00735C"),
    "disagree": ("✗", "#B3261E"),
    "undecided": ("?", "#5F6368"),
    None: ("…", "#5F6368"),
}
_GREY = "#767676"
_PLAIN: dict[str, Any] = {"parse_math": False}  # a $ in a user's name does not begin a formula


def plot_curves(summary: Mapping[str, Any], curves: pd.DataFrame) -> Figure:
    """Draw the walk.

    Args:
        summary: content of ``summary.json``.
        curves: table from `flow.walks.points.curves.curve_table`; the seeds of a point are
            averaged, and its interval is that of one seed, since seeds share their images.

    Returns:
        A figure with a panel for each site of the summary, in its order.
    """
    sites = list(summary["sites"])
    columns = min(len(sites), 2 if len(sites) <= 4 else 3)
    rows = math.ceil(len(sites) / columns)
    figure = Figure((_PAGE, (2.7 if columns < 3 else 2.3) * rows + 1.1), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    several = len({entry.get("unit") for entry in summary["sites"].values()}) > 1
    for number, panel in enumerate(grid.flat):
        if number >= len(sites):
            panel.remove()
            continue
        _panel(panel, summary, curves, sites[number])
        if number % columns == 0:
            panel.set_ylabel(f"{summary['measure']} (%)", fontsize=8)
        if several or number + columns >= len(sites):  # nothing below it
            label = f"noise level σ\n({sigma_unit(summary, sites[number])})"
            panel.set_xlabel(label, fontsize=7, **_PLAIN)
    early = "" if summary["complete"] else "preliminary: "
    trained = " (noisy training)" if summary.get("training_noise") else ""
    counts = ", ".join(f"{side} {n:,}" for side, n in summary["images"].items())
    figure.suptitle(
        f"{early}{summary['model']}{trained} on {summary['dataset']}, {noise_title(summary)}\n"
        f"images per point: {counts.replace('rtl', 'RTL')}; all intervals 95 %",
        fontsize=9, **_PLAIN,
    )  # fmt: skip
    figure.legend(
        handles=_legend(summary, curves), loc="outside lower center", ncols=2, fontsize=7.5,
        frameon=False,
    )  # fmt: skip
    return figure


def write_curves(path: Path, summary: Mapping[str, Any], curves: pd.DataFrame) -> None:
    """Write the picture of `plot_curves` as PNG and as PDF, each atomically.

    The PDF consists of vectors and embeds its fonts as TrueType, as publishers require.

    Raises:
        UserError: a file cannot be written.
    """
    figure = plot_curves(summary, curves)
    # both files have one layout, and it takes as long as drawing
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for form in ("png", "pdf"):
        # TrueType instead of Type 3; no date, so that equal walks give equal files
        with rc_context({"pdf.fonttype": 42}), replacing(Path(path).with_suffix(f".{form}")) as to:
            metadata = {"CreationDate": None} if form == "pdf" else None
            figure.savefig(to, format=form, dpi=220, metadata=metadata)


def log_axis(panel: Axes, reach: tuple[float, float]) -> None:
    """Make the x axis logarithmic, with plain numbers on it."""
    panel.set_xscale("log")
    panel.set_xlim(*reach)
    decades = math.log10(reach[1] / reach[0])
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())


def _panel(panel: Axes, summary: Mapping[str, Any], curves: pd.DataFrame, site: str) -> None:
    entry, guess = summary["sites"][site], summary["guessing"]
    levels = levels_of(curves, site)
    reach = (levels.min() / 1.25, levels.max() * 1.25) if len(levels) else (0.1, 10.0)
    log_axis(panel, reach)
    for name, level in guides(summary):
        up = 3 if name == "no noise" else -9
        panel.axhline(level, color=_GREY, lw=0.8, ls=":", zorder=0)
        panel.annotate(
            name, (1 if up > 0 else 0, level), xycoords=("axes fraction", "data"),
            xytext=(-3 if up > 0 else 3, up), textcoords="offset points", fontsize=7,
            color="#5F6368", ha="right" if up > 0 else "left",
        )  # fmt: skip
    panel.axhspan(-0.21, -0.02, color="#F3F3F3", zorder=0, lw=0)
    panel.annotate("μ", (0.012, -0.115), xycoords=("axes fraction", "data"), va="center")
    for side in SHOWN:
        mu, table = midpoint_of(entry, side), side_table(curves, site, side, summary["noise"])
        if len(table):
            _points(panel, side, table)
            if side is not Side.RTL:
                clean = clean_of(curves, site, side, clean_value(summary, side))
                _line(panel, side, table, fit_of(entry, side), clean, guess)
        _midpoint(panel, side, mu, reach, bare=one_device(entry, side))
    sign, colour = _VERDICTS[entry["verdict"]]
    verdict = entry["verdict"] or NOT_JUDGED
    panel.set_title(site, fontsize=9, fontweight="bold", loc="left", pad=24, **_PLAIN)
    panel.set_title(f"{sign} {verdict}", fontsize=8.5, color=colour, loc="right", pad=24)
    panel.annotate(
        f"μ software {midpoint_text(midpoint_of(entry, Side.SOFTWARE))}\n"
        f"μ golden {midpoint_text(midpoint_of(entry, Side.GOLDEN))}",
        (0, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points", fontsize=7,
    )  # fmt: skip
    panel.annotate(
        _doubt(entry), (0.03, 0.36), xycoords="axes fraction", fontsize=7, color="#B3261E"
    )
    panel.set_ylim(-0.21, 1.06 if guides(summary)[0][1] > 0.94 else 1.0)
    panel.set_yticks(np.arange(0, 1.01, 0.2), [f"{t:.0f}" for t in np.arange(0, 101, 20)])
    panel.grid(True, which="major", color="#E8E8E8", lw=0.6)
    panel.set_axisbelow(True)
    panel.tick_params(labelsize=7)
    panel.spines[["top", "right"]].set_visible(False)


def _doubt(entry: Mapping[str, Any]) -> str:
    """Return the reason why golden may not represent the hardware here; empty if it may."""
    if not entry["rtl_images"]:
        return "not simulated in RTL" if entry["verdict"] else "not yet simulated in RTL"
    if entry["bit_mismatches"] is None:
        return "RTL not compared with golden"
    return f"RTL ≠ golden on {entry['bit_mismatches']:,} images" * bool(entry["bit_mismatches"])


def _points(panel: Axes, side: Side, table: pd.DataFrame) -> None:
    if side is Side.SOFTWARE:
        panel.fill_between(
            table["sigma"], table["lo"], table["hi"], color=side.colour, alpha=0.2, lw=0
        )
        panel.plot(table["sigma"], table["accuracy"], side.marker, color=side.colour, ms=4)
        return
    rtl = side is Side.RTL  # large and hollow, so that golden shows through
    panel.errorbar(
        table["sigma"], table["accuracy"],
        yerr=np.maximum([table["accuracy"] - table["lo"], table["hi"] - table["accuracy"]], 0),
        fmt=side.marker, color=side.colour, mfc="none" if rtl else side.colour,
        ms=5.5 if rtl else 2.5, mew=0.9, elinewidth=0.7 if rtl else 1.2, capsize=2 if rtl else 0,
        zorder=4 if rtl else 3, label=side.value,
    )  # fmt: skip


def _line(
    panel: Axes, side: Side, table: pd.DataFrame, fit: Shape | None, clean: float, guess: float
) -> None:
    """Draw the fit if μ is a number, otherwise a thin line through the points."""
    if fit is None:
        panel.plot(table["sigma"], table["accuracy"], color=side.colour, lw=0.7, alpha=0.7)
    else:
        line = line_of(fit, table, clean, guess, 200)
        panel.plot(*line, color=side.colour, lw=1.4, ls=side.line)


def _midpoint(
    panel: Axes, side: Side, mu: Estimate | None, reach: tuple[float, float], *, bare: bool
) -> None:
    lane = _LANES[side]
    if mu is None:
        return
    if mu.value is None:
        above = mu.high is None
        level = float(np.clip(mu.level, *reach))
        panel.annotate(
            "", (reach[1] if above else reach[0], lane), xytext=(level, lane),
            arrowprops={"arrowstyle": "->", "color": side.colour, "lw": 1.4},
        )  # fmt: skip
        return
    if not bare:
        panel.plot(
            np.array(mu[1:], dtype=float), [lane] * 2, color=side.colour, lw=1.8, marker="|", ms=5
        )
    panel.plot(
        mu.value, lane, side.marker, color=side.colour, ms=4.5,
        mfc="white" if side.marker == "D" else side.colour,
    )  # fmt: skip


def _legend(summary: Mapping[str, Any], curves: pd.DataFrame) -> list[Line2D]:
    part = {Side.RTL: "RTL (simulated from the noisy site on)"}
    labels = part if summary["rtl"]["scope"] == SITE else {}
    handles = [
        Line2D([], [], color=s.colour, marker=s.marker, ls=s.line, label=labels.get(s, s.label),
               lw=1.4, ms=5.5, mfc="none" if s is Side.RTL else s.colour)
        for s in SHOWN if s in set(curves["side"])
    ]  # fmt: skip
    lane = "grey lane: midpoint μ, → for a bound"
    return [*handles, Line2D([], [], color=_GREY, marker="|", lw=1.8, label=lane)]
