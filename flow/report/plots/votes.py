"""Picture of `flow.soc.voting`: accuracy over mean executions per image."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps

from flow.files import replacing
from flow.report.plots.figure import Figure


def write(folder: Path, summary: Mapping[str, Any], table: pd.DataFrame) -> None:
    """Write ``votes.png`` atomically, or raise a UserError.

    Args:
        folder: folder of the picture.
        summary: content of ``votes.json``.
        table: rows of ``votes.json``.
    """
    figure = Figure((7.2, 4.6), dpi=130, layout="constrained")
    axes = figure.subplots()
    sites = list(dict.fromkeys(table["site"]))
    colours = colormaps["viridis"](np.linspace(0, 0.85, len(sites)))
    for site, colour in zip(sites, colours, strict=True):
        for early, line, mark in ((False, "--", "o"), (True, "-", "s")):
            chosen = (table["site"] == site) & ((table["early"] == early) | (table["most"] == 1))
            rows = table[chosen]
            accuracy, low, high = np.array(rows["golden"].tolist()).T
            cost = np.array(rows["golden_executions"].tolist())[:, 0]
            label = f"{site}, σ = {rows['sigma'].iloc[0]:.3g}" if early else None
            axes.errorbar(
                cost, accuracy, yerr=(accuracy - low, high - accuracy), color=colour,
                linestyle=line, marker=mark, markersize=4, linewidth=1.3, capsize=2, label=label,
            )  # fmt: skip
    axes.axhline(summary["clean"], color="#009E73", linewidth=1, label="without noise")
    axes.plot([], [], "k--o", markersize=4, label="fixed k")
    axes.plot([], [], "k-s", markersize=4, label="ended when decided")
    axes.set_xlabel("mean executions of an image")
    axes.set_ylabel(summary["measure"])
    axes.set_title(
        f"{summary['model']} on {summary['dataset']}: votes under {summary['noise']} noise at one "
        f"site, golden, n = {summary['images']['golden']:,}",
        fontsize=9,
    )
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=3)
    with replacing(folder / "votes.png") as temporary:
        figure.savefig(temporary, format="png")
