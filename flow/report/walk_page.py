"""Report of a walk: one self-contained HTML file.

The verdict comes first, then the network in hardware and the curves, then tables with every figure
of the pictures, for screen readers and for print. The curves are drawn in the browser
(`flow.report.charts` gives the reasons); without scripts a picture replaces them.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from flow.data.reference import Measure
from flow.errors import UserError
from flow.files import replacing
from flow.report import ranking_chart
from flow.report.charts import repeat_charts, walk_charts
from flow.report.html import environment
from flow.report.network_diagram import operator, picture
from flow.report.wording import (
    IN_PART,
    bound_text,
    definition,
    further_sentence,
    guessing_sentence,
    measure_sentence,
    need_sentence,
    noise_title,
    placement_sentence,
    power_sentence,
    random_numbers_sentences,
    scope_sentence,
    verdict_sentence,
)
from flow.rtl.scope import SITE
from flow.walks.crosscheck.ablation import STEPS
from flow.walks.crosscheck.preliminary import NOT_JUDGED
from flow.walks.crosscheck.summary_values import (
    estimate_text,
    method_of,
    midpoint_of,
    midpoint_text,
    one_device,
    sigma_unit,
)
from flow.walks.points.side import SHOWN, Side
from flow.walks.summaries.ranking import breaks_first

RELOAD = 60
"""Seconds after which the page of a running walk reloads."""


def write_report(
    path: Path,
    summary: Mapping[str, Any],
    curves: pd.DataFrame,
    image: Path | None,
    repeats: Mapping[str, Any] | None = None,
    resources: Mapping[str, Any] | None = None,
) -> None:
    """Write ``report.html`` atomically.

    Args:
        path: path of the page.
        summary: content of ``summary.json``.
        curves: table from `flow.walks.points.curves.curve_table`.
        image: PNG of `flow.report.plots.walk_hw.write_curves`, which is embedded in the page;
            None for a page that draws the curves only where scripts run.
        repeats: content of ``repeats.json`` of `flow.experiments.repeats`, if there is one.
        resources: result of `flow.rtl.synthesis.measure`, if there is one.

    Raises:
        UserError: the picture cannot be read, or the page cannot be written.
    """
    text = environment().get_template("report.html.j2").render(
        s=summary,
        reload=RELOAD if (summary["progress"] or {}).get("running") else None,
        breaks_first=_answer(summary),
        ranking=ranking_chart.chart(summary),
        verdict=verdict_sentence(summary),
        definition=definition(summary["design"], summary["margin"], summary["level"]),
        random_numbers=random_numbers_sentences(summary),
        power=power_sentence(summary),
        further=further_sentence(summary),
        scope=scope_sentence(summary),
        noise=noise_title(summary),
        placed=placement_sentence(summary),
        measured=" ".join(filter(None, (measure_sentence(summary), guessing_sentence(summary)))),
        differences=_difference_rows(summary),
        steps=_step_rows(summary),
        sentences=[(s, entry["sentence"]) for s, entry in summary["ablation"].items()],
        unit=sigma_unit(summary),
        image=image and _embedded(image),
        rows=[site_row(name, entry) for name, entry in summary["sites"].items()],
        hardware_rng=any(entry["mu_crn"] is not None for entry in summary["sites"].values()),
        sides=Side,
        clean=[
            (side.label, summary["images"].get(side), summary["clean"].get(side.clean_key))
            for side in SHOWN
        ],
        points=_point_rows(curves, summary["measure"]),
        charts=walk_charts([(summary["model"], summary, curves)]),
        network=picture(summary),
        nodes=[node | {"words": operator(node)} for node in _nodes(summary)],
        resources=resources,
        repeats=repeats,
        repeat_charts=repeats and repeat_charts(repeats, summary["measure"]),
    )  # fmt: skip
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _embedded(image: Path) -> str:
    """Return a picture as text; UserError if it cannot be read."""
    try:
        return base64.b64encode(Path(image).read_bytes()).decode()
    except OSError as error:
        raise UserError(
            f"cannot read the picture {image}: {error.strerror or error}; the report needs it, "
            "so write the curves first"
        ) from error


def _answer(summary: Mapping[str, Any]) -> str:
    """Return which site breaks first; empty before the walk has ended."""
    if not summary["complete"]:
        return ""
    return breaks_first(ranking_chart.ranking(summary), summary["measure"])


def _nodes(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes of the hardware; none if the summary lacks them."""
    return summary["hardware"]["nodes"] if summary["hardware"] else []


def site_row(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a site in the tables, as text."""
    shown = entry["detectable"]
    return {
        "site": name,
        "software": _midpoint(entry, Side.SOFTWARE),
        "golden": _midpoint(entry, Side.GOLDEN),
        "rtl": _midpoint(entry, Side.RTL),
        "hardware_rng": _midpoint(entry, Side.SOFTWARE_HARDWARE_RNG),
        "ratio": _ratio(entry["ratio_golden"]),
        "ratio_rtl": "one device" if one_device(entry, Side.RTL) else _ratio(entry["ratio_rtl"]),
        "ratio_hardware_rng": _ratio(entry["ratio_crn"]),
        **{name: _figure(entry.get(name)) for name in ("std", "range")},
        "relative": midpoint_text(entry.get("relative")),
        "snr": estimate_text(entry.get("snr")),
        "bits": estimate_text(entry.get("effective_bits")),
        "draws": entry["draws"],
        "p_agree": _p(entry["p_agree"], entry["p_agree_holm"]),
        "p_disagree": _p(entry["p_disagree"], entry["p_disagree_holm"]),
        "shown": shown and [f"{100 * v:.1f} %" for v in shown.values()],
        "rtl_images": entry["rtl_images"],
        "part": entry["rtl_scope"] == SITE,
        "mismatches": entry["bit_mismatches"],
        "bounds": _bounds(entry),
        "backed": entry["rtl_images"] > 0 and entry["bit_mismatches"] == 0,
        "verdict": entry["verdict"] or NOT_JUDGED,
        "reason": entry["reason"],
        "need": need_sentence(entry),
    }


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _midpoint(entry: Mapping[str, Any], side: Side) -> str:
    """Return μ of a side as text, with the model if it is no plain logistic, and for one device."""
    text, method = midpoint_text(midpoint_of(entry, side)), method_of(entry, side)
    if midpoint_of(entry, side) is not None and method not in (None, "logistic"):
        text += f", {method}"
    return f"{text}, of one device" if one_device(entry, side) else text


def _bounds(entry: Mapping[str, Any]) -> str:
    """Return what share of runs and images can differ at most; empty if unknown."""
    runs, images = (entry.get(f"differing_{unit}_below") for unit in ("runs", "images"))
    if runs is None or images is None:
        return ""
    return f"at most {bound_text(runs)} of such runs, {bound_text(images)} of images (95 %)"


def _ratio(value: Any) -> str:
    return "–" if value is None else "{:.3f} [{:.3f}, {:.3f}]".format(*value)


def _p(alone: float | None, adjusted: float | None) -> str:
    """Return p-values with two digits, the adjusted one first."""
    if alone is None or adjusted is None:
        return "–"
    adjusted_text, alone_text = (f"{p:.2g}" if p >= 1e-4 else "< 0.0001" for p in (adjusted, alone))
    return f"{adjusted_text} ({alone_text})"


def _difference_rows(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every paired difference to software, by site, level and side."""
    rows = []
    for site, entry in summary["sites"].items():
        for side, found in entry["differences"].items():
            for one in found:
                values = {"site": site, "side": side, "hardware": one[side]}
                rows.append({**one, **values})
    return sorted(rows, key=lambda row: (row["site"], row["sigma"], row["side"]))


def _step_rows(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every step of `flow.walks.crosscheck.ablation`, by site."""
    sides = {name: (before.label, after.label) for name, before, after in STEPS}
    margin = f"{summary['margin'] * 100:g} %"
    rows = []
    for site, entry in summary["ablation"].items():
        for one in entry["steps"]:
            before, after = sides[one["step"]]
            moves = f"yes, beyond ± {margin}" if one["beyond"] else "yes" if one["moved"] else "no"
            values = {"site": site, "before": before, "after": after, "moves": moves}
            told = {name: midpoint_text(one[name]) for name in ("mu_before", "mu_after")}
            rows.append({**one, **values, **told, "ratio": _ratio(one["ratio"])})
    return rows


def _point_rows(curves: pd.DataFrame, measure: Measure) -> list[dict[str, Any]]:
    """Return the rows of the table of points, with what was measured under ``value``."""
    ordered = curves.sort_values(["site", "sigma", "seed", "side"], kind="stable")
    return [
        {str(key): value for key, value in row.items()}
        | {"value": row[measure]}
        | {"side": Side(row["side"]).label + IN_PART * (row.get("scope") == SITE)}
        for row in ordered.to_dict("records")
    ]
