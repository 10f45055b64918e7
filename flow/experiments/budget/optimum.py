"""The cheapest plan of a response: a smooth problem in the logarithm of the noise, solved by SLSQP.

The default cost and the response are sums of exponentials of u = log x, so that both log cost and
log odds are convex in u, and a local optimum is the global one (a geometric program). With equal
exponents, of the cost p and of the response q, the optimum is known: x_i ∝ (e_i m_i^q)^(1/(p+q)).
"""

import numpy as np
from scipy.optimize import Bounds, NonlinearConstraint, minimize

from flow.errors import Defect, UserError
from flow.experiments.budget.cost import Cost, Floats
from flow.experiments.budget.response import Response


def start(cost: Cost, response: Response, changed: float, low: Floats, high: Floats) -> Floats:
    """Return log x of the closed form, or what it would be if the exponents were equal, [sites]."""
    u = response.scaled_to(response.log_m, changed)
    p, weight = -cost.slopes(u), cost.log_shares(u) - cost.slopes(u) * u
    x = (weight + response.q * response.log_m) / (p + response.q)
    return np.clip(response.scaled_to(x, changed), low, high)


def optimum(cost: Cost, response: Response, changed: float, low: Floats, high: Floats) -> Floats:
    """Return the plan that costs least among those that change few predictions.

    Args:
        cost: what a plan costs.
        response: what it changes.
        changed: largest share of changed predictions.
        low: smallest log x, [sites].
        high: largest log x, [sites].

    Returns:
        log x, [sites].

    Raises:
        UserError: the least noise that is allowed changes more.
    """
    wanted = response.odds_of(changed)
    if float(response.log_odds(low)) > wanted:
        raise UserError(
            "the accuracy is out of reach: the least noise of the cost tables and of the registers "
            "loses more"
        )
    if float(response.log_odds(high)) <= wanted:
        return high

    def log_cost(u: Floats) -> tuple[float, Floats]:
        shares = np.exp(cost.log_shares(u))
        total = shares.sum()
        return float(np.log(total)), shares / total * cost.slopes(u)

    found = minimize(
        log_cost,
        start(cost, response, changed, low, high),
        jac=True,
        method="SLSQP",
        bounds=Bounds(low, high),
        constraints=NonlinearConstraint(
            response.log_odds, -np.inf, wanted, jac=lambda u: response.slopes(u)[None]
        ),
        options={"maxiter": 500, "ftol": 1e-12},
    )
    if float(response.log_odds(found.x)) > wanted + 1e-3:
        raise Defect(f"no optimum: {found.message}")
    return np.asarray(found.x)
