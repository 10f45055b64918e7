"""Pictures of training under noise: two for each kind of noise.

``dynamics-<kind>.png`` shows statistics over the σ of training, one line per site: the median over
the seeds, with their range. ``histograms-<kind>.png`` shows the values at each site without noise,
one row per σ, for the first seed.
"""

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
    "binarisation": "binarisation of values:\n0 normal, 1 two values",
    "weight_binarisation": "binarisation of weights:\n0 normal, 1 two values",
    "noisy_accuracy": "accuracy with the noise of training",
}
_LINEAR = ("binarisation", "weight_binarisation", "noisy_accuracy")
_PLAIN: dict[str, Any] = {"parse_math": False}


def write(
    folder: Path, summary: Mapping[str, Any], table: pd.DataFrame, counts: pd.DataFrame
) -> None:
    """Write both pictures of each kind, each atomically.

    Args:
        folder: folder for the pictures.
        summary: content of ``dynamics.json``.
        table: rows of ``dynamics.json``.
        counts: table of ``histograms.parquet``.

    Raises:
        UserError: a file cannot be written.
    """
    for kind, rows in table.groupby("kind", sort=False):
        own = counts[(counts["kind"] == kind) & (counts["seed"] == summary["seed"])]
        for name, figure in (
            ("dynamics", plot(summary, str(kind), rows)),
            ("histograms", plot_histograms(summary, str(kind), own)),
        ):
            with replacing(folder / f"{name}-{kind}.png") as temporary:
                figure.savefig(temporary, format="png")


def plot(summary: Mapping[str, Any], kind: str, rows: pd.DataFrame) -> Figure:
    """Draw every statistic over the σ of training."""
    figure = Figure((13, 6.6), dpi=130, layout="constrained")
    panels: list[Axes] = list(figure.subplots(2, 3).flat)
    noisy = rows["noisy_accuracy"].astype(float)
    rows = rows.assign(noisy_accuracy=noisy.fillna(rows["accuracy"]))
    sites = list(rows["site"].unique())
    colours = colormaps["viridis"](np.linspace(0, 0.92, len(sites)))
    linear_below = float(rows["sigma"][rows["sigma"] > 0].min())
    for panel, (name, label) in zip(panels, PANELS.items(), strict=True):
        # the accuracy is one of the network, not of a site
        shown = sites[:1] if name == "noisy_accuracy" else sites
        for site, colour in zip(shown, colours, strict=False):
            one = rows[rows["site"] == site].dropna(subset=[name])
            if len(one):
                over = (
                    one.astype({name: float}).groupby("sigma")[name].agg(["median", "min", "max"])
                )
                panel.plot(over.index, over["median"], "o-", color=colour, label=site, markersize=3)
                panel.fill_between(over.index, over["min"], over["max"], color=colour, alpha=0.2)
        panel.set_xscale("symlog", linthresh=linear_below)
        if name not in _LINEAR:
            panel.set_yscale("log")
        panel.set_xlabel("σ of training")
        panel.set_ylabel(label)
        panel.grid(alpha=0.25)
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside right center", fontsize=7)
    seeds = f", median and range of {summary['seeds']} trainings" if summary["seeds"] > 1 else ""
    figure.suptitle(f"{_title(summary, kind)}{seeds}", fontsize=10, **_PLAIN)
    return figure


def plot_histograms(summary: Mapping[str, Any], kind: str, counts: pd.DataFrame) -> Figure:
    """Draw the distribution of the values at each site, one row per σ of training."""
    values = counts[counts["of"] == "values"]
    sites, levels = list(values["site"].unique()), sorted(values["sigma"].unique())
    figure = Figure((1.25 * len(sites) + 0.8, 1.0 * len(levels) + 0.9), dpi=110,
                    layout="constrained")  # fmt: skip
    grid = figure.subplots(len(levels), len(sites), squeeze=False)
    for row, sigma in zip(grid, levels, strict=True):
        for panel, site in zip(row, sites, strict=True):
            one = values[(values["sigma"] == sigma) & (values["site"] == site)]
            edges = np.append(one["low"], one["high"].iloc[-1])
            panel.stairs(one["count"], edges, fill=True, color="#0072B2")
            # a logarithm: ReLU's zeros would hide everything else
            panel.set_yscale("log")
            panel.set_yticks([], minor=False)
            panel.set_yticks([], minor=True)
            panel.tick_params(labelsize=5)
        row[0].set_ylabel(f"σ = {sigma:g}", fontsize=7)
    for panel, site in zip(grid[0], sites, strict=True):
        panel.set_title(site, fontsize=7, **_PLAIN)
    figure.suptitle(
        f"{_title(summary, kind)}: values without noise, logarithm of their number",
        fontsize=8, **_PLAIN,
    )  # fmt: skip
    return figure


def _title(summary: Mapping[str, Any], kind: str) -> str:
    recipe = f" (recipe {summary['recipe']})" if summary["recipe"] else ""
    images = ", images in 0..1" if summary["image_range"] else ""
    clamped = ", weights in −1..1" if summary["clamp"] else ""
    return (
        f"{summary['model']}{recipe} on {summary['dataset']}{images}, trained with {kind} noise at "
        f"{len(summary['sites'])} sites, {summary['epochs']} epochs{clamped}"
    )
