"""The report of a walk: one HTML file that needs nothing beside it."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from flow.curves import midpoint_of, midpoint_text, sigma_unit
from flow.errors import UserError
from flow.store import replacing

SIDES = {
    "software": "software (Brevitas)",
    "golden": "golden (integer model)",
    "rtl": "RTL (simulated)",
    "software-hwdraws": "software, hardware's draws",
}
"""What the report calls each side, always in full."""

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
    text = _environment().get_template("report.html.j2").render(
        s=summary,
        verdict=verdict_sentence(summary),
        definition=definition(summary.get("margin", 0.1)),
        unit=sigma_unit(summary),
        image=base64.b64encode(image).decode(),
        rows=[_site_row(name, entry) for name, entry in summary["sites"].items()],
        hwdraws=any(entry.get("mu_crn") is not None for entry in summary["sites"].values()),
        clean=[
            (SIDES[side], summary["images"].get(side), summary["accuracy"].get(key))
            for key, side in _CLEAN.items()
        ],
        points=_point_rows(curves),
    )  # fmt: skip
    with replacing(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def definition(margin: float = 0.1) -> str:
    """Say what the three verdicts mean; `margin` is that of `flow.crosscheck`."""
    return (
        f"Agree: the 95 % interval of μ_golden/μ_software lies within ± {margin * 100:g} %; "
        "disagree: it lies wholly outside; undecided: neither. A site also disagrees if the "
        "simulated RTL differs from golden in any bit, and stays undecided if no RTL image was "
        "compared there."
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
    images = summary["rtl"]["images"]
    wrong = summary["rtl"]["bit_mismatches"]
    if not images:
        return "no RTL was simulated, so this says nothing about the hardware"
    if wrong is None:
        return f"the simulated RTL was not compared with golden on its {images:,} images"
    if wrong:
        return f"the simulated RTL differs from golden on {wrong:,} of {images:,} simulated images"
    return f"the simulated RTL equals golden bit for bit on all {images:,} simulated images"


def _environment() -> jinja2.Environment:
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
    ratio = entry.get("ratio_golden") or entry.get("ratio")
    return {
        "site": name,
        "software": midpoint_text(midpoint_of(entry, "software")),
        "golden": midpoint_text(midpoint_of(entry, "golden")),
        "ratio": "–" if ratio is None else "{:.3f} [{:.3f}, {:.3f}]".format(*ratio),
        "rtl": midpoint_text(midpoint_of(entry, "rtl")),
        "hwdraws": midpoint_text(entry.get("mu_crn")),
        "rtl_images": entry["rtl_images"],
        "mismatches": entry["bit_mismatches"],
        "backed": entry["rtl_images"] > 0 and entry["bit_mismatches"] == 0,
        "verdict": entry["verdict"],
        "reason": entry.get("reason", ""),
    }


def _point_rows(curves: pd.DataFrame) -> list[dict[str, Any]]:
    ordered = curves.sort_values(["site", "sigma", "seed", "side"], kind="stable")
    return [
        {str(key): value for key, value in row.items()} | {"side": SIDES[row["side"]]}
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
