"""Rules that distribute noise over layers: each is a direction, and a factor scales its noise.

With whole numbers, a plan of a rule is the nearest one.
"""

from collections.abc import Mapping

import numpy as np

from flow.experiments.budget.knobs import ADC, EXECUTIONS, SIGMA
from flow.experiments.budget.sources import Floats, Space

CHEAPEST = "cheapest"
"""Name of the found plan."""
SAME_SNR = "same SNR"
SAME_BITS = "same bits"
SAME_EXECUTIONS = "same k"
USUAL = (SAME_BITS, SAME_EXECUTIONS, SAME_SNR)
"""Rules that a designer would use without a plan; the first one present is compared."""
RANDOM = "random"
RANDOM_PLANS = 3
RANDOM_SPREAD = 0.5
"""Standard deviation of the logarithm of the noise, about the same signal-to-noise ratio; of bits
it is one bit."""


def families(
    plan: Floats, log_mu: Floats, space: Space, shares: Floats, seed: int
) -> dict[str, Floats]:
    """Return log x of each rule, [sources], up to a common summand.

    Rules of σ and of an ADC's step share out an absolute error, evenly or by the midpoint μ. Those
    of executions share out k, by the midpoint of each site in units of its noise, as *Walking
    Noise* does. σ ∝ √μ is the rule k ∝ 1/μ of the same σ everywhere, since k executions divide σ
    by √k.

    Args:
        plan: log x of the plan that was searched for.
        log_mu: logarithm of the midpoint of each source alone, as a share of the site's values.
        space: every plan.
        shares: noise at an error of 1, in the unit of the layer's output, as a share of the
            standard deviation of each site's values.
        seed: seed of the random plans.
    """
    rng = np.random.default_rng(seed)
    sources, absolute, origins = len(plan), np.log(shares), space.origins
    found = {CHEAPEST: plan, SAME_SNR: np.zeros(sources)}
    if space.knobs == [EXECUTIONS]:
        above = origins - log_mu
        found |= {
            SAME_EXECUTIONS: origins,
            "k ∝ 1/√μ": origins - above / 4,
            "k ∝ 1/μ": origins - above / 2,
            "k ∝ 1/μ²": origins - above,
        }
    else:
        if ADC in space.knobs:
            bits = space.on_lattice
            found[SAME_BITS] = np.where(bits, origins - origins[bits].mean(), 0.0)
        words: Mapping[str, str] = {SIGMA: "σ", ADC: "step"}
        error = " and ".join(words[knob] for knob in space.knobs)
        found |= {
            f"same {error}": absolute,
            f"{error} ∝ μ": log_mu,
            # an error is x / share
            f"{error} ∝ √μ": (log_mu + absolute) / 2,
        }
    spread = max(RANDOM_SPREAD, space.step)
    random = {
        f"{RANDOM} {number}": rng.normal(0, spread, sources)
        for number in range(1, RANDOM_PLANS + 1)
    }
    return {**found, **random}
