"""Software curve against hardware curve, site by site (L2), and what may be said about hardware.

**Three sides** (see `flow.store.Point`). Golden points are cheap and many, RTL points dear and
few. A statement on the hardware rests on golden, and only at sites where RTL images were
simulated and every one of them, noisy or clean, was bit-equal to golden (L1).

**Per point**: software and golden saw the same images, so their difference is taken per image,
with the paired interval of Agresti and Min (Statistics in Medicine 2005): the Wald interval
after adding 1/2 to each of the four cells.

**Per site**: the ratio r = μ_golden / μ_software, with a percentile bootstrap over images; both
sides are refitted on the same resampled images. Their noise is independent.

**Verdict of a site**, with margin m (default 10 %) and the 95 % interval [lo, hi] of r:

- *agree*: 1 − m < lo and hi < 1 + m. Equivalence is shown: two one-sided tests (TOST), each at
  2.5 %, say that the ratio lies within the margin. A ratio within the margin may still be
  surely different from 1: then the difference is real, but does not matter.
- *disagree*: 1 + m < lo or hi < 1 − m. A difference beyond the margin is shown; where the true
  ratio lies within the margin, this happens at most once in 40 times. Or the RTL differs from
  golden.
- *undecided*: anything else: too few images, or no RTL image was simulated at the site.

With k = 2 and 9 levels, the interval is about ± 4 % wide at 2,000 images: equal sides agreed in
300 of 300 simulated walks, a shift of 15 % was called disagree in 184 of 300 (others undecided),
and in 60 of 60 at 10,000 images (± 1.6 %).
Where a side has a bound in place of μ, or a fall between two levels, there is no r, but a range of
ratios, from the ends of both sides' intervals. It can disagree too, and is undecided otherwise.

**Verdict of the run**: disagree if any site disagrees, agree if all agree, else undecided.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from flow.midpoint import RESAMPLES, Midpoint, Ratio, midpoint, midpoint_ratio
from flow.store import SIDES, Point, curve_of

Verdict = Literal["agree", "disagree", "undecided"]
MARGIN = 0.10
"""Ratios of μ within ± 10 % of 1 count as equal."""

_Z95 = float(ndtri(0.975))


@dataclass(frozen=True)
class PointDifference:
    """Accuracy of golden minus that of software at one point, paired by image."""

    site: str
    sigma: float
    seed: int
    images: int
    software: float
    golden: float
    difference: float
    lo: float
    hi: float


@dataclass(frozen=True)
class SiteCheck:
    """What is known about one site."""

    site: str
    software: Midpoint
    golden: Midpoint
    rtl: Midpoint | None
    crn: Midpoint | None
    """Software with the hardware's Gaussian draws."""
    ratio: Ratio | None
    """μ_golden / μ_software with its 95 % interval; None if either is a bound or a step."""
    ratio_crn: Ratio | None
    """The same, with μ of software with the hardware's draws: what fixed point changes."""
    rtl_images: int
    """RTL images a point (the smallest, if points differ)."""
    rtl_runs: int
    """RTL images over all points of the site, each noisy image counted."""
    bit_mismatches: int | None
    """RTL images, of those or of the clean ones, that differ from golden; None: not compared."""
    differences: tuple[PointDifference, ...]
    verdict: Verdict
    reason: str

    @property
    def backed(self) -> bool:
        """Whether golden may speak for the hardware at this site (L1 held on RTL images)."""
        return self.rtl_runs > 0 and self.bit_mismatches == 0

    def to_json(self) -> dict[str, Any]:
        """Entry of ``sites`` in the summary; ``mu_hw`` and ``ratio`` are null unless `backed`.

        Golden's own figures are there in any case, as ``mu_golden`` and ``ratio_golden``; ``k_*``
        is the steepness of the fits, to draw them.
        """

        def mu(value: Midpoint | None) -> Any:
            return None if value is None else value.to_json()

        def ratio(value: Ratio | None) -> list[float] | None:
            return None if value is None else list(value)

        return {
            "mu_sw": mu(self.software),
            "mu_hw": mu(self.golden) if self.backed else None,
            "mu_golden": mu(self.golden),
            "mu_rtl": mu(self.rtl),
            "mu_crn": mu(self.crn),
            "k_sw": self.software.k,
            "k_hw": self.golden.k,
            "k_rtl": self.rtl.k if self.rtl else None,
            "ratio": ratio(self.ratio) if self.backed else None,
            "ratio_golden": ratio(self.ratio),
            "ratio_crn": ratio(self.ratio_crn),
            "rtl_images": self.rtl_images,
            "rtl_runs": self.rtl_runs,
            "bit_mismatches": self.bit_mismatches,
            "verdict": self.verdict,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class CrossCheck:
    """The whole walk."""

    margin: float
    sites: tuple[SiteCheck, ...]
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """The summary's ``sites``, ``margin`` and ``verdict``."""
        return {
            "sites": {site.site: site.to_json() for site in self.sites},
            "margin": self.margin,
            "verdict": self.verdict,
        }


def paired_difference(software: NDArray[np.bool_], golden: NDArray[np.bool_]) -> Ratio:
    """Accuracy of golden minus software on the same images, with Agresti and Min's interval.

    Args:
        software: which images are right, bool [images].
        golden: the same of the other side.
    """
    n = len(software)
    gained = int((golden & ~software).sum())
    lost = int((software & ~golden).sum())
    centre = (gained - lost) / (n + 2)
    spread = np.sqrt(((gained + lost + 1) / (n + 2) - centre**2) / (n + 2))
    lo, hi = centre - _Z95 * spread, centre + _Z95 * spread
    return (gained - lost) / n, float(max(lo, -1.0)), float(min(hi, 1.0))


def judge(
    ratio: Ratio | None, software: Midpoint, golden: Midpoint, margin: float
) -> tuple[Verdict, str]:
    """Compare the sides' midpoints by the rules of the module docstring; RTL is not looked at."""
    if ratio is None:
        lo = golden.lo / software.hi if np.isfinite(software.hi) else 0.0
        hi = golden.hi / software.lo if software.lo > 0 else np.inf
        text = f"no ratio of μ, software is {software}, golden {golden}"
    else:
        r, lo, hi = ratio
        text = f"ratio of μ {r:.3f} [{lo:.3f}, {hi:.3f}]"
    if lo > 1 + margin or hi < 1 - margin:
        return "disagree", f"{text}: beyond ± {margin:.0%}"
    if ratio is not None and 1 - margin < lo and hi < 1 + margin:
        return "agree", f"{text}: within ± {margin:.0%}"
    return "undecided", text if ratio is None else f"{text}: straddles ± {margin:.0%}"


def cross_check(
    points: Sequence[Point],
    labels: NDArray[np.int64],
    classes: int,
    *,
    margin: float = MARGIN,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> CrossCheck:
    """Compare the sides at every site that both software and golden measured.

    Args:
        points: all points of a run, of one kind of noise, clean ones included.
        labels: int64 [images], same order as the predictions.
        classes: number of classes; guessing is right once in that many.
        margin: ratios within ± margin of 1 count as equal.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Returns:
        Sites in the order of their first point.

    Raises:
        ValueError: several kinds at once, no site at all, a site that only one of software and
            golden measured, or a side without its point without noise.
    """
    sites = list(dict.fromkeys(p.site for p in points if p.site))
    if not sites or len({p.kind for p in points if p.site}) > 1:
        raise ValueError("cross_check needs the points of one kind of noise, at a site or more")
    checks = tuple(
        _check(points, labels, site, 1.0 / classes, margin, resamples, seed) for site in sites
    )
    verdicts = {check.verdict for check in checks}
    overall: Verdict = "undecided"
    if "disagree" in verdicts:
        overall = "disagree"
    elif verdicts == {"agree"}:
        overall = "agree"
    return CrossCheck(margin, checks, overall)


def _check(
    points: Sequence[Point],
    labels: NDArray[np.int64],
    site: str,
    guess: float,
    margin: float,
    resamples: int,
    seed: int,
) -> SiteCheck:
    curves = {side: curve_of(points, labels, site, side) for side in SIDES}
    mu = {
        side: midpoint(curve, guess, resamples=resamples, seed=seed)
        for side, curve in curves.items()
        if curve is not None
    }
    if "software" not in mu or "golden" not in mu:
        raise ValueError(f"{site}: software and golden both need points, also without noise")

    def ratio(side: str) -> Ratio | None:
        if side not in mu or any(m.bound or m.step for m in (mu[side], mu["golden"])):
            return None
        images = min(c.images for name in (side, "golden") if (c := curves[name]) is not None)
        golden, other = (
            curve_of(points, labels, site, name, images=images) for name in ("golden", side)
        )
        assert golden is not None and other is not None  # they have a midpoint
        return midpoint_ratio(golden, other, guess, resamples=resamples, seed=seed)

    found = ratio("software")
    verdict, reason = judge(found, mu["software"], mu["golden"], margin)
    runs, fewest, mismatches = _level_one(points, site)
    if mismatches:
        verdict, reason = "disagree", f"RTL differs from golden on {mismatches} images"
    elif not runs:
        verdict, reason = "undecided", f"no RTL image was simulated here; golden alone: {reason}"
    elif mismatches is None:
        verdict, reason = "undecided", f"RTL was not compared bit for bit; golden alone: {reason}"
    return SiteCheck(
        site=site,
        software=mu["software"],
        golden=mu["golden"],
        rtl=mu.get("rtl"),
        crn=mu.get("software-hwdraws"),
        ratio=found,
        ratio_crn=ratio("software-hwdraws"),
        rtl_images=fewest,
        rtl_runs=runs,
        bit_mismatches=mismatches,
        differences=tuple(_differences(points, labels, site)),
        verdict=verdict,
        reason=reason,
    )


def _level_one(points: Sequence[Point], site: str) -> tuple[int, int, int | None]:
    """Count RTL images of a site: all, the fewest at a point, and those that differ from golden.

    The last includes the images without noise, and is None if a point was never compared.
    """

    def where(p: Point) -> tuple[str, float, int]:
        return p.site, p.sigma, p.seed if p.site else 0

    golden = {where(p): p.predictions for p in points if p.side == "golden"}
    rtl = [p for p in points if p.side == "rtl" and p.images and p.site in ("", site)]
    mismatches = 0
    for p in rtl:
        twin = golden.get(where(p), p.predictions)
        n = min(p.images, len(twin))
        mismatches += max(int((p.predictions[:n] != twin[:n]).sum()), p.bit_mismatches or 0)
    checked = mismatches > 0 or all(p.bit_mismatches is not None for p in rtl)
    counts = [p.images for p in rtl if p.site]
    return sum(counts), min(counts, default=0), mismatches if checked else None


def _differences(
    points: Sequence[Point], labels: NDArray[np.int64], site: str
) -> list[PointDifference]:
    """Golden minus software wherever both measured the same level and seed, by level."""
    golden = {(p.sigma, p.seed): p for p in points if p.side == "golden" and p.site == site}
    found = []
    for p in points:
        twin = golden.get((p.sigma, p.seed))
        if p.side != "software" or p.site != site or twin is None:
            continue
        n = min(p.images, twin.images)
        a, b = p.correct(labels)[:n], twin.correct(labels)[:n]
        found.append(
            PointDifference(
                site, p.sigma, p.seed, n, float(a.mean()), float(b.mean()), *paired_difference(a, b)
            )
        )
    return sorted(found, key=lambda d: (d.sigma, d.seed))
