"""Values of a finished walk, as its summary holds them."""

from collections.abc import Mapping, Sequence
from typing import Any

from flow.statistics.estimate import Estimate
from flow.walks.points.side import Side

_UNITS = {
    "real": "real, unit of the layer's output",
    "none": "relative, no unit",
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


def midpoint_of(entry: Mapping[str, Any], side: Side) -> Estimate | None:
    """Return a side's μ from a site's entry of the summary; None if it has none."""
    mu = entry.get(f"mu_{side.short}")
    return None if mu is None else Estimate(*mu)


def fit_of(entry: Mapping[str, Any], side: Side) -> tuple[float, float] | None:
    """Return μ and k of a side's fitted curve; None where μ is a bound, or there is no fit."""
    mu, k = midpoint_of(entry, side), entry.get(f"k_{side.short}")
    return None if mu is None or mu.value is None or k is None else (mu.value, k)


def clean_accuracy(summary: Mapping[str, Any], side: Side) -> float:
    """Return a side's accuracy without noise."""
    return float(summary["accuracy"][side.accuracy_key][0])


def one_device(entry: Mapping[str, Any], side: Side) -> bool:
    """Whether a side's μ is that of one device, so that its interval says nothing of others."""
    return (entry.get("devices") or {}).get(side.short) == 1
