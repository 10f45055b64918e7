"""Page of the cheapest plan: noise, bits or executions, other rules, and the proof in hardware."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flow.files import replacing
from flow.report.html import environment
from flow.report.plots import budget

SEARCHED = {"sigma": "noise", "adc": "ADC bits", "executions": "executions"}
"""What was searched for, in words."""
MORE = {
    "sigma": "25 % more noise",
    "adc": "one bit less",
    "executions": "one execution less",
}
"""What the margin of a site is of."""


def searched(summary: Mapping[str, Any]) -> str:
    """Return what was searched for, in words."""
    kind = f"{summary['noise']} " if summary["noise"] else ""
    return kind + in_words(summary["varies"])


def in_words(varies: Sequence[str]) -> str:
    """Return what varies, in words."""
    return " and ".join(SEARCHED[knob] for knob in varies)


def more(summary: Mapping[str, Any]) -> str:
    """Return what the margins are of, in words."""
    return " or ".join(MORE[knob] for knob in summary["varies"])


def write(folder: Path, summary: Mapping[str, Any]) -> Path:
    """Write ``budget.html`` and ``budget.png``.

    Args:
        folder: folder of the results.
        summary: content of ``budget.json``.

    Returns:
        The page.

    Raises:
        UserError: a file cannot be written.
    """
    picture, page = folder / "budget.png", folder / "budget.html"
    budget.write(picture, summary, searched(summary))
    text = environment().get_template("budget.html.j2").render(
        s=summary,
        image=base64.b64encode(picture.read_bytes()).decode(),
        answers=answers(summary),
        searched=searched(summary),
        more=more(summary),
    )  # fmt: skip
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page


def answers(summary: Mapping[str, Any]) -> tuple[str, str]:
    """Return the result in two sentences: what the plan costs and saves, and its proof."""
    usual, proof, target = summary["usual"], summary["proof"], 100 * summary["target"]
    rule = summary["rules"][usual]
    exact = summary["varies"] == ["sigma"]
    lost = f"At a loss of {target:.3g} percentage points" if exact else "At the same loss"
    low, high = rule["ratio"][1:]
    saves = "costs as much, within the interval" if low <= 1 <= high else (
        "costs more" if low > 1 else "costs less"
    )  # fmt: skip
    equal = (
        f"RTL equals the golden model on all {proof['rtl_runs']:,} simulated images"
        if not proof["differing"]
        else f"RTL differs from the golden model on {proof['differing']} of "
        f"{proof['rtl_runs']:,} simulated images"
    )
    return (
        f"{lost}, the {usual} in every layer {saves}: "
        f"{_estimate(rule['ratio'])} times the cost of the plan, and "
        f"{_estimate(rule['ratio_changed'])} times at the same number of changed predictions. The "
        f"plan lost {_points(summary['loss'])} points on images that were not used to choose it.",
        f"{equal} (verdict: {proof['verdict']}){_tightest(summary)}.",
    )


def _tightest(summary: Mapping[str, Any]) -> str:
    """Return what the tightest site's margin is, or nothing if no site can have more noise."""
    name = summary["tightest"]
    if name is None:
        return ""
    site = summary["sites"][name]
    return (
        f"; {name} is tightest: {MORE[site['varies']]} there loses "
        f"{_points(site['margin']['measured'])} points more, predicted "
        f"{100 * site['margin']['predicted']:.2f}"
    )


def _estimate(value: list[float]) -> str:
    return "{:.3g} [{:.3g}, {:.3g}]".format(*value)


def _points(value: list[float]) -> str:
    return "{:.2f} [{:.2f}, {:.2f}]".format(*(100 * part for part in value))
