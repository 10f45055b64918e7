"""The cheapest plan of a response.

Where σ alone varies, it is a smooth problem in the logarithm of the noise, solved by SLSQP. The
default cost and the response are sums of exponentials of u = log x, so that both log cost and log
odds are convex in u, and a local optimum is the global one (a geometric program). With equal
exponents, of the cost p and of the response q, the optimum is known: x_i ∝ (e_i m_i^q)^(1/(p+q)).

Bits and executions are whole numbers, for which the optimum is that of a multiple-choice knapsack:
one level of each source, least cost, Σ (x / m)^q within its bound. If σ varies as well, it is on a
fine grid there, and smooth again once the whole numbers are chosen.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import Bounds, NonlinearConstraint, minimize

from flow.errors import Defect, UserError
from flow.experiments.budget.cost import Cost
from flow.experiments.budget.response import Response
from flow.experiments.budget.sources import Floats, Space
from flow.experiments.choice import choose

GRID = np.linspace(-6, 0, 301)
"""Grid of log x below that at which a source alone changes all that may be changed."""
TOP = 50.0
"""Largest logarithm of (x / m)^q."""


def start(cost: Cost, response: Response, changed: float, space: Space) -> Floats:
    """Return log x of the closed form, or what it would be if the exponents were equal, [sites]."""
    u = response.scaled_to(response.log_m, changed)
    p, weight = -cost.slopes(u), cost.log_shares(u) - cost.slopes(u) * u
    x = (weight + response.q * response.log_m) / (p + response.q)
    return np.clip(response.scaled_to(x, changed), space.low, space.high)


def optimum(
    cost: Cost,
    response: Response,
    changed: float,
    space: Space,
    avoided: Sequence[Floats] = (),
) -> Floats:
    """Return the plan that costs least among those that change few predictions.

    Args:
        cost: what a plan costs.
        response: what it changes.
        changed: largest share of changed predictions.
        space: every plan.
        avoided: plans that it must not be, where all are of whole numbers.

    Returns:
        log x, [sources].

    Raises:
        UserError: the least noise that is allowed changes more.
    """
    wanted = response.odds_of(changed)
    if float(response.log_odds(space.low)) > wanted:
        raise UserError(
            "the accuracy is out of reach: the least noise of the cost tables and of the registers "
            "loses more"
        )
    if float(response.log_odds(space.high)) <= wanted and not avoided:
        return space.high
    if not space.on_lattice.any():
        return _smooth(cost, response, wanted, start(cost, response, changed, space), space)
    return _whole(cost, response, changed, space, avoided)


def _whole(
    cost: Cost, response: Response, changed: float, space: Space, avoided: Sequence[Floats]
) -> Floats:
    """Return the optimum where some sources are whole numbers; as `optimum`."""
    wanted, fixed = response.odds_of(changed), space.on_lattice
    # what a source alone may have
    most = response.log_m + wanted / response.s / response.q
    grids = [
        one.levels if one.on_lattice else np.unique(np.clip(u + GRID, one.low, one.high))
        for one, u in zip(space.sources, most, strict=True)
    ]
    terms = []
    for number, grid in enumerate(grids):
        plans = np.tile(space.low, (len(grid), 1))
        plans[:, number] = grid
        terms.append(response.terms(response.effective(plans))[:, number])
    chosen = choose(
        [np.exp(one.log(grid)) for one, grid in zip(cost.sites, grids, strict=True)],
        [np.exp(np.minimum(one, TOP)) for one in terms],
        float(np.exp(wanted / response.s)),
        [space.indices(u) for u in avoided],
    )
    if chosen is None:
        raise UserError(
            "the accuracy is out of reach: the most bits or executions of the cost tables and of "
            "the registers lose more"
        )
    u = np.array([grid[level] for grid, level in zip(grids, chosen, strict=True)])
    if fixed.all():
        return u
    around = space.within(np.where(fixed, u, space.low), np.where(fixed, u, space.high))
    return _smooth(cost, response, wanted, u, around)


def _smooth(cost: Cost, response: Response, wanted: float, first: Floats, space: Space) -> Floats:
    """Return the optimum of log odds of at most `wanted` as if no source were a whole number."""

    def log_cost(u: Floats) -> tuple[float, Floats]:
        shares = np.exp(cost.log_shares(u))
        total = shares.sum()
        return float(np.log(total)), shares / total * cost.slopes(u)

    found = minimize(
        log_cost,
        first,
        jac=True,
        method="SLSQP",
        bounds=Bounds(space.low, space.high),
        constraints=NonlinearConstraint(
            response.log_odds, -np.inf, wanted, jac=lambda u: response.slopes(u)[None]
        ),
        options={"maxiter": 500, "ftol": 1e-12},
    )
    if float(response.log_odds(found.x)) > wanted + 1e-3:
        raise Defect(f"no optimum: {found.message}")
    return np.asarray(found.x)
