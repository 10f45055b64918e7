"""Values of a finished walk, as its summary holds them."""

from collections.abc import Mapping
from typing import Any

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


def midpoint_text(mu: Any) -> str:
    """Write a midpoint of the summary: ``2.31 [2.2, 2.43]``, ``> 10``, or ``–`` for none."""
    if mu is None:
        return "–"
    if isinstance(mu, Mapping):
        return f"{'>' if mu['bound'] == 'above' else '<'} {mu['level']:.3g}"
    return f"{mu[0]:.3g} [{mu[1]:.3g}, {mu[2]:.3g}]"


def _value(entry: Mapping[str, Any], name: str, side: Side) -> Any:
    """Return a side's value from a site's entry; golden's was the hardware's in old summaries."""
    shorts = (side.short, "hw") if side is Side.GOLDEN else (side.short,)
    found = (entry.get(f"{name}_{short}") for short in shorts)
    return next((value for value in found if value is not None), None)


def midpoint_of(entry: Mapping[str, Any], side: Side) -> Any:
    """Return a side's μ from a site's entry of the summary, as stored; None if it has none."""
    return _value(entry, "mu", side)


def fit_of(entry: Mapping[str, Any], side: Side) -> tuple[float, float] | None:
    """Return μ and k of a side's fitted curve; None where μ is a bound, or there is no fit."""
    mu, k = midpoint_of(entry, side), _value(entry, "k", side)
    return (mu[0], k) if k is not None and mu is not None and not isinstance(mu, Mapping) else None


def clean_accuracy(summary: Mapping[str, Any], side: Side) -> float:
    """Return a side's accuracy without noise."""
    return float(summary["accuracy"][side.accuracy_key][0])


def one_device(entry: Mapping[str, Any], side: Side) -> bool:
    """Whether a side's μ is that of one device, so that its interval says nothing of others."""
    return (entry.get("devices") or {}).get(side.short) == 1
