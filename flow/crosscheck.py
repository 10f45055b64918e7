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
- *disagree*: the interval excludes 1, and r itself lies outside the margin. A difference is
  shown, and the best estimate of it matters. Or the RTL differs from golden.
- *undecided*: anything else, so too few images; or no RTL image was simulated at the site.

Where a side has a bound in place of μ there is no r, but a range of ratios, from the ends of both
sides' intervals. A range wholly outside the margin is a disagreement; any other is undecided.

**Verdict of the run**: disagree if any site disagrees, agree if all agree, else undecided.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from flow.midpoint import RESAMPLES, Curve, Midpoint, bootstrap, midpoint, resample_weights
from flow.store import Point

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
    ratio: tuple[float, float, float] | None
    """μ_golden / μ_software with its 95 % interval; None if either is a bound."""
    ratio_crn: tuple[float, float, float] | None
    """The same, with μ of software with the hardware's draws: what fixed point changes."""
    rtl_images: int
    """RTL images a point (the smallest, if points differ)."""
    rtl_runs: int
    """RTL images over all points of the site, each noisy image counted."""
    bit_mismatches: int
    """RTL images, of those or of the clean ones, that differ from golden."""
    differences: tuple[PointDifference, ...]
    verdict: Verdict
    reason: str

    @property
    def backed(self) -> bool:
        """Whether golden may speak for the hardware at this site (L1 held on RTL images)."""
        return self.rtl_runs > 0 and self.bit_mismatches == 0

    def to_json(self) -> dict[str, Any]:
        """Entry of ``sites`` in the summary; ``mu_hw`` and ``ratio`` are null unless `backed`."""

        def ratio(value: tuple[float, float, float] | None) -> list[float] | None:
            return None if value is None else list(value)

        def mu(value: Midpoint | None) -> Any:
            return None if value is None else value.to_json()

        return {
            "mu_sw": mu(self.software),
            "mu_hw": mu(self.golden) if self.backed else None,
            "mu_golden": mu(self.golden),
            "mu_rtl": mu(self.rtl),
            "mu_crn": mu(self.crn),
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


def curve_of(
    points: Sequence[Point], labels: NDArray[np.int64], site: str, side: str, images: int = 0
) -> Curve | None:
    """Gather one side's points of one site.

    Args:
        points: of one run and kind.
        labels: int64 [at least as many as any point's images].
        site: the tap.
        side: one of `flow.store.SIDES`. Software with the hardware's draws has the accuracy of
            software without noise.
        images: use at most so many of the first images (0: all that every point has).

    Returns:
        The curve, or None if the side has no point there, or none without noise.
    """
    levels: dict[float, list[Point]] = defaultdict(list)
    for p in points:
        if p.side == side and p.site == site:
            levels[p.sigma].append(p)
    clean = _clean(points, side)
    if not levels or clean is None:
        return None
    used = [p for group in levels.values() for p in group] + [clean]
    n = min([p.images for p in used] + ([images] if images else []))
    order = sorted(levels)

    def right(p: Point) -> NDArray[np.float32]:
        return p.correct(labels)[:n].astype(np.float32)

    return Curve(
        levels=np.array(order),
        correct=np.stack([np.mean([right(p) for p in levels[s]], axis=0) for s in order]),
        clean=right(clean),
        seeds=np.array([len(levels[s]) for s in order]),
    )


def paired_difference(
    software: NDArray[np.bool_], golden: NDArray[np.bool_]
) -> tuple[float, float, float]:
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


def midpoint_ratio(
    golden: Curve, software: Curve, guess: float, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float, float] | None:
    """μ_golden / μ_software with a 95 % interval, both refitted on the same resampled images.

    Args:
        golden: one side, on the same images as the other.
        software: the other side.
        guess: accuracy of guessing.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Returns:
        (ratio, lo, hi), or None if a side does not beat guessing without noise.
    """
    if golden.images != software.images:
        raise ValueError("a ratio is paired by image: both sides need the same images")
    weights = resample_weights(golden.images, resamples, seed)
    above, below = bootstrap(golden, guess, weights), bootstrap(software, guess, weights)
    if above is None or below is None:
        return None
    ends = np.quantile(above[1] - below[1], (0.025, 0.975))
    return tuple(float(v) for v in np.exp([above[0][0] - below[0][0], *ends]))  # type: ignore[return-value]


def judge(
    ratio: tuple[float, float, float] | None, software: Midpoint, golden: Midpoint, margin: float
) -> tuple[Verdict, str]:
    """Compare the sides' midpoints by the rules of the module docstring; RTL is not looked at."""
    if ratio is None:
        lo = golden.lo / software.hi if np.isfinite(software.hi) else 0.0
        hi = golden.hi / software.lo if software.lo > 0 else np.inf
        if lo > 1 + margin or hi < 1 - margin:
            return "disagree", f"software μ {software}, golden μ {golden}"
        return "undecided", f"no ratio: software μ {software}, golden μ {golden}"
    r, lo, hi = ratio
    text = f"μ ratio {r:.3f} [{lo:.3f}, {hi:.3f}]"
    if 1 - margin < lo and hi < 1 + margin:
        return "agree", f"{text} is within ± {margin:.0%}"
    if abs(r - 1) > margin and not lo <= 1 <= hi:
        return "disagree", f"{text} excludes 1 and lies beyond ± {margin:.0%}"
    return "undecided", f"{text} neither lies within ± {margin:.0%} nor shows a difference beyond"


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
    def curve(side: str, images: int = 0) -> Curve | None:
        return curve_of(points, labels, site, side, images)

    def mu(c: Curve | None) -> Midpoint | None:
        return None if c is None else midpoint(c, guess, resamples=resamples, seed=seed)

    def ratio(other: Curve | None, m: Midpoint | None) -> tuple[float, float, float] | None:
        if other is None or m is None or m.bound or golden_mu.bound:
            return None
        n = min(other.images, golden.images)
        pair = [curve(side, n) for side in ("golden", sides[id(other)])]
        assert pair[0] is not None and pair[1] is not None
        return midpoint_ratio(pair[0], pair[1], guess, resamples=resamples, seed=seed)

    software, golden, crn = curve("software"), curve("golden"), curve("software-hwdraws")
    if software is None or golden is None:
        raise ValueError(f"{site}: software and golden both need points, also without noise")
    sides = {id(software): "software", id(crn): "software-hwdraws"}
    software_mu = midpoint(software, guess, resamples=resamples, seed=seed)
    golden_mu = midpoint(golden, guess, resamples=resamples, seed=seed)
    crn_mu = mu(crn)
    found = ratio(software, software_mu)
    verdict, reason = judge(found, software_mu, golden_mu, margin)
    runs, fewest, mismatches, unchecked = _level_one(points, site)
    if mismatches:
        verdict, reason = "disagree", f"RTL differs from golden on {mismatches} images"
    elif unchecked:
        verdict, reason = "undecided", "RTL was not compared with golden bit for bit; " + reason
    elif not runs:
        verdict, reason = "undecided", "no RTL image was simulated here; golden only: " + reason
    return SiteCheck(
        site, software_mu, golden_mu, mu(curve("rtl")), crn_mu, found, ratio(crn, crn_mu),
        fewest, 0 if unchecked else runs, mismatches,
        tuple(_differences(points, labels, site)), verdict, reason,
    )  # fmt: skip


def _clean(points: Sequence[Point], side: str) -> Point | None:
    """The side's point without noise; draws make no difference to software there."""
    named = "software" if side == "software-hwdraws" else side
    return next((p for p in points if p.site == "" and p.side in (side, named)), None)


def _level_one(points: Sequence[Point], site: str) -> tuple[int, int, int, bool]:
    """(RTL images over all points, fewest at a point, of them unequal to golden, unchecked)."""
    golden = {(p.site, p.sigma, p.seed if p.site else 0): p for p in points if p.side == "golden"}
    noisy = [p for p in points if p.side == "rtl" and p.site == site and p.images]
    mismatches, unchecked = 0, False
    for p in noisy + [p for p in points if p.side == "rtl" and not p.site]:
        twin = golden.get((p.site, p.sigma, p.seed if p.site else 0))
        labels = 0
        if twin is not None:
            n = min(p.images, twin.images)
            labels = int((p.predictions[:n] != twin.predictions[:n]).sum())
        unchecked |= p.bit_mismatches is None
        mismatches += max(labels, p.bit_mismatches or 0)
    counts = [p.images for p in noisy]
    return sum(counts), min(counts, default=0), mismatches, unchecked


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
                site, p.sigma, p.seed, n, float(a.mean()), float(b.mean()),
                *paired_difference(a, b),
            )  # fmt: skip
        )
    return sorted(found, key=lambda d: (d.sigma, d.seed))
