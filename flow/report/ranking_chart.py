"""Bar chart of the noise that sites tolerate, the most sensitive first, in several units.

This module computes the layout; ``templates/ranking.html.j2`` draws it. The bars of a unit share a
logarithmic scale. Only the standard deviation of a site's own values, and the signal-to-noise ratio
in decibels, compare sites with each other; noise is applied in the other units.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flow.statistics.estimate import Estimate
from flow.walks.crosscheck.summary_values import estimate_text, midpoint_of
from flow.walks.points.side import Side
from flow.walks.summaries.ranking import Ranked, effective_bits, ranked, snr

WIDTH, NAME, TEXT, ROW = 720, 150, 170, 26
"""Width of the chart, of the names and of the figures on the left; height of a row."""
START = NAME + TEXT
"""Where bars begin: behind the figures, which a narrow screen then shows without scrolling."""
_ROOM = 1.15
"""Factor between the outermost ends and the edges of the scale."""


@dataclass(frozen=True)
class Bar:
    """One site in one unit."""

    site: str
    text: str
    end: float
    """Where the bar ends: at the value or its bound."""
    low: float | None
    high: float | None
    """Ends of the interval; None beyond a bound."""
    bound: bool


@dataclass(frozen=True)
class Unit:
    """The chart in one unit."""

    name: str
    caption: str
    bars: Sequence[Bar]

    @property
    def height(self) -> int:
        """Height of the chart."""
        return ROW * len(self.bars)


def ranking(summary: Mapping[str, Any]) -> list[Ranked]:
    """Return the sites of a summary, the most sensitive first."""
    entries = summary["sites"].items()
    found = ((site, e["mu_hw"] or e["mu_sw"], e.get("noise_share")) for site, e in entries)
    return ranked((site, mu and Estimate(*mu), share) for site, mu, share in found)


def chart(summary: Mapping[str, Any]) -> list[Unit]:
    """Return the chart in each unit that the sites have; none if fewer than two have a midpoint."""
    order = ranking(summary)
    if sum(one.relative.value is not None for one in order) < 2:
        return []
    sites = summary["sites"]
    shares = [(one.site, one.relative) for one in order]
    units = [
        _unit(
            "relative to the values",
            "Noise at the midpoint, divided by the standard deviation of the site's own values",
            shares, str,
        ),
        _unit(
            "SNR in dB",
            "Signal-to-noise ratio at the midpoint: the lower, the more noise the site tolerates",
            shares, lambda share: estimate_text(snr(share), " dB"),
        ),
        _unit(
            "effective bits",
            "Effective bits at the midpoint, (SNR − 1.76) / 6.02: the fewer, the more noise the "
            "site tolerates",
            shares, lambda share: estimate_text(effective_bits(snr(share)), " bits"),
        ),
    ]  # fmt: skip
    mu = [(one.site, _hardware(sites[one.site])) for one in order]
    if all(sites[site]["unit"] == "none" for site, _ in mu):
        units.append(_unit("σ as a factor", "Midpoint σ of multiplicative noise", mu, str))
    real = [(site, value.times(_in_layers_unit(sites[site]))) for site, value in mu]
    real = [(site, value) for site, value in real if value.level]
    if real:
        units.append(_unit("real", "Midpoint σ in the unit of the layer's output", real, str))
        lsb = [(site, value.times(1 / sites[site]["scale"])) for site, value in real]
        units.append(_unit("LSB", "Midpoint σ in LSB of the layer's integers", lsb, str))
    return units


def _hardware(entry: Mapping[str, Any]) -> Estimate:
    mu = entry["mu_hw"]
    found = Estimate(*mu) if mu else midpoint_of(entry, Side.SOFTWARE)
    assert found is not None
    return found


def _in_layers_unit(entry: Mapping[str, Any]) -> float:
    """Return the size of the unit of σ in that of the layer's output; 0 if σ has another."""
    sizes = {"real": 1.0, "std": entry.get("std"), "range": entry.get("range")}
    return sizes.get(entry["unit"]) or 0.0


def _unit(
    name: str,
    caption: str,
    values: Sequence[tuple[str, Estimate]],
    text: Callable[[Estimate], str],
) -> Unit:
    ends = [part for _, value in values for part in value if part]
    low, high = math.log(min(ends) / _ROOM), math.log(max(ends) * _ROOM)

    def at(value: float | None) -> float | None:
        if not value:
            return None
        return round(START + (WIDTH - START) * (math.log(value) - low) / (high - low), 1)

    bars = [
        Bar(site, text(value), at(value.level) or START, at(value.low), at(value.high),
            value.value is None)
        for site, value in values
    ]  # fmt: skip
    return Unit(name, caption, bars)
