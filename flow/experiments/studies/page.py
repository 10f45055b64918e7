"""What the walks of a study found, in one table, one picture and one page.

Runs that differ in nothing but their seed are put together: of μ and of its ratio the middle and
the range over the seeds. Seeds share their test images, so the range tells of noise alone.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from flow.experiments.studies.status import status
from flow.experiments.studies.study import Study
from flow.files import replacing
from flow.report.html import environment

SAME = ("command", "model", "dataset", "noise", "training_noise", "site")
"""What rows have in common that are put together."""
_COLOURS = {"mu_sw": "#0072B2", "mu_hw": "#D55E00"}
_LABELS = {"mu_sw": "software", "mu_hw": "hardware (golden, RTL-checked)"}


def table(study: Study) -> pd.DataFrame:
    """Return a row a run and site: μ of software and hardware, their ratio, the verdict.

    Midpoints that are only a bound are missing. Runs that are not finished have no row.
    """
    rows: list[dict[str, Any]] = []
    for run in study.runs:
        summary = run.summary
        if summary is None:
            continue
        for noise, sites in _by_noise(summary).items():
            for site, entry in sites.items():
                row = {
                    "run": run.name,
                    "command": run.command,
                    "model": summary["model"],
                    "dataset": summary["dataset"],
                    "noise": noise,
                    "training_noise": (summary.get("training_noise") or {}).get("kind", ""),
                    "seed": summary["seed"],
                    "site": site,
                }
                for key in ("mu_sw", "mu_hw", "ratio"):
                    value = entry.get(key)
                    ends = value if isinstance(value, list) else [None] * 3
                    row |= dict(zip((key, f"{key}_lo", f"{key}_hi"), ends, strict=True))
                row["verdict"] = entry.get("verdict", "")
                row["rtl_images"] = entry.get("rtl_runs", 0)
                row["bit_mismatches"] = entry.get("bit_mismatches", 0)
                rows.append(row)
    return pd.DataFrame(rows)


def _by_noise(summary: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the sites of a summary by kind of noise; none of one that has no midpoints."""
    if "kinds" in summary:
        return {kind: found["sites"] for kind, found in summary["kinds"].items()}
    return {summary["noise"]: summary["sites"]} if "sites" in summary else {}


def over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Put runs together that differ in their seed alone.

    Returns:
        By `SAME`: seeds; of μ and ratio the median, the smallest and the largest; verdicts as
        counts, such as ``agree 3``; RTL images and mismatches in all.
    """
    found = []
    for same, group in rows.groupby(list(SAME), sort=False):
        row: dict[str, Any] = dict(zip(SAME, same, strict=True)) | {"seeds": len(group)}
        for key in ("mu_sw", "mu_hw", "ratio"):
            values = group[key].dropna().to_numpy(dtype=float)
            row[key] = float(np.median(values)) if values.size else None
            row[f"{key}_least"] = float(values.min()) if values.size else None
            row[f"{key}_most"] = float(values.max()) if values.size else None
        counts = group["verdict"].value_counts()
        row["verdicts"] = ", ".join(f"{word} {n}" for word, n in counts.items() if word)
        row["rtl_images"] = int(group["rtl_images"].sum())
        row["bit_mismatches"] = int(group["bit_mismatches"].fillna(0).sum())
        found.append(row)
    return pd.DataFrame(found)


def plot(together: pd.DataFrame) -> Figure:
    """Draw μ over the sites, a panel a network and kind of noise."""
    panels = list(together.groupby(list(SAME[:-1]), sort=False))
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure((4.2 * columns + 0.4, 3.0 * rows + 0.8), dpi=130, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes, (same, group) in zip(grid.flat, panels, strict=False):
        _, model, dataset, noise, training = same
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
        axes.set_title(f"{model}, {dataset}\n{noise} noise{trained}", fontsize=9)
        axes.grid(axis="y", alpha=0.3)
    for axes in grid[:, 0]:
        axes.set_ylabel("midpoint μ")
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    return figure


def write(study: Study, points: Path) -> Path:
    """Write ``report.html``, ``table.csv`` and ``midpoints.png`` into the study's folder.

    Args:
        study: the study.
        points: folder of all measured points.

    Returns:
        the page.

    Raises:
        UserError: a file cannot be written.
    """
    states = status(study.index, study.folder, points)
    rows = table(study)
    together = over_seeds(rows) if len(rows) else rows
    image = None
    if len(rows):
        with replacing(study.folder / "table.csv") as temporary:
            rows.to_csv(temporary, index=False)
        picture = study.folder / "midpoints.png"
        with replacing(picture) as temporary:
            plot(together).savefig(temporary, format="png")
        image = base64.b64encode(picture.read_bytes()).decode()
    links = {
        state.name: f"{state.name}/report.html"
        for state in states
        if (study.folder / state.name / "report.html").exists()
    }
    template = environment().get_template("study.html.j2")
    records = together.to_dict("records")
    text = template.render(study=study, states=states, rows=records, image=image, links=links)
    page = study.folder / "report.html"
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page
