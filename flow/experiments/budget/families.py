"""Rules that share noise out to layers: each is a direction, along which a factor scales all σ."""

from collections.abc import Mapping

import numpy as np

from flow.experiments.budget.cost import Floats

CHEAPEST = "cheapest"
"""The plan that was searched for."""
SAME_SNR, SAME_SIGMA = "same SNR", "same σ"
LINEAR, ROOT = "σ ∝ μ", "σ ∝ √μ"
RANDOM = "random"
RANDOM_PLANS = 3
RANDOM_SPREAD = 0.5
"""Standard deviation of the logarithm of σ, about the same signal-to-noise ratio."""


def families(plan: Floats, log_mu: Floats, shares: Floats, seed: int) -> dict[str, Floats]:
    """Return log x of each rule, [sites], up to a common summand.

    σ ∝ √μ is the rule of *Walking Noise* that spends executions by 1/μ, since k executions divide
    σ by √k.

    Args:
        plan: log x of the plan that was searched for.
        log_mu: logarithm of the midpoint of each site alone, as a share of its values.
        shares: noise at σ = 1 as a share of the standard deviation of each site's values.
        seed: seed of the random plans.
    """
    rng = np.random.default_rng(seed)
    sites = len(plan)
    # σ of a site is x / share
    root = (log_mu - np.log(shares)) / 2 + np.log(shares)
    found: Mapping[str, Floats] = {
        CHEAPEST: plan,
        SAME_SNR: np.zeros(sites),
        SAME_SIGMA: np.log(shares),
        LINEAR: log_mu,
        ROOT: root,
    }
    random = {
        f"{RANDOM} {number}": rng.normal(0, RANDOM_SPREAD, sites)
        for number in range(1, RANDOM_PLANS + 1)
    }
    return {**found, **random}
