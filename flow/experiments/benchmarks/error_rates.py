"""Rates of wrong and right verdicts, from simulated walks.

``python -m flow.experiments.benchmarks.error_rates`` prints the table of
``docs/results/error-rates.md``.

A walk has claims, one for each site and one for the random numbers, each with a true ratio and an
estimate that is normal about it; the errors of two claims are correlated, since all sites share
their images. A walk with several looks is judged again on four times the draws while it is
undecided, and stops where a verdict stands.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flow.statistics.intervals import Z95
from flow.statistics.ratio import LogRatio
from flow.statistics.verdict import LEVEL, MARGIN, Judgement, decide, look_levels, overall

WALKS = 4000
"""Simulated walks of each row."""
GROWTH = 4
"""Draws of a look, as a multiple of those before."""
Truth = Literal["equal", "all at the margin", "one at the margin", "one 15 % off"]


@dataclass(frozen=True)
class Rates:
    """Shares of walks."""

    false_disagree: float
    """Share with a claim that is not beyond the margin and disagrees."""
    false_agree: float
    """Share with a claim that is not within the margin and agrees."""
    agree: float
    """Share that agree."""
    disagree: float
    """Share that disagree."""


def log_ratios(truth: Truth, claims: int, margin: float) -> list[float]:
    """Return the true log r of each claim."""
    upper, lower = np.log1p([margin, -margin])
    if truth == "all at the margin":
        return [float((upper, lower)[claim % 2]) for claim in range(claims)]
    last = {"equal": 0.0, "one at the margin": upper, "one 15 % off": np.log(1.15)}[truth]
    return [0.0] * (claims - 1) + [float(last)]


def simulate(
    log_r: Sequence[float],
    spread: float,
    looks: Sequence[float],
    *,
    margin: float = MARGIN,
    correlation: float = 0.3,
    walks: int = WALKS,
    seed: int = 1,
) -> Rates:
    """Judge simulated walks.

    Args:
        log_r: true log r of each claim.
        spread: standard deviation of each estimate at the first look.
        looks: α of each look.
        margin: ratios within ± margin of 1 count as equal.
        correlation: correlation of the errors of two claims, from 0 to 1.
        walks: number of walks.
        seed: seed of the simulation.
    """
    rng = np.random.default_rng(seed)
    truth, names = np.array(log_r), [str(number) for number in range(len(log_r))]
    upper, lower = np.log1p([margin, -margin])
    inside = (truth > lower - 1e-9) & (truth < upper + 1e-9)
    outside = (truth < lower + 1e-9) | (truth > upper - 1e-9)
    counts = np.zeros(4)
    for _ in range(walks):
        total, draws = np.zeros(len(truth)), 0
        found: dict[str, Judgement] = {}
        frozen: dict[str, LogRatio] = {}
        for look, level in enumerate(looks):
            more = 1 if look == 0 else (GROWTH - 1) * draws
            common, own = rng.standard_normal(), rng.standard_normal(len(truth))
            error = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
            total, draws = total + truth * more + error * spread * np.sqrt(more), draws + more
            half = Z95 * spread / np.sqrt(draws)
            now = {
                name: frozen.get(name) or LogRatio(mean, mean, mean - half, mean + half)
                for name, mean in zip(names, total / draws, strict=True)
            }
            found = decide(now, level, margin, earlier=found)
            frozen = {n: now[n] for n, j in found.items() if j.verdict != "undecided"}
            if len(frozen) == len(names):
                break
        verdicts = np.array([found[name].verdict for name in names])
        whole = overall(list(verdicts))
        counts += (
            bool((verdicts[inside] == "disagree").any()),
            bool((verdicts[outside] == "agree").any()),
            whole == "agree",
            whole == "disagree",
        )
    return Rates(*(float(count) for count in counts / walks))


def main() -> None:
    """Print the table."""
    print("| claims | looks | truth | false disagree | false agree | agree | disagree |")
    print("|---|---|---|---|---|---|---|")
    truths: tuple[Truth, ...] = (
        "equal", "all at the margin", "one at the margin", "one 15 % off",
    )  # fmt: skip
    for claims, looks, truth in itertools.product((2, 4, 10, 31), (1, 2, 4), truths):
        levels = look_levels(looks, LEVEL)
        rates = simulate(log_ratios(truth, claims, MARGIN), 0.015, levels)
        shares = (f"{100 * share:.1f} %" for share in vars(rates).values())
        print(f"| {claims} | {looks} | {truth} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
