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

from flow.experiments.studies.status import status
from flow.experiments.studies.study import Study
from flow.files import replacing
from flow.report.html import environment
from flow.report.plots.study import plot
from flow.settings import Settings
from flow.statistics.estimate import Estimate
from flow.walks.settings import NoiseOptions
from flow.walks.summaries import (
    HardwareSite,
    HardwareWalkSummary,
    SoftwareSite,
    SoftwareWalkSummary,
    WalkSummary,
)

SAME = (
    "command", "model", "dataset", "noise", "training_noise", "checkpoint", "recipe", "images_in",
    "per_point", "measure", "site",
)  # fmt: skip
"""What rows have in common that are put together."""


def table(study: Study) -> pd.DataFrame:
    """Return a row a run and site: μ of software and hardware, their ratio, the verdict.

    Midpoints that are only a bound are missing. Runs that are not finished, or are no walks, have
    no row.
    """
    rows: list[dict[str, Any]] = []
    for run in study.runs:
        summary = run.summary
        if not isinstance(summary, WalkSummary):
            continue
        for noise, entries in _by_noise(summary).items():
            for site, entry in entries.items():
                row = {
                    "run": run.name,
                    "command": run.command,
                    "model": summary.model,
                    "dataset": summary.dataset,
                    "noise": _noise_name(noise, run.settings),
                    "training_noise": (summary.training_noise or {}).get("kind", ""),
                    **_training(summary),
                    "measure": summary.measure,
                    "seed": summary.seed,
                    "site": site,
                }
                for key in ("mu_sw", "mu_hw", "ratio"):
                    value: Estimate | None = getattr(entry, key, None)
                    ends = [None] * 3 if value is None or value.value is None else value
                    row |= dict(zip((key, f"{key}_lo", f"{key}_hi"), ends, strict=True))
                row["verdict"] = getattr(entry, "verdict", "")
                row["rtl_images"] = getattr(entry, "rtl_runs", 0)
                row["bit_mismatches"] = getattr(entry, "bit_mismatches", 0)
                rows.append(row)
    return pd.DataFrame(rows)


def _noise_name(kind: str, settings: Settings) -> str:
    """Return a kind of noise, mixed noise with its ratio."""
    if kind == "mixed" and isinstance(settings, NoiseOptions):
        return f"{kind}, r = {settings.ratio:g}"
    return kind


def _training(summary: WalkSummary) -> dict[str, str]:
    """Return what tells the networks of walks apart: their training, and images where known."""
    found = {"checkpoint": summary.checkpoint or "", "recipe": "", "images_in": "", "per_point": ""}
    if not isinstance(summary, SoftwareWalkSummary):
        return found
    bounds = summary.image_range
    found["recipe"] = summary.recipe or ""
    found["images_in"] = "" if bounds is None else "{:g}..{:g}".format(*bounds)
    if summary.retrain:
        start = "random weights" if summary.retrain_from == "random" else "the checkpoint"
        clamped = ", clamped" if summary.clamp else ""
        found["per_point"] = f"{summary.retrain} epochs, from {start}{clamped}"
    return found


def _by_noise(
    summary: WalkSummary,
) -> Mapping[str, Mapping[str, SoftwareSite] | Mapping[str, HardwareSite]]:
    """Return the entries of a walk by kind of noise."""
    if isinstance(summary, SoftwareWalkSummary):
        return {kind: found.entries for kind, found in summary.kinds.items()}
    if isinstance(summary, HardwareWalkSummary):
        return {summary.noise: summary.sites}
    return {}


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
    measures = list(dict.fromkeys(row["measure"] for row in records))
    text = template.render(
        study=study, states=states, rows=records, image=image, links=links, measures=measures
    )
    page = study.folder / "report.html"
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page
