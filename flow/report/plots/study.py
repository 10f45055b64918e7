"""Pictures of a study: midpoints over sites, or over the rows of tiles; and the fewest ADC bits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from flow.noise.site import Site
from flow.report.plots.figure import Figure

_NETWORK = [
    "command", "model", "dataset", "training_noise", "checkpoint", "measure", "input_bits",
]  # fmt: skip
_PANEL = [*_NETWORK, "noise", "per_point"]
"""Columns that are equal in the rows of a panel."""
_COLOURS = {"mu_sw": "#0072B2", "mu_hw": "#D55E00"}
_LABELS = {"mu_sw": "software", "mu_hw": "hardware (golden, RTL-checked)"}
_OF_LAYERS = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7", "#767676",
)  # fmt: skip
_MARKERS = "osD^v<>Ph"


def plot(together: pd.DataFrame) -> Figure:
    """Draw μ over the sites, or over the rows of tiles in networks walked at several.

    Args:
        together: one row per network, kind of noise, rows and site, with the median, least and most
            of each μ over the seeds.

    Returns:
        A figure with a panel for each network and kind of noise.
    """
    panels = list(together.groupby(_PANEL, sort=False, dropna=False))
    names_of = together.groupby(["model", "dataset"])["checkpoint"].unique()
    figure, grid = _grid(len(panels))
    for axes, (_, group) in zip(grid, panels, strict=True):
        if group["rows"].nunique(dropna=False) > 1:
            side = "mu_sw" if group["mu_hw"].isna().all() else "mu_hw"
            columns = (side, f"{side}_least", f"{side}_most")
            _over_rows(axes, group, columns)
            axes.set_ylabel(f"μ, {_LABELS[side].partition(' ')[0]}", fontsize=9)
        else:
            _over_sites(axes, group)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        first = group.iloc[0]
        trained = f", trained with {first['training_noise']} noise"
        title = f"{first['model']}, {first['dataset']}\n{first['noise']} noise"
        title += trained if first["training_noise"] else ""
        if first["per_point"]:
            title += f"\nnetworks per point: {first['per_point']}"
        elif len(names_of[first["model"], first["dataset"]]) > 1:
            title += f"\n{first['checkpoint']}"
        if together["measure"].nunique() > 1:
            title += f"\n{first['measure']}"
        title += _passes(first)
        axes.set_title(title, fontsize=9, parse_math=False)
        axes.grid(axis="y", alpha=0.3)
    _legend(figure, grid)
    return figure


def plot_bits(bits: pd.DataFrame) -> Figure:
    """Draw the fewest ADC bits of each layer, over the rows of tiles.

    Args:
        bits: one row per walk of bits and site, with the fewest bits of software and golden.

    Returns:
        A figure with a panel for each network.
    """
    panels = list(bits.groupby([*_NETWORK, "loss", "percentile"], sort=False, dropna=False))
    figure, grid = _grid(len(panels))
    for axes, (_, group) in zip(grid, panels, strict=True):
        side = "software" if group["golden"].isna().all() else "golden"
        most = group["most"].max()
        # what lies beyond the bits that were measured is drawn there
        drawn = group.assign(
            **{f"{side}{end}": group[f"{side}{end}"].fillna(most + 1) for end in ("", "_lo", "_hi")}
        )
        _over_rows(axes, drawn, (side, f"{side}_lo", f"{side}_hi"))
        first = group.iloc[0]
        axes.set_title(
            f"{first['model']}, {first['dataset']}, n = {first['images']:,}\n"
            f"at most {first['loss']:g} points of {first['measure']} lost{_passes(first)}",
            fontsize=9,
            parse_math=False,
        )
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel(f"fewest ADC bits, {side}", fontsize=9)
        axes.grid(axis="y", alpha=0.3)
    _legend(figure, grid)
    return figure


def _passes(row: pd.Series) -> str:
    """Return what a title says about bit-serial inputs, if there are any."""
    bits = row["input_bits"]
    return "" if pd.isna(bits) else f"\nbits of a pass: {bits}"


def _grid(panels: int) -> tuple[Figure, list[Axes]]:
    """Return a figure with this many panels."""
    columns = min(3, panels)
    rows = -(-panels // columns)
    figure = Figure((4.2 * columns + 0.4, 3.0 * rows + 0.8), dpi=130, layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid[panels:]:
        axes.remove()
    return figure, grid[:panels]


def _legend(figure: Figure, grid: Sequence[Axes]) -> None:
    """Explain every mark once, below the panels."""
    found: dict[str, Any] = {}
    for axes in grid:
        found |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    columns = min(len(found), 5)
    options = {"ncols": columns, "fontsize": 9, "frameon": False}
    figure.legend(found.values(), found.keys(), loc="outside lower center", **options)


def _over_sites(axes: Axes, group: pd.DataFrame) -> None:
    """Draw a point per site and side."""
    where = np.arange(len(group))
    for number, (key, colour) in enumerate(_COLOURS.items()):
        middle = group[key].to_numpy(dtype=float)
        if np.isnan(middle).all():
            continue
        low, high = (group[f"{key}_{end}"].to_numpy(dtype=float) for end in ("least", "most"))
        shift = where + 0.16 * (number - 0.5)
        error = [middle - low, high - middle]
        style: dict[str, Any] = {"fmt": "so"[number], "ms": 5, "capsize": 3, "color": colour}
        axes.errorbar(shift, middle, yerr=error, label=_LABELS[key], **style)
    axes.set_xticks(where, group["site"], rotation=45, ha="right", fontsize=8)
    axes.set_ylabel("midpoint μ", fontsize=9)


def _over_rows(axes: Axes, group: pd.DataFrame, columns: Sequence[str]) -> None:
    """Draw a line per layer over the rows of a tile, filled where the layer has several tiles.

    Args:
        axes: the panel.
        group: rows of one network.
        columns: names of the value and of both ends of its interval.
    """
    every = sorted(group["rows"].dropna().unique())
    if group["rows"].isna().any():
        every.append(None)
    place = {rows: number for number, rows in enumerate(every)}
    layers = list(dict.fromkeys(Site(site).layer or site for site in group["site"]))
    for number, layer in enumerate(layers):
        own = group[[(Site(site).layer or site) == layer for site in group["site"]]]
        x = np.array([place[None if pd.isna(rows) else rows] for rows in own["rows"]])
        order = np.argsort(x)
        middle, low, high = (own[name].to_numpy(dtype=float)[order] for name in columns)
        tiled = np.array([not s.layer or s.is_tile for s in map(Site, own["site"])])[order]
        colour, marker = _OF_LAYERS[number % len(_OF_LAYERS)], _MARKERS[number % len(_MARKERS)]
        line = "-" if number < len(_OF_LAYERS) else "--"
        at = x[order] + 0.5 * (number / max(len(layers) - 1, 1) - 0.5)
        axes.errorbar(
            at, middle, yerr=[middle - low, high - middle], color=colour, marker=marker,
            ms=4, lw=1, ls=line, capsize=2, label=layer,
        )  # fmt: skip
        axes.plot(
            at[~tiled], middle[~tiled], color=colour, marker=marker, ms=4, ls="", mfc="w", zorder=4
        )
    axes.set_xticks(list(place.values()), ["whole" if r is None else str(r) for r in every])
    axes.tick_params(labelsize=8)
    axes.set_xlabel("rows of a tile (open marker: one tile)", fontsize=9)
