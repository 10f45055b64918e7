"""Which layer breaks first: sites ranked by the noise that each bears, relative to its values.

σ in the unit of a layer's output says nothing across layers. What they bear is compared as a share
of their own values: the standard deviation of the noise at the midpoint, divided by the standard
deviation of the site's values without noise. The signal-to-noise ratio at the midpoint is the same
in decibels.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from flow.statistics.estimate import Estimate


@dataclass(frozen=True)
class Ranked:
    """What a site bears."""

    site: str
    """Name of the site."""
    relative: Estimate
    """Noise at the midpoint, as a share of the standard deviation of the site's values."""

    @property
    def snr(self) -> float:
        """Signal-to-noise ratio at the midpoint, or at its bound, dB."""
        return -20 * math.log10(self.relative.level)


def ranked(sites: Iterable[tuple[str, Estimate | None, float | None]]) -> list[Ranked]:
    """Return the sites with a midpoint or a bound, the most sensitive first.

    Args:
        sites: of each site its name, its midpoint, and the noise at σ = 1 as a share of the
            standard deviation of its values; a site without these is left out.
    """
    found = []
    for site, mu, share in sites:
        if mu is not None and share and mu.level > 0:
            parts = (None if part is None else part * share for part in mu)
            found.append(Ranked(site, Estimate(*parts)))
    return sorted(found, key=lambda one: one.relative.level)


def breaks_first(order: list[Ranked]) -> str:
    """Return two sentences: which site breaks first, and how much more the most robust bears.

    They are empty if fewer than two sites have a midpoint.
    """
    known = [one for one in order if one.relative.value is not None]
    if len(known) < 2:
        return ""
    first, last = order[0], order[-1]
    level = first.relative
    said = (
        f"{first.site} breaks first: half of its accuracy above guessing is lost at noise of "
        f"{_number(level)} of the standard deviation of its values ({first.snr:.1f} dB)."
    )
    alike = [one.site for one in known[1:] if _overlap(one.relative, level)]
    if alike:
        said += f" {' and '.join(alike)} cannot be told apart from it."
    times = last.relative.level / level.level
    bound = "more than " if last.relative.value is None else ""
    return f"{said} The most robust site, {last.site}, bears {bound}{times:.2g} times as much."


def _number(value: Estimate) -> str:
    return str(value) if value.value is not None else f"at the level {value}"


def _overlap(one: Estimate, other: Estimate) -> bool:
    """Whether the intervals of two estimates overlap; bounds overlap with nothing."""
    ends = (one.low, one.high, other.low, other.high)
    if None in ends:
        return False
    low, high, other_low, other_high = (float(end or 0) for end in ends)
    return low <= other_high and other_low <= high
