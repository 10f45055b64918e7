"""Page of a study: what its walks found, in tables, pictures and one page.

Runs that differ in nothing but their seed are put together: of μ and of its ratio the middle and
the range over the seeds. Seeds share their test images, so the range tells of noise alone. Of a
single seed it is the 95 % interval.
"""

import base64
from pathlib import Path

import numpy as np
import pandas as pd

from flow.experiments.studies.columns import BITS, HARDWARE, MIDPOINTS, TRAININGS, shown
from flow.experiments.studies.status import status
from flow.experiments.studies.study import COMMANDS, Study
from flow.experiments.studies.tables import bits_table, table, trainings
from flow.files import replacing
from flow.report.html import environment
from flow.report.plots.figure import Figure
from flow.report.plots.study import plot, plot_bits

SAME = (
    "command", "model", "dataset", "noise", "training_noise", "checkpoint", "recipe", "images_in",
    "per_point", "measure", "rows", "input_bits", "site",
)  # fmt: skip
"""What rows have in common that are put together."""
_MIDDLES = ("mu_sw", "mu_hw", "relative", "ratio")
_DRAWN = {"dynamics": "learning dynamics", "histograms": "histograms of values"}
"""What pictures show, where the name of their file does not say it in words."""


def over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Put runs together that differ in their seed alone.

    Returns:
        By `SAME`: seeds; of μ and ratio the median, the smallest and the largest over the seeds, or
        the ends of the only seed's 95 % interval; verdicts as counts, such as ``agree 3``; RTL
        images and mismatches in all.
    """
    found = []
    for same, group in rows.groupby(list(SAME), sort=False, dropna=False):
        row = dict(zip(SAME, same, strict=True)) | {"seeds": len(group)}
        for key in _MIDDLES:
            values = group[key].dropna().to_numpy(dtype=float)
            ends = group[[f"{key}_lo", f"{key}_hi"]].dropna().to_numpy(dtype=float)
            spread = values if len(values) != 1 else ends
            row[key] = float(np.median(values)) if values.size else None
            row[f"{key}_least"] = float(spread.min()) if values.size else None
            row[f"{key}_most"] = float(spread.max()) if values.size else None
            bounds = dict.fromkeys(bound for bound in group[f"{key}_bound"] if bound)
            row[f"{key}_bound"] = ", ".join(bounds)
        counts = group["verdict"].value_counts()
        row["verdicts"] = ", ".join(f"{word} {n}" for word, n in counts.items() if word)
        row["rtl_images"] = int(group["rtl_images"].sum())
        row["bit_mismatches"] = int(group["bit_mismatches"].fillna(0).sum())
        found.append(row)
    return pd.DataFrame(found)


def write(study: Study, points: Path) -> Path:
    """Write the page, tables and pictures of a study into its folder.

    ``report.html``; of walks of noise ``table.csv`` and ``midpoints.png``; of walks of ADC bits
    ``bits.csv`` and ``bits.png``.

    Args:
        study: the study.
        points: folder of all measured points.

    Returns:
        the page.

    Raises:
        UserError: a file cannot be written.
    """
    states = status(study.index, study.folder, points)
    rows, bits = table(study), bits_table(study)
    together = over_seeds(rows) if len(rows) else rows
    images = {}
    for name, content, drawn in (
        ("midpoints", rows, lambda: plot(together)),
        ("bits", bits, lambda: plot_bits(bits)),
    ):
        if not len(content):
            continue
        file = study.folder / ("table.csv" if name == "midpoints" else f"{name}.csv")
        with replacing(file) as temporary:
            content.to_csv(temporary, index=False)
        images[name] = _picture(study.folder / f"{name}.png", drawn())
    links = {
        state.name: f"{state.name}/report.html"
        for state in states
        if (study.folder / state.name / "report.html").exists()
    }
    template = environment().get_template("study.html.j2")
    trained = trainings(study)
    in_hardware = bool(len(rows)) and bool(rows[["mu_hw", "mu_hw_bound"]].any(axis=None))
    columns = MIDPOINTS + HARDWARE if in_hardware else MIDPOINTS
    text = template.render(
        study=study,
        states=states,
        trainings=shown(trained, TRAININGS) if len(trained) else None,
        midpoints=shown(together, columns) if len(rows) else None,
        in_hardware=in_hardware,
        bits=shown(bits, BITS) if len(bits) else None,
        images=images,
        drawn=_drawn(study),
        links=links,
        measures=list(dict.fromkeys(together["measure"])) if len(rows) else [],
    )
    page = study.folder / "report.html"
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page


def _drawn(study: Study) -> list[dict[str, str]]:
    """Return the pictures of finished runs: run, what it shows, and its content, base64."""
    return [
        {
            "run": run.name,
            "shows": _DRAWN.get(kind := file.stem.split("-")[0], kind),
            "content": base64.b64encode(file.read_bytes()).decode(),
        }
        for run in study.runs
        if run.state.get("ended") == "done"
        for pattern in COMMANDS[run.command].pictures
        for file in sorted(run.folder.glob(pattern))
    ]


def _picture(path: Path, figure: Figure) -> str:
    """Write a picture as PNG, and return its content, base64."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
    return base64.b64encode(path.read_bytes()).decode()
