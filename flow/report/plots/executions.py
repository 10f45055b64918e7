"""Picture of multiple executions: accuracy over executions, one line per strategy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, ScalarFormatter

from flow.files import replacing
from flow.report.plots.figure import Figure

_OURS = {"tailored": ("#D55E00", "o", "-"), "uniform": ("#000000", "s", "-")}
_MARKERS = "^vD<>Phd*Xp8"


def write(folder: Path, summary: Mapping[str, Any], table: pd.DataFrame) -> None:
    """Write ``executions.png`` atomically.

    Args:
        folder: folder for the picture.
        summary: content of ``executions.json``.
        table: table from `flow.experiments.multi_execution.compare`.

    Raises:
        UserError: the file cannot be written.
    """
    figure = Figure((7.2, 4.6), dpi=130, layout="constrained")
    _draw(figure.subplots(), summary, table)
    with replacing(folder / "executions.png") as temporary:
        figure.savefig(temporary, format="png")


def _draw(axes: Axes, summary: Mapping[str, Any], table: pd.DataFrame) -> None:
    others = [name for name in table["strategy"].unique() if name not in _OURS]
    for name, rows in table.groupby("strategy", sort=False):
        if name in _OURS:
            colour, marker, line = _OURS[name]
            width = 1.8
        else:
            number = others.index(name)
            colour = "#999999" if "rank" in name else "#0072B2"
            marker, line = _MARKERS[number], ":"
            width = 0.9
        values = rows[summary["measure"]]
        axes.errorbar(
            rows["mean"],
            values,
            yerr=(values - rows["lo"], rows["hi"] - values),
            label=name,
            color=colour,
            marker=marker,
            linestyle=line,
            linewidth=width,
            markersize=4,
            capsize=2,
        )
    axes.axhline(summary["clean"][0], color="#009E73", linewidth=1, label="without noise")
    axes.set_xscale("log")
    axes.set_xticks(sorted(table["mean"].unique()))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("executions of a site, mean over the sites")
    axes.set_ylabel(summary["measure"])
    axes.set_title(
        f"{summary['model']} on {summary['dataset']}: {summary['noise']} noise of "
        f"σ = {summary['sigma']:.3g} at {len(summary['sites'])} sites, "
        f"n = {summary['images']} × {summary['draws']}",
        fontsize=9,
    )
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
