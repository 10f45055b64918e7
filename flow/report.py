"""The report of a walk: one HTML file that needs nothing beside it."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from flow.ablation import STEPS
from flow.curves import midpoint_of, midpoint_text, one_device, sigma_unit
from flow.errors import UserError
from flow.store import FULL, SITE, replacing
from flow.verdict import LEVEL, MARGIN, MOST_TIMES

SIDES = {
    "software": "software (Brevitas)",
    "golden": "golden (integer model, not simulated)",
    "rtl": "RTL (simulated)",
    "software-hwdraws": "software (Brevitas), hardware's draws",
    "integer": "integer model, float noise",
    "integer-hwdraws": "integer model, float noise, hardware's draws",
}
"""What the report calls each side, always in full."""

IN_PART = ", from the site on"
"""What follows the name of RTL where only a part of the network was simulated."""

_CLEAN = {"brevitas": "software", "golden": "golden", "rtl": "rtl"}


def write_report(
    path: Path, summary: Mapping[str, Any], curves: pd.DataFrame, picture: Path
) -> None:
    """Write ``report.html``, whole or not at all.

    Args:
        path: where to.
        summary: what ``summary.json`` holds.
        curves: `flow.store.curve_table`.
        picture: PNG of `flow.curves.write_curves`; its content goes into the file.

    Raises:
        UserError: the picture cannot be read, or the file not written.
    """
    try:
        image = Path(picture).read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read the picture {picture}: {error.strerror or error}; the report needs it, "
            "so write the curves first"
        ) from error
    text = environment().get_template("report.html.j2").render(
        s=summary,
        verdict=verdict_sentence(summary),
        definition=definition(summary.get("margin", 0.1), summary.get("level", LEVEL)),
        power=power_sentence(summary),
        further=further_sentence(summary),
        scope=scope_sentence(summary),
        differences=_difference_rows(summary),
        steps=_step_rows(summary),
        sentences=[(s, entry["sentence"]) for s, entry in summary.get("ablation", {}).items()],
        unit=sigma_unit(summary),
        image=base64.b64encode(image).decode(),
        rows=[_site_row(name, entry) for name, entry in summary["sites"].items()],
        hwdraws=any(entry.get("mu_crn") is not None for entry in summary["sites"].values()),
        sides=SIDES,
        clean=[
            (SIDES[side], summary["images"].get(side), summary["accuracy"].get(key))
            for key, side in _CLEAN.items()
        ],
        points=_point_rows(curves),
    )  # fmt: skip
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def definition(margin: float = MARGIN, level: float = LEVEL) -> str:
    """Say what the three verdicts mean (`flow.verdict`)."""
    m, alpha = f"± {margin * 100:g} %", f"{level * 100:g} %"
    return (
        f"Agree: μ of golden is shown to lie within {m} of μ of software; disagree: it is shown to "
        f"lie beyond; undecided: neither. At most {alpha} of walks whose sites are all within {m} "
        f"are said to disagree anywhere, and at most {alpha} of walks with a site beyond it are "
        "said to agree. A site also disagrees if the simulated RTL differs from golden in any "
        "bit, and stays undecided if no RTL image was compared there."
    )


def power_sentence(summary: Mapping[str, Any]) -> str:
    """Say which difference the images would have shown; empty if the summary does not tell."""
    if "power" not in summary:
        return ""
    found, often = summary.get("detectable"), f"{summary['power'] * 100:g} %"
    if found is None:
        return (
            "Some site has no ratio of μ, so no smallest difference can be named for the walk; "
            "those of the other sites are in the table."
        )
    return (
        "What the walk would have shown, at a level that holds for all sites together: with a "
        f"chance of {often} or more, at every site, that the μ of golden and software differ if "
        f"they do by {found['difference'] * 100:.1f} %, and a verdict of disagree if they do by "
        f"{found['disagreement'] * 100:.1f} %."
    )


def further_sentence(summary: Mapping[str, Any]) -> str:
    """Say what was measured beyond the walk's first points; empty if the summary does not tell."""
    spent = summary.get("further")
    if spent is None:
        return ""
    if not spent["draws"]:
        return f"No further noise draws were made: {spent['ended']}."
    places = ", ".join(f"{draws} more at {site}" for site, draws in spent["draws"].items())
    seconds = summary["seconds"].get("further")
    took = "" if seconds is None else f" in {seconds:.0f} s of this run"
    return (
        f"Further noise draws of each point in software and golden, where the first look left it "
        f"undecided: {places}{took}; the walk was judged {spent['looks']} times, which its error "
        f"allows for. They ended because {spent['ended']}."
    )


def scope_sentence(summary: Mapping[str, Any]) -> str:
    """Say what of the network was simulated in RTL."""
    if summary["rtl"]["scope"] == FULL:
        return "RTL scope: full, the whole network was simulated at every point."
    starts: dict[str, list[str]] = {}
    for site, entry in summary["sites"].items():
        starts.setdefault(entry["rtl_begins"], []).append(site)
    parts = "; ".join(f"{', '.join(sites)}: behind {begins}" for begins, sites in starts.items())
    return (
        "RTL scope: site, not the whole network. With noise RTL was simulated only from the place "
        f"named here to the end, fed with golden's clean stream ({parts}), and such a part is "
        "folded anew for speed, which changes no value. The whole network, folded as asked, was "
        f"simulated without noise alone, on the same {summary['images']['rtl']:,} images, with "
        "the streams of all taps compared; an image that differs there counts at every site."
    )


def verdict_sentence(summary: Mapping[str, Any]) -> str:
    """Say in one sentence what the walk found, and what simulated RTL has to do with it."""
    sites, verdict = summary["sites"], summary["verdict"]
    margin = summary.get("margin", 0.1) * 100
    if verdict == "agree":
        found = (
            f"at all {len(sites)} sites the midpoint noise level of the golden model lies within "
            f"± {margin:g} % of software's"
        )
    else:
        named = [name for name, entry in sites.items() if entry["verdict"] == verdict]
        agree = sum(entry["verdict"] == "agree" for entry in sites.values())
        place = ", ".join(named)
        if verdict == "undecided":
            found = f"the data do not settle {place or 'any site'}"
        elif named:
            found = f"the sides differ at {place}"
        else:  # no site does, so it was L0
            found = "the golden model differs from FINN's own execution"
        found += f"; {agree} of {len(sites)} sites agree"
    return f"{verdict.capitalize()}: {found}, and {_level_one(summary)}."


def _level_one(summary: Mapping[str, Any]) -> str:
    runs, images = summary["rtl"]["images"], summary["images"]["rtl"]
    wrong = summary["rtl"]["bit_mismatches"]
    if not runs:
        return "no RTL was simulated, so this says nothing about the hardware"
    places = f"({images:,} images, each at several points)"
    rtl = "simulated RTL"
    if summary["rtl"]["scope"] == SITE:
        rtl = "RTL, simulated with noise from the noisy site on alone,"
    if wrong is None:
        return f"the {rtl} was not compared with golden on its {runs:,} runs {places}"
    if wrong:
        return f"the {rtl} differs from golden in {wrong:,} of {runs:,} runs {places}"
    return f"the {rtl} equals golden bit for bit in all {runs:,} runs {places}"


def environment() -> jinja2.Environment:
    """Return what renders the templates of pages."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": _count, "percent": _percent, "plain": _plain}
    return environment


def _site_row(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    shown = entry.get("detectable")
    return {
        "site": name,
        "software": _midpoint(entry, "software", midpoint_of(entry, "software")),
        "golden": _midpoint(entry, "golden", midpoint_of(entry, "golden")),
        "rtl": _midpoint(entry, "rtl", midpoint_of(entry, "rtl")),
        "hwdraws": _midpoint(entry, "software-hwdraws", entry.get("mu_crn")),
        "ratio": _ratio(entry.get("ratio_golden") or entry.get("ratio")),
        "ratio_rtl": "one device" if one_device(entry, "rtl") else _ratio(entry.get("ratio_rtl")),
        "ratio_hwdraws": _ratio(entry.get("ratio_crn")),
        "draws": entry.get("draws"),
        "p_agree": _p(entry.get("p_agree"), entry.get("p_agree_holm")),
        "p_disagree": _p(entry.get("p_disagree"), entry.get("p_disagree_holm")),
        "shown": shown and [f"{100 * v:.1f} %" for v in shown.values()],
        "rtl_images": entry["rtl_images"],
        "part": entry.get("rtl_scope", FULL) == SITE,
        "mismatches": entry["bit_mismatches"],
        "backed": entry["rtl_images"] > 0 and entry["bit_mismatches"] == 0,
        "verdict": entry["verdict"],
        "reason": entry.get("reason", ""),
        "need": need_sentence(entry),
    }


def _midpoint(entry: Mapping[str, Any], side: str, mu: Any) -> str:
    """Write μ of a side, and that it is one device's where another would have another."""
    text = midpoint_text(mu)
    return f"{text}, of one device" if one_device(entry, side) else text


def need_sentence(entry: Mapping[str, Any]) -> str:
    """Say what would decide a site; empty where it is decided, or images would not do it."""
    need = entry.get("need")
    if not need:
        return ""
    if need["images"] is None and need["draws"] is not None:
        return f"{need['draws']:,} draws or more are needed; images alone would not decide."
    if need["images"] is None:
        return f"Not even {MOST_TIMES:g} times the images: the estimate lies at the margin."
    alone = "; draws alone would not decide"
    if need["draws"] is not None:
        alone = f", or {need['draws']:,} draws of the same images"
    return f"About {need['images']:,} images of {entry['draws']} draws would decide{alone}."


def _ratio(value: Any) -> str:
    return "–" if value is None else "{:.3f} [{:.3f}, {:.3f}]".format(*value)


def _p(alone: float | None, adjusted: float | None) -> str:
    """Write p-values with two digits, the adjusted one first."""
    if alone is None or adjusted is None:
        return "–"
    adjusted_text, alone_text = (f"{p:.2g}" if p >= 1e-4 else "< 0.0001" for p in (adjusted, alone))
    return f"{adjusted_text} ({alone_text})"


def _difference_rows(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every paired difference of accuracies, by site, level and side."""
    rows = []
    for site, entry in summary["sites"].items():
        for side, found in entry.get("differences", {}).items():
            for one in found:
                values = {"site": site, "side": side, "hardware": one[side]}
                rows.append({**one, **values})
    return sorted(rows, key=lambda row: (row["site"], row["sigma"], row["side"]))


def _step_rows(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every step of `flow.ablation`, by site."""
    sides = {name: (SIDES[before], SIDES[after]) for name, before, after in STEPS}
    margin = f"{summary.get('margin', MARGIN) * 100:g} %"
    rows = []
    for site, entry in summary.get("ablation", {}).items():
        for one in entry["steps"]:
            before, after = sides[one["step"]]
            moves = f"yes, beyond ± {margin}" if one["beyond"] else "yes" if one["moved"] else "no"
            values = {"site": site, "before": before, "after": after, "moves": moves}
            told = {name: midpoint_text(one[name]) for name in ("mu_before", "mu_after")}
            rows.append({**one, **values, **told, "ratio": _ratio(one["ratio"])})
    return rows


def _point_rows(curves: pd.DataFrame) -> list[dict[str, Any]]:
    ordered = curves.sort_values(["site", "sigma", "seed", "side"], kind="stable")
    return [
        {str(key): value for key, value in row.items()}
        | {"side": SIDES[row["side"]] + IN_PART * (row.get("scope") == SITE)}
        for row in ordered.to_dict("records")
    ]


def _count(value: int | None) -> str:
    return "not compared" if value is None else f"{value:,}"


def _percent(value: Any) -> str:
    """``[accuracy, lo, hi]`` as text, with the interval."""
    if value is None:
        return "–"
    return "{:.2f} % [{:.2f}, {:.2f}]".format(*(100 * part for part in value))


def _plain(value: Any) -> str:
    """Values of the summary that may be nested, on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
