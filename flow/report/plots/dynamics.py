"""Pictures of training under noise: one figure per kind of noise, one line per site."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes

from flow.files import replacing
from flow.report.plots.figure import Figure

PANELS = {
    "weight_magnitude": "mean |w|",
    "output_std": "standard deviation of the output",
    "signal_to_noise": "signal power / noise power",
    "binarisation": "binarisation: 0 normal, 1 two values",
}


def write(folder: Path, summary: Mapping[str, Any], table: pd.DataFrame) -> None:
    """Write ``dynamics-<kind>.png`` for each kind, each atomically.

    Args:
        folder: folder for the pictures.
        summary: content of ``dynamics.json``.
        table: rows of ``dynamics.json``.

    Raises:
        UserError: a file cannot be written.
    """
    for kind, rows in table.groupby("kind", sort=False):
        figure = plot(summary, str(kind), rows)
        with replacing(folder / f"dynamics-{kind}.png") as temporary:
            figure.savefig(temporary, format="png")


def plot(summary: Mapping[str, Any], kind: str, rows: pd.DataFrame) -> Figure:
    """Draw every statistic over the σ of training."""
    figure = Figure((11, 6.6), dpi=130, layout="constrained")
    panels: list[Axes] = list(figure.subplots(2, 2).flat)
    sites = list(rows["site"].unique())
    colours = colormaps["viridis"](np.linspace(0, 0.92, len(sites)))
    for panel, (name, label) in zip(panels, PANELS.items(), strict=True):
        for site, colour in zip(sites, colours, strict=True):
            one = rows[rows["site"] == site].dropna(subset=[name])
            if len(one):
                panel.plot(one["sigma"], one[name], "o-", color=colour, label=site, markersize=3)
        panel.set_xscale("symlog", linthresh=float(rows["sigma"][rows["sigma"] > 0].min()))
        if name != "binarisation":
            panel.set_yscale("log")
        panel.set_xlabel("σ of training")
        panel.set_ylabel(label)
        panel.grid(alpha=0.25)
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside right center", fontsize=7)
    figure.suptitle(
        f"{summary['model']} on {summary['dataset']}, trained with {kind} noise at every site, "
        f"{summary['epochs']} epochs",
        fontsize=10,
    )
    return figure
