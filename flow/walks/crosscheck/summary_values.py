"""Values of a finished walk, read from its summary."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from flow.statistics.curve_models import Method, Shape
from flow.statistics.estimate import Estimate
from flow.statistics.intervals import Float
from flow.walks.points.side import Side

_UNITS = {
    "real": "real, unit of the layer's output",
    "none": "relative, no unit",
    "std": "standard deviation of the site's values",
    "range": "largest value of the site",
    "map": "factor on the levels of the noise map",
    "lsb": "LSB of the layer's integer accumulator",
    "real or lsb": "real, unit of the layer's output; where that has a scale for each channel, LSB "
    "of its integer accumulator",
}


def sigma_unit(summary: Mapping[str, Any], site: str | None = None) -> str:
    """Return the unit of σ in words, at one site or at all of them."""
    everywhere = summary["unit"]
    unit = everywhere if site is None else summary["sites"][site].get("unit", everywhere)
    return _UNITS.get(unit, str(unit))


def midpoint_text(mu: Sequence[float | None] | None) -> str:
    """Write a midpoint of the summary: ``2.31 [2.2, 2.43]``, ``> 10``, or ``–`` for none."""
    return "–" if mu is None else str(Estimate(*mu))


def estimate_text(value: Sequence[float | None] | None, unit: str = "") -> str:
    """Write an estimate that may be negative: ``−4.1 [−4.5, −3.6] dB``, ``< 3.0 dB``, or ``–``."""
    if value is None:
        return "–"
    known = Estimate(*value)
    if known.value is None:
        return f"{'<' if known.low is None else '>'} {known.level:z.1f}{unit}"
    return "{:z.1f} [{:z.1f}, {:z.1f}]".format(*known) + unit


def midpoint_of(entry: Mapping[str, Any], side: Side) -> Estimate | None:
    """Return a side's μ from a site's entry of the summary; None if it has none."""
    mu = entry.get(f"mu_{side.short}")
    return None if mu is None else Estimate(*mu)


def method_of(entry: Mapping[str, Any], side: Side) -> Method | None:
    """Return the model that gave a side's μ; the logistic if a summary does not name it."""
    method: Method | None = entry.get(f"method_{side.short}", "logistic")
    return method


def fit_of(entry: Mapping[str, Any], side: Side) -> Shape | None:
    """Return a side's fitted curve; None where μ is a bound, or there is no fit."""
    mu, method = midpoint_of(entry, side), method_of(entry, side)
    k, floor = (entry.get(f"{key}_{side.short}") for key in ("k", "floor"))
    if mu is None or mu.value is None or method is None or (k is None and method != "monotone"):
        return None
    return Shape(method, mu.value, k, floor)


def line_of(
    fit: Shape, table: pd.DataFrame, clean: float, guess: float, count: int
) -> tuple[Float, Float]:
    """Return σ and accuracy along a fitted curve, from its first point to its last.

    Args:
        fit: the curve, from `fit_of`.
        table: its points, from `flow.walks.points.curves.side_table`.
        clean: accuracy without noise.
        guess: accuracy of guessing.
        count: number of places.
    """
    levels, accuracy, trials = (
        table[name].to_numpy(dtype=np.float64) for name in ("sigma", "accuracy", "trials")
    )
    sigma = np.geomspace(levels[0], levels[-1], count)
    return sigma, fit.accuracy(sigma, clean, guess, (levels, accuracy, trials))


def guides(summary: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the values between which curves fall: without noise, if known, and of guessing."""
    known = [Side.SOFTWARE] if Side.SOFTWARE.clean_key in summary["clean"] else []
    clean = [("no noise", clean_value(summary, side)) for side in known]
    return [*clean, ("guessing", summary["guessing"])]


def clean_value(summary: Mapping[str, Any], side: Side) -> float:
    """Return a side's accuracy, or agreement, without noise."""
    return float(summary["clean"][side.clean_key][0])


def one_device(entry: Mapping[str, Any], side: Side) -> bool:
    """Whether a side's μ is that of one device, whose interval does not cover others."""
    return (entry.get("devices") or {}).get(side.short) == 1
