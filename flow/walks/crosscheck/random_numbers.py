"""The hardware's random numbers against torch's, over all sites of a walk together.

Where the verdict on each site compares golden with software on the same random numbers, a fault of
these numbers is in both and cancels. It moves the curve of software with the hardware's numbers
from that with torch's, at every site where it acts: μ of the one over μ of the other, averaged over
the sites (`flow.statistics.ratio.pooled_ratio`), takes part in the walk's verdict as one site more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flow.statistics.devices import FEWEST
from flow.statistics.ratio import LogRatio, Pooled, pooled_ratio
from flow.statistics.verdict import Judgement, RequiredSamples, need
from flow.walks.crosscheck.figures import SiteFigures
from flow.walks.points.side import Side

NAME = "random numbers"
"""Name among the claims; no site can have it."""


@dataclass(frozen=True)
class RandomNumbers:
    """Comparison of the hardware's random numbers with torch's."""

    pooled: Pooled | None
    """The common ratio of the sites; None if no site has one."""
    judgement: Judgement
    """Its statistical judgement."""
    margin: float
    need: RequiredSamples | None
    """Samples that would decide it; None if it is decided, or if none would."""
    images: int
    draws: int
    """Fewest noise draws per point at a site."""

    @property
    def ratio(self) -> LogRatio | None:
        """The common ratio."""
        return self.pooled and self.pooled.ratio

    @property
    def sites(self) -> tuple[str, ...]:
        """Sites that contribute to the mean."""
        return self.pooled.sites if self.pooled else ()

    @property
    def reason(self) -> str:
        """Reason for the verdict, in words."""
        if self.pooled is None:
            return (
                "no site has a μ with both random numbers, or images share their noise there and "
                f"have fewer than {FEWEST} devices a side"
            )
        count = len(self.sites)
        text = (
            f"μ of software with the hardware's random numbers / with torch's, over {count} "
            f"site{'s' * (count > 1)}: {self.pooled.ratio}"
        )
        within = f"± {self.margin * 100:g} %"
        p = {"agree": self.judgement.p_agree, "disagree": self.judgement.p_disagree_holm}
        found = self.judgement.verdict
        return (
            text
            + {
                "agree": f": within {within}",
                "disagree": f": beyond {within}",
                "undecided": f": neither shown to lie within {within} nor beyond",
            }[found]
            + (f" (p = {p[found]:.2g})" if found in p else "")
        )

    def to_json(self) -> dict[str, Any]:
        """Return the summary's ``random_numbers``."""
        wanted = self.need
        return {
            "ratio": self.ratio and self.ratio.to_json(),
            "sites": list(self.sites),
            **self.judgement.to_json(),
            "need": wanted
            and {
                "images": wanted.images and round(wanted.images * self.images),
                "draws": wanted.draws and int(np.ceil(wanted.draws * self.draws)),
            },
            "verdict": self.judgement.verdict,
            "reason": self.reason,
        }


def compare(
    figures: Sequence[SiteFigures], guess: float, resamples: int, seed: int
) -> Pooled | None:
    """Return the common ratio of sites: software with the hardware's random numbers to torch's.

    Args:
        figures: of all sites.
        guess: accuracy of guessing.
        resamples: number of bootstrap resamples.
        seed: seed of the resampling.

    Returns:
        The ratio; None if no site has one with an interval.
    """
    pairs = {
        one.site: (one.curves[Side.SOFTWARE_HARDWARE_RNG], one.curves[Side.SOFTWARE])
        for one in figures
        if Side.SOFTWARE_HARDWARE_RNG in one.curves
    }
    return pooled_ratio(pairs, guess, resamples=resamples, seed=seed)


def judged(
    pooled: Pooled | None,
    judgement: Judgement,
    margin: float,
    levels: tuple[float, float],
    figures: Sequence[SiteFigures],
) -> RandomNumbers:
    """Return the comparison with its verdict, and what would decide it if it is undecided.

    Args:
        pooled: from `compare`.
        judgement: its statistical judgement.
        margin: ratios within ± margin of 1 count as equal.
        levels: levels at which the next look would find agreement and disagreement.
        figures: of all sites.
    """
    wanted = None
    if pooled is not None and judgement.verdict == "undecided":
        wanted = need(pooled.ratio, *levels, margin, None)
    measured = [one for one in figures if pooled is None or one.site in pooled.sites]
    images, draws = (min(getattr(one, name) for one in measured) for name in ("images", "draws"))
    return RandomNumbers(pooled, judgement, margin, wanted, images, draws)
