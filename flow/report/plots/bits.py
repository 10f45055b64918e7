"""Picture of a walk of ADC bits: accuracy over bits, one panel per site, every side named."""

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from flow.files import replacing
from flow.report.plots.figure import Figure
from flow.walks.points.side import SHOWN, Side
from flow.walks.summaries import BitsSite, BitsWalkSummary

_PAGE = 7.16
"""Width of a page's two columns, inches."""


def plot(summary: BitsWalkSummary) -> Figure:
    """Draw the walk: a panel for each site, in the order of the data."""
    sites = list(summary.sites.items())
    columns = min(len(sites), 2 if len(sites) <= 4 else 3)
    rows = math.ceil(len(sites) / columns)
    figure = Figure((_PAGE, 2.3 * rows + 0.9), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for number, panel in enumerate(grid.flat):
        if number >= len(sites):
            panel.remove()
            continue
        _panel(panel, summary, *sites[number])
        if number % columns == 0:
            panel.set_ylabel(summary.measure, fontsize=8)
        if number + columns >= len(sites):
            panel.tick_params(labelbottom=True)
            panel.set_xlabel("bits of the ADC", fontsize=8)
    handles, names = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=7)
    figure.suptitle(f"{summary.model} on {summary.dataset}: an ADC at one site", fontsize=9)
    return figure


def _panel(panel: Axes, summary: BitsWalkSummary, site: str, entry: BitsSite) -> None:
    bits = [point.bits for point in entry.points]
    for side in SHOWN:
        found = [getattr(point, side.value) for point in entry.points]
        if any(one is None for one in found):
            continue
        value, low, high = np.array(found, dtype=float).T
        images = summary.images.get(side.value)
        panel.errorbar(
            bits, value, yerr=(value - low, high - value), color=side.colour, marker=side.marker,
            linestyle=side.line or "none", markersize=4, linewidth=1.2, capsize=2,
            markerfacecolor="none" if side is Side.RTL else side.colour,
            label=f"{side.label}, n = {images:,}",
        )  # fmt: skip
    clean = summary.clean.get("golden") or summary.clean["software"]
    if clean.value is not None:
        allowed = clean.value - summary.loss / 100
        panel.axhline(
            allowed, color="#767676", linewidth=0.8, linestyle=":",
            label=f"{summary.measure} without it, less {summary.loss / 100:g}",
        )  # fmt: skip
    panel.set_title(f"{site}: fewest bits {entry.best}", fontsize=8)
    panel.set_xticks(bits)
    panel.tick_params(labelsize=7)
    panel.grid(alpha=0.25)


def write(path: Path, summary: BitsWalkSummary) -> None:
    """Write the picture as PNG, atomically; UserError if it cannot be written."""
    with replacing(path) as temporary:
        plot(summary).savefig(temporary, format="png", dpi=200)
