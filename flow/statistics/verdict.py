"""Verdicts on the sites of a walk, *agree*, *disagree* or *undecided*, with controlled error rates.

**The words**, with margin m (default 5 % in μ) and r = μ_hardware / μ_software:

- *agree*: equivalence is shown, 1 − m < r < 1 + m, even if r is significantly different from 1.
- *disagree*: a difference beyond the margin is shown, r < 1 − m or r > 1 + m.
- *undecided*: neither is shown; `need` tells how many more images would decide.

**Error control.** Each site has a p-value for either claim (`flow.statistics.ratio`). The same
applies to the walk's random numbers if they are judged separately
(`flow.walks.crosscheck.random_numbers`): they count as one more site. Over all
sites and all interim analyses (looks) of a walk, at the level α = 5 %:

- The chance that *disagree* is returned for any site whose true r lies within the margin is at most
  α: the sites' p-values are adjusted by Holm (Scand. J. Statist. 1979). The walk disagrees if any
  site does, so the same bound holds for the walk.
- A *walk* agrees if all its sites do; this is wrong if r lies beyond the margin at any one. For
  this claim each site has to pass its own test at α, without correction (intersection-union;
  Berger, Technometrics 1982): the walk errs at most as often as the test of that one site. Each of
  its sites then agrees, because that is what the walk's verdict claims.
- If the walk does not agree, the sites that do form a family of claims of their own, again adjusted
  by Holm. (Together with the previous rule, this is the first step of Hochberg's procedure,
  Biometrika 1988: at most α over both if the sites' errors are independent or positively
  dependent. Here they share images, and their noise is independent.)

**Looks.** A walk with a budget is analysed again after more noise draws, at most three times
(`flow.walks.crosscheck.further_draws`). `look_levels` splits α between the looks, so by Bonferroni
the error stays below α although the walk stops as soon as it has a verdict. A verdict is final, and
its site gets no more draws. Passing once, at the level of that look, counts towards the walk's
agreement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from flow.statistics.devices import quantile
from flow.statistics.ratio import LogRatio

Verdict = Literal["agree", "disagree", "undecided"]
Design = Literal["common", "independent"]
"""Whether software uses the hardware's random numbers, or its own, in the comparison of sites."""

MARGIN = 0.05
"""By default, ratios of μ within ± 5 % of 1 count as equal."""
LEVEL = 0.05
"""Probability of a wrong verdict over all sites and looks of a walk."""
MAX_ANALYSES = 4
"""Largest number of analyses of a walk with a budget for further draws."""
POWER = 0.8
"""Power assumed by `detectable` and `need`: the probability of a verdict."""
MOST_TIMES = 100.0
"""Largest useful factor on the samples: beyond it, the estimate counts as at the margin."""


@dataclass(frozen=True)
class Judgement:
    """Verdict on one site, with its p-values."""

    verdict: Verdict
    p_agree: float
    """p-value of *agree* for the site alone."""
    p_disagree: float
    p_agree_holm: float
    """p-value of *agree*, adjusted for all sites of the walk."""
    p_disagree_holm: float
    passed: bool
    """Whether `p_agree` was at most the level, at this look or an earlier one."""

    def to_json(self) -> dict[str, Any]:
        """Return the p-values by name."""
        names = ("p_agree", "p_disagree", "p_agree_holm", "p_disagree_holm")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class RequiredSamples:
    """Images or draws that would decide a site with 80 % probability if its estimate is true."""

    images: float | None
    """Factor on the number of images; None if no number suffices, because the estimate is at the
    margin or the variance of the draws alone is too large."""
    draws: float | None
    """Factor on the number of draws on the same images; None if no number suffices."""


def look_levels(looks: int = MAX_ANALYSES, level: float = LEVEL) -> tuple[float, ...]:
    """Split α between the looks: half of the remainder at each, all of it at the last."""
    halves = [level / 2**look for look in range(1, looks)]
    return (*halves, level - sum(halves))


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p-values so that comparing each with α keeps the family-wise error at α."""
    order = np.argsort(p, kind="stable")
    raised = np.asarray(p, dtype=np.float64)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(raised), 1.0)
    return [float(value) for value in adjusted]


def decide(
    ratios: Mapping[str, LogRatio | None],
    level: float = LEVEL,
    margin: float = MARGIN,
    earlier: Mapping[str, Judgement] | None = None,
) -> dict[str, Judgement]:
    """Judge the sites of a walk together (rules: module docstring).

    Args:
        ratios: the ratio of every site; None if a side only guesses without noise.
        level: α of this look.
        margin: m.
        earlier: judgements of the previous look.
    """
    before = earlier or {}
    agree = [1.0 if r is None else r.p_agree(margin) for r in ratios.values()]
    disagree = [1.0 if r is None else r.p_disagree(margin) for r in ratios.values()]
    columns = zip(ratios, agree, disagree, holm(agree), holm(disagree), strict=True)
    found: dict[str, Judgement] = {}
    for site, p_agree, p_disagree, p_agree_holm, p_disagree_holm in columns:
        was = before.get(site)
        verdict: Verdict = was.verdict if was else "undecided"
        if verdict == "undecided" and p_disagree_holm <= level:
            verdict = "disagree"
        elif verdict == "undecided" and p_agree_holm <= level:
            verdict = "agree"
        passed = p_agree <= level or (was is not None and was.passed)
        found[site] = Judgement(verdict, p_agree, p_disagree, p_agree_holm, p_disagree_holm, passed)
    if all(j.passed and j.verdict != "disagree" for j in found.values()):
        return {site: _agreed(j) for site, j in found.items()}
    return found


def next_levels(judgement: Judgement, level: float, claims: int) -> tuple[float, float]:
    """Return the levels at which the next look would find agreement and disagreement of a claim.

    Args:
        judgement: what was found so far.
        level: α of the next look.
        claims: number of claims that share it.
    """
    share = level / claims
    # a claim that fails keeps the whole walk from agreeing; one that passes waits for itself alone
    return (share if judgement.passed else level), share


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the walk's verdict: disagree if a site does, agree if all do."""
    if "disagree" in verdicts:
        return "disagree"
    return "agree" if set(verdicts) == {"agree"} else "undecided"


def detectable(
    spread: float, level: float, margin: float = 0.0, dof: float = float("inf")
) -> float:
    """Return the smallest difference in μ that would have been shown with 80 % probability.

    Args:
        spread: standard deviation of log r.
        level: α of the site's test: that of the walk, divided by its sites.
        margin: the margin that the difference has to exceed; 0 to show any difference.
        dof: degrees of freedom of the spread.

    Returns:
        r − 1 of a ratio above 1, e.g. 0.05 for 5 %.
    """
    sided = level if margin else level / 2
    return float((1 + margin) * np.exp(_deviations(sided, dof) * spread) - 1)


def detectable_margin(spread: float, level: float, dof: float = float("inf")) -> float:
    """Return the smallest margin within which equal sides agree, with 80 % power at either end."""
    return float(np.exp(_deviations(level, dof) * spread) - 1)


def noise_left(noise: float | None, times: float) -> float:
    """Return the factor by which the spread of log r changes with more draws.

    Args:
        noise: share of the variance that draws reduce; None if unknown, taken as all of it.
        times: factor on the number of draws.
    """
    share = 1.0 if noise is None else noise
    return float(np.sqrt(1 - share + share / times))


def need(
    ratio: LogRatio, within: float, beyond: float, margin: float, noise: float | None
) -> RequiredSamples | None:
    """Return the samples that would decide a site, given that intervals shrink as 1/√n.

    Args:
        ratio: the ratio so far. Images reduce its variance except for the devices' part.
        within: level at which `p_agree` decides if the estimate lies within the margin.
        beyond: level at which `p_disagree` decides if the estimate lies beyond it.
        margin: m.
        noise: share of the variance that draws reduce; None if unknown, taken as all of it.

    Returns:
        The factors; None if the ratio is a range, because levels are missing then, not images.
    """
    if not ratio.measured:
        return None
    lower, upper = np.log1p([-margin, margin])
    inside = min(upper - ratio.low, ratio.low - lower)
    level = within if inside > 0 else beyond

    def times(share: float, dof: float) -> float:
        """Return the factor on the samples that reduce a share of the variance."""
        wanted = abs(inside) / _deviations(level, dof)
        left = float(wanted / ratio.spread) ** 2 - (1 - share)  # relative to the present variance
        return share / left if left > 0 else np.inf

    images = times(1 - ratio.devices, ratio.dof)
    share = 1.0 if noise is None else noise
    draws = times(share, np.inf)
    for _ in range(8 if np.isfinite(ratio.dof) else 0):  # draws add devices: quantiles fall
        draws = times(share, ratio.dof * max(draws, 1.0))
    return RequiredSamples(_unless_at_margin(images), _unless_at_margin(draws))


def _unless_at_margin(times: float) -> float | None:
    return max(times, 1.0) if times <= MOST_TIMES else None


def _deviations(level: float, dof: float) -> float:
    """Return the distance from the margin, in σ, that a one-sided test at `level` finds in 80 %."""
    return quantile(1 - level, dof) + quantile(POWER, dof)


def _agreed(judgement: Judgement) -> Judgement:
    return Judgement(**(vars(judgement) | {"verdict": "agree"}))
