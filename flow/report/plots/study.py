"""Picture of a study's midpoints: one panel per network, one point per site and side."""

import numpy as np
import pandas as pd
from matplotlib.ticker import StrMethodFormatter

from flow.report.plots.figure import Figure

_PANEL = [
    "command", "model", "dataset", "noise", "training_noise", "checkpoint", "per_point", "measure",
]  # fmt: skip
"""Columns that are equal in the rows of a panel."""
_COLOURS = {"mu_sw": "#0072B2", "mu_hw": "#D55E00"}


_LABELS = {"mu_sw": "software", "mu_hw": "hardware (golden, RTL-checked)"}


def plot(together: pd.DataFrame) -> Figure:
    """Draw μ over the sites.

    Args:
        together: one row per network, kind of noise and site, with the median, least and most of
            each μ over the seeds.

    Returns:
        A figure with a panel for each network and kind of noise.
    """
    panels = list(together.groupby(_PANEL, sort=False))
    names_of = together.groupby(["model", "dataset"])["checkpoint"].unique()
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure((4.2 * columns + 0.4, 3.0 * rows + 0.8), dpi=130, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes, (same, group) in zip(grid.flat, panels, strict=False):
        _, model, dataset, noise, training, checkpoint, per_point, measure = same
        where = np.arange(len(group))
        for number, (key, colour) in enumerate(_COLOURS.items()):
            middle = group[key].to_numpy(dtype=float)
            if np.isnan(middle).all():
                continue
            low, high = (group[f"{key}_{end}"].to_numpy(dtype=float) for end in ("least", "most"))
            shift = where + 0.16 * (number - 0.5)
            error = [middle - low, high - middle]
            style = {"fmt": "so"[number], "ms": 5, "capsize": 3, "color": colour}
            axes.errorbar(shift, middle, yerr=error, label=_LABELS[key], **style)
        axes.set_yscale("log")
        for axis in ("major", "minor"):
            getattr(axes.yaxis, f"set_{axis}_formatter")(StrMethodFormatter("{x:g}"))
        axes.set_xticks(where, group["site"], rotation=45, ha="right", fontsize=8)
        trained = f", trained with {training} noise" if training else ""
        title = f"{model}, {dataset}\n{noise} noise{trained}"
        if per_point:
            title += f"\nnetworks per point: {per_point}"
        elif len(names_of[model, dataset]) > 1:
            title += f"\n{checkpoint}"
        if together["measure"].nunique() > 1:
            title += f"\n{measure}"
        axes.set_title(title, fontsize=9, parse_math=False)
        axes.grid(axis="y", alpha=0.3)
    for axes in grid[:, 0]:
        axes.set_ylabel("midpoint μ")
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    return figure
