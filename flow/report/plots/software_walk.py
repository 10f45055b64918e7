"""Pictures of a software walk, drawn only from its summary and the curve table.

``curves.png`` shows accuracy over σ, with one panel per site and one colour per kind of noise.
``midpoints.png`` shows μ over the sites in the order of the data flow, with its 95 % interval or an
arrow for a bound, and global noise as a horizontal line.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from flow.files import replacing
from flow.report.plots.figure import Figure
from flow.report.plots.walk_hw import log_axis
from flow.walks.crosscheck.summary_values import fit_of, line_of
from flow.walks.points.curves import clean_of, levels_of, side_table
from flow.walks.points.side import Side
from flow.walks.summaries import SoftwareKind, SoftwareWalkSummary

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours of the kinds of noise, from Okabe and Ito; markers distinguish the kinds as well."""
_MARKERS = "osD^vPX"
_PLAIN: dict[str, Any] = {"parse_math": False}
_AXES = {
    "real": "σ (unit of the layer's output)",
    "none": "σ (relative, no unit)",
    "lsb": "σ (LSB of the accumulator)",
    "std": "σ (std of the site's values)",
    "range": "σ (largest value of the site)",
    "map": "factor on the noise map",
    "real or lsb": "σ (unit of the layer's output;\nof scales per channel, LSB)",
}


def write(folder: Path, summary: SoftwareWalkSummary, curves: pd.DataFrame) -> None:
    """Write both pictures, each atomically.

    Args:
        folder: folder for the pictures.
        summary: summary of the walk.
        curves: table from `flow.walks.points.curves.curve_table`.

    Raises:
        UserError: a file cannot be written.
    """
    for name, figure in (
        ("curves.png", plot_curves(summary, curves)),
        ("midpoints.png", plot_midpoints(summary)),
    ):
        with replacing(folder / name) as temporary:
            figure.savefig(temporary, format="png")


def plot_curves(summary: SoftwareWalkSummary, curves: pd.DataFrame) -> Figure:
    """Draw the measure over σ: points with their Wilson intervals, and the fit if there is one."""
    sites = list(dict.fromkeys(s for kind in summary.kinds.values() for s in kind.entries))
    columns = min(len(sites), 4)
    rows = math.ceil(len(sites) / columns)
    figure = Figure((3.4 * columns + 0.6, 2.5 * rows + 1.1), dpi=130, layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for number, panel in enumerate(grid.flat):
        if number >= len(sites):
            panel.remove()
            continue
        _curves_of(panel, summary, curves, sites[number])
        if number % columns == 0:
            panel.set_ylabel(f"{summary.measure} (%)")
        if number + columns >= len(sites):
            panel.set_xlabel("noise level σ")
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.suptitle(f"{_title(summary)}, noise at one site; intervals 95 %", fontsize=11, **_PLAIN)
    return figure


def _curves_of(panel: Axes, summary: SoftwareWalkSummary, curves: pd.DataFrame, site: str) -> None:
    guess = summary.guessing
    clean = clean_of(curves, site, Side.SOFTWARE, summary.clean["software"].level)
    levels = levels_of(curves, site)
    if len(levels):
        log_axis(panel, (levels.min() / 1.25, levels.max() * 1.25))
    for number, (kind, found) in enumerate(summary.kinds.items()):
        entry, colour = found[site], _COLOURS[number % len(_COLOURS)]
        table = side_table(curves, site, "software", kind)
        bars = [table["accuracy"] - table["lo"], table["hi"] - table["accuracy"]]
        panel.errorbar(
            table["sigma"], table["accuracy"], yerr=np.maximum(bars, 0), color=colour, ms=3.5,
            fmt=_MARKERS[number % len(_MARKERS)], elinewidth=0.9, label=kind,
        )  # fmt: skip
        fit = fit_of(vars(entry), Side.SOFTWARE)
        if len(table) and fit is not None:
            panel.plot(*line_of(fit, table, clean, guess, 200), color=colour, lw=1)
    for level in (clean, guess):
        panel.axhline(level, color="#767676", lw=0.8, ls=":", zorder=0)
    panel.set_title(site, fontsize=10, loc="left", **_PLAIN)
    panel.set_ylim(0, 1)
    panel.set_yticks(np.arange(0, 1.01, 0.2), [f"{t:.0f}" for t in np.arange(0, 101, 20)])
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)


def plot_midpoints(summary: SoftwareWalkSummary) -> Figure:
    """Draw μ over the sites, one panel per kind of noise."""
    kinds = summary.kinds
    sites = len(next(iter(kinds.values())).entries)
    width = max(6.0, 0.5 * sites + 1.5)
    figure = Figure((width, 3.3 * len(kinds) + 0.6), dpi=130, layout="constrained")
    panels = figure.subplots(len(kinds), 1, squeeze=False)[:, 0]
    for number, (panel, (kind, found)) in enumerate(zip(panels, kinds.items(), strict=True)):
        _midpoints_of(panel, found, _COLOURS[number % len(_COLOURS)])
        panel.set_title(f"{kind} noise", fontsize=10, loc="left", **_PLAIN)
        panel.set_ylabel(f"midpoint μ\n{_AXES.get(found.unit, found.unit)}", fontsize=9)
    figure.suptitle(f"{_title(summary)}: midpoint noise level, 95 % intervals", fontsize=11,
                    **_PLAIN)  # fmt: skip
    return figure


def _midpoints_of(panel: Axes, found: SoftwareKind, colour: str) -> None:
    names = list(found.sites)
    panel.set_yscale("log")
    for x, name in enumerate(names):
        mu = found[name].midpoint
        if mu is None:
            continue
        middle, low, high = mu
        if middle is not None and low is not None and high is not None:
            ends = [[middle - low], [high - middle]]
            panel.errorbar([x], [middle], yerr=ends, fmt="o", color=colour, ms=5, capsize=3)
        elif mu.level > 0:
            panel.errorbar(
                [x], [mu.level], yerr=[mu.level / 2], fmt="_", color=colour, ms=9,
                lolims=high is None, uplims=low is None,
            )  # fmt: skip
    middle, low, high = (found.global_ and found.global_.midpoint) or (None, None, None)
    if middle is not None and low is not None and high is not None:
        panel.axhspan(low, high, color="#999999", alpha=0.3, lw=0)
        panel.axhline(middle, color="#555555", lw=1, label="global: σ at every default site")
        panel.legend(fontsize=8, frameon=False)
    panel.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    panel.set_xlim(-0.6, len(names) - 0.4)
    panel.grid(True, axis="y", color="#E8E8E8", lw=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _title(summary: SoftwareWalkSummary) -> str:
    trained = " (noisy training)" if summary.training_noise else ""
    training = "trained for each point" if summary.retrain_from == "random" else "retrained"
    clamped = ", weights in −1..1" if summary.clamp else ""
    again = f" ({training}, {summary.retrain} epochs{clamped})" if summary.retrain else ""
    values = ", images in 0..1" if summary.image_range == (0, 1) else ""
    recipe = f" (recipe {summary.recipe})" if summary.recipe else ""
    return f"{summary.model}{recipe}{trained}{again} on {summary.dataset}{values}"
