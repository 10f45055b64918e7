"""Picture of repeats in hardware: accuracy over cycles per image, one line per site."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps

from flow.files import replacing
from flow.report.plots.figure import Figure


def write(folder: Path, summary: Mapping[str, Any], table: pd.DataFrame) -> None:
    """Write ``repeats.png`` atomically.

    Args:
        folder: folder of the picture.
        summary: content of ``repeats.json``.
        table: rows of ``repeats.json``.

    Raises:
        UserError: the file cannot be written.
    """
    figure = Figure((7.2, 4.6), dpi=130, layout="constrained")
    axes = figure.subplots()
    sites = list(dict.fromkeys(table["site"]))
    colours = colormaps["viridis"](np.linspace(0, 0.9, len(sites)))
    for site, colour in zip(sites, colours, strict=True):
        rows = table[table["site"] == site]
        accuracy, low, high = np.array(rows["golden"].tolist()).T
        axes.errorbar(
            rows["cycles_per_image"], accuracy, yerr=(accuracy - low, high - accuracy),
            label=f"{site}, σ = {rows['sigma'].iloc[0]:.3g}", color=colour, marker="o",
            markersize=4, linewidth=1.3, capsize=2,
        )  # fmt: skip
        simulated = np.array(rows["rtl"].tolist())[:, 0]
        axes.plot(rows["cycles_per_image"], simulated, "x", color=colour, markersize=5)
    axes.axhline(summary["clean"][0], color="#009E73", linewidth=1, label="golden without noise")
    axes.plot([], [], "kx", label=f"RTL, simulated, n = {summary['images']['rtl']}")
    axes.set_xscale("log")
    axes.set_xlabel("cycles per image of a design that executes the layer k times")
    axes.set_ylabel(summary["measure"])
    axes.set_title(
        f"{summary['model']} on {summary['dataset']}: {summary['noise']} noise at one site, "
        f"golden (not simulated), n = {summary['images']['golden']:,}",
        fontsize=9,
    )
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    with replacing(folder / "repeats.png") as temporary:
        figure.savefig(temporary, format="png")
