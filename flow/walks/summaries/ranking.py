"""Which layer breaks first: sites ranked by the noise that they tolerate, relative to their values.

σ in the unit of a layer's output cannot be compared between layers. Sites are therefore compared by
the standard deviation of the noise at the midpoint, divided by the standard deviation of the site's
values without noise. The signal-to-noise ratio at the midpoint is the same in decibels.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from flow.data.reference import Measure, above_guessing
from flow.noise.site import JOINT
from flow.statistics.estimate import Estimate


@dataclass(frozen=True)
class Ranked:
    """Noise that a site tolerates."""

    site: str
    """Name of the site."""
    relative: Estimate
    """Noise at the midpoint, as a share of the standard deviation of the site's values."""

    @property
    def snr(self) -> float:
        """Signal-to-noise ratio at the midpoint, or at its bound, dB."""
        return snr(self.relative).level


def relative_to_values(mu: Estimate | None, share: float | None) -> Estimate | None:
    """Return noise at the midpoint as a share of the standard deviation of the site's values.

    Args:
        mu: the midpoint or its bound.
        share: noise at σ = 1 as a share of that standard deviation.

    Returns:
        The share; None if either is unknown, or the midpoint is bounded by 0.
    """
    return mu.times(share) if mu is not None and share and mu.level > 0 else None


def snr(relative: Estimate) -> Estimate:
    """Return the signal-to-noise ratio, 20 log10(std / noise) dB; its ends are those in turn."""
    low, value, high = (
        # no negative zero
        None if part is None else 0.0 - 20 * math.log10(part)
        for part in (relative.high, relative.value, relative.low)
    )
    return Estimate(value, low, high)


def effective_bits(ratio: Estimate) -> Estimate:
    """Return the effective bits of a signal-to-noise ratio in dB, (SNR − 1.76) / 6.02."""
    return Estimate(*(None if part is None else (part - 1.76) / 6.02 for part in ratio))


def ranked(sites: Iterable[tuple[str, Estimate | None, float | None]]) -> list[Ranked]:
    """Return the sites with a midpoint or a bound, the most sensitive first.

    Args:
        sites: of each site its name, its midpoint, and the noise at σ = 1 as a share of the
            standard deviation of its values; a site without these is left out.
    """
    found = []
    for site, mu, share in sites:
        relative = relative_to_values(mu, share)
        # of several sites none breaks first
        if relative is not None and site not in JOINT:
            found.append(Ranked(site, relative))
    return sorted(found, key=lambda one: one.relative.level)


def breaks_first(order: list[Ranked], measure: Measure) -> str:
    """Return sentences: which site breaks first, and how much more the most robust one tolerates.

    Args:
        order: the sites, the most sensitive first.
        measure: what is lost, accuracy or agreement.

    A site with only a lower bound may break earlier than the first one; a further sentence names
    it. There are no sentences if fewer than two sites have a midpoint.
    """
    known = [one for one in order if one.relative.value is not None]
    if len(known) < 2:
        return ""
    first = next(one for one in order if one.relative.value is not None or _is_below(one))
    last = next(one for one in reversed(order) if not _is_below(one))
    earlier = [one.site for one in order[: order.index(first)]]
    alike = [one.site for one in known if one is not first and _overlap(one, first)]
    return " ".join(
        [
            _first(first, measure, alone=not earlier),
            *_others(earlier, alike),
            _last(last, first),
        ]
    )


def _first(first: Ranked, measure: Measure, alone: bool) -> str:
    value = first.relative
    noise, ratio = (
        (f"below {value.high:.3g}", f"above {first.snr:.1f} dB")
        if _is_below(first)
        else (f"of {value}", f"{first.snr:.1f} dB")
    )
    of = "" if alone else " of the sites with a midpoint"
    return (
        f"{first.site} breaks first{of}: half of the {above_guessing(measure)} is lost at noise "
        f"{noise} standard deviations of its values ({ratio})."
    )


def _others(earlier: list[str], alike: list[str]) -> list[str]:
    said = []
    if earlier:
        whose = "its midpoint" if len(earlier) == 1 else "their midpoints"
        said.append(
            f"{' and '.join(earlier)} may break earlier: only a lower bound on {whose} is known."
        )
    if alike:
        said.append(f"{' and '.join(alike)} cannot be distinguished from it.")
    return said


def _last(last: Ranked, first: Ranked) -> str:
    bound = "more than " if last.relative.value is None or first.relative.value is None else ""
    times = last.relative.level / first.relative.level
    return f"The most robust site, {last.site}, tolerates {bound}{times:.2g} times as much."


def _is_below(one: Ranked) -> bool:
    """Whether only an upper bound is known."""
    return one.relative.value is None and one.relative.low is None


def _overlap(one: Ranked, other: Ranked) -> bool:
    """Whether the intervals of two midpoints overlap; bounds overlap with nothing."""
    ends = (*one.relative[1:], *other.relative[1:])
    if None in ends:
        return False
    low, high, other_low, other_high = (float(end or 0) for end in ends)
    return low <= other_high and other_low <= high
