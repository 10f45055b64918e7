"""Comparison of several walks on one page: their verdicts, midpoints and curves."""

from collections.abc import Sequence
from pathlib import Path

from flow.errors import UserError
from flow.files import replacing
from flow.report.charts import walk_charts
from flow.report.files import Results
from flow.report.html import environment
from flow.report.network_diagram import picture
from flow.report.walk_page import site_row
from flow.report.wording import definition, scope_sentence, verdict_sentence
from flow.walks.crosscheck.summary_values import sigma_unit
from flow.walks.points.side import Side


def write(path: Path, walks: Sequence[Results]) -> None:
    """Write the page atomically.

    Args:
        path: path of the page.
        walks: two or more walks, in the order of the page.

    Raises:
        UserError: the file cannot be written, or walks use different measures or margins.
    """
    measures = list(dict.fromkeys(walk.summary["measure"] for walk in walks))
    if len(measures) > 1:
        raise UserError(
            f"the walks measured {' and '.join(measures)}: compare walks of one measure"
        )
    settings = {(w.summary["design"], w.summary["margin"], w.summary["level"]) for w in walks}
    if len(settings) > 1:
        raise UserError("the walks were judged by different margins or levels: compare others")
    names = [f"{number}: {_name(walk)}" for number, walk in enumerate(walks, start=1)]
    runs = [(name, w.summary, w.table) for name, w in zip(names, walks, strict=True)]
    entries = [
        {
            "name": name,
            "s": summary,
            "verdict": verdict_sentence(summary),
            "scope": scope_sentence(summary),
            "unit": sigma_unit(summary),
            "rows": [site_row(site, entry) for site, entry in summary["sites"].items()],
            "network": picture(summary),
        }
        for name, summary, _ in runs
    ]
    text = environment().get_template("comparison.html.j2").render(
        entries=entries,
        definition=definition(*settings.pop()),
        sides=Side,
        measure=measures[0],
        charts=walk_charts(runs),
    )  # fmt: skip
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _name(walk: Results) -> str:
    """Return a name that distinguishes a walk from others."""
    s = walk.summary
    trained = f", trained with {s['training_noise']['kind']}" if s["training_noise"] else ""
    return f"{s['model']} on {s['dataset']}, {s['noise']} noise{trained}, seed {s['seed']}"
