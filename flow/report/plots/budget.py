"""Picture of the cheapest plan: noise and cost of each layer, and cost over accuracy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from flow.files import replacing
from flow.report.plots.figure import Figure

_COLOURS = ("#D55E00", "#000000", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#999999")
_MARKERS = "osD^vP."
_DECIDED = {
    "sigma": ("noise_share", "noise / standard deviation of the values"),
    "adc": ("bits", "ADC bits"),
    "executions": ("executions", "executions"),
}
"""Key and label of what was decided."""


def write(path: Path, summary: Mapping[str, Any], searched: str) -> None:
    """Write the picture, PNG, atomically; UserError if it cannot be written.

    Args:
        path: path of the picture.
        summary: dump of a `flow.experiments.budget.summary.BudgetSummary`.
        searched: what was searched for, in words.
    """
    figure = Figure((11.0, 7.0), dpi=130, layout="constrained")
    grid = figure.subplots(2, 2)
    sites = summary["sites"]
    key, label = _DECIDED[summary["varies"][-1]]
    decided = {name: site for name, site in sites.items() if site[key] is not None}
    _bars(grid[0, 0], decided, key, label, numbers=key != "noise_share")
    _bars(grid[0, 1], sites, "snr", "SNR, dB")
    _bars(grid[1, 0], sites, "cost_share", "share of the cost")
    bits = grid[0, 1].secondary_yaxis(
        "right", functions=(lambda snr: (snr - 1.76) / 6.02, lambda b: 6.02 * b + 1.76)
    )
    bits.set_ylabel("effective bits")
    _front(grid[1, 1], summary)
    figure.suptitle(
        f"{summary['model']} on {summary['dataset']}: cheapest {searched} at "
        f"{len({site['site'] for site in sites.values()})} sites, "
        f"{100 * summary['target']:.3g} points lost",
        fontsize=10,
        parse_math=False,
    )
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _bars(
    axes: Axes, sites: Mapping[str, Any], key: str, label: str, numbers: bool = False
) -> None:
    where = np.arange(len(sites))
    bars = axes.bar(where, [site[key] for site in sites.values()], color="#0072B2", width=0.7)
    if numbers:
        axes.bar_label(bars, fontsize=8)
    axes.set_xticks(where, list(sites), rotation=45, ha="right", fontsize=8)
    axes.set_ylabel(label)
    axes.grid(axis="y", alpha=0.3)


def _front(axes: Axes, summary: Mapping[str, Any]) -> None:
    """Draw cost over the points lost: the predicted front, and the measured plans of each rule."""
    front = summary["front"]
    axes.plot(
        [100 * one["loss"] for one in front], [one["cost"] for one in front],
        color=_COLOURS[0], linewidth=1, label="least cost, predicted from the search",
    )  # fmt: skip
    named = [name for name in summary["rules"] if not name.startswith("random")]
    for name, rule in summary["rules"].items():
        number = named.index(name) if name in named else len(_COLOURS) - 1
        points = rule["points"]
        axes.plot(
            [100 * one["loss"][0] for one in points], [one["cost"] for one in points],
            color=_COLOURS[number], marker=_MARKERS[number], markersize=5, linestyle=":",
            label=name,
        )  # fmt: skip
    axes.axvline(100 * summary["target"], color="#999999", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_xlabel(f"{summary['measure']} lost, percentage points")
    axes.set_ylabel(f"cost{', ' + summary['cost_unit'] if summary['cost_unit'] else ''}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
