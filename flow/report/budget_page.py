"""Page of the cheapest noise: the plan, what other rules cost, and the proof in hardware."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flow.files import replacing
from flow.report.html import environment
from flow.report.plots import budget


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
    budget.write(picture, summary)
    text = environment().get_template("budget.html.j2").render(
        s=summary,
        image=base64.b64encode(picture.read_bytes()).decode(),
        answers=answers(summary),
    )  # fmt: skip
    with replacing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page


def answers(summary: Mapping[str, Any]) -> tuple[str, str]:
    """Return the result in two sentences: what the plan costs and saves, and its proof."""
    same, proof, target = summary["rules"]["same SNR"], summary["proof"], 100 * summary["target"]
    low, high = same["ratio"][1:]
    saves = "costs as much, as far as these images tell" if low <= 1 <= high else (
        "costs more" if low > 1 else "costs less"
    )  # fmt: skip
    tightest = summary["sites"][summary["tightest"]]["margin"]
    equal = (
        f"RTL equals the golden model on all {proof['rtl_runs']:,} simulated images"
        if not proof["differing"]
        else f"RTL differs from the golden model on {proof['differing']} of "
        f"{proof['rtl_runs']:,} simulated images"
    )
    return (
        f"At {target:.3g} percentage points lost, the same SNR in every layer {saves}: "
        f"{_estimate(same['ratio'])} times the cost of the plan, and "
        f"{_estimate(same['ratio_changed'])} times at as many changed predictions; the plan lost "
        f"{_points(summary['loss'])} points on images that it was not chosen by.",
        f"{equal} (verdict: {proof['verdict']}); {summary['tightest']} is tightest: 25 % more "
        f"noise there loses {_points(tightest['measured'])} points more, predicted "
        f"{100 * tightest['predicted']:.2f}.",
    )


def _estimate(value: list[float]) -> str:
    return "{:.3g} [{:.3g}, {:.3g}]".format(*value)


def _points(value: list[float]) -> str:
    return "{:.2f} [{:.2f}, {:.2f}]".format(*(100 * part for part in value))
