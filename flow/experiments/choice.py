"""A choice of one level for each of several items: what is least within a limit.

This is the multiple-choice knapsack problem, solved exactly by integer linear programming.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]

SCALE = 100.0
"""Least sum of values in the solver, whose gap is 1e-6."""
TIE = 1e-7
"""Weight of the use, as a share of the limit, among choices of the same value."""


def choose(
    values: Sequence[Floats],
    uses: Sequence[Floats],
    limit: float,
    avoided: Sequence[Ints] = (),
) -> Ints | None:
    """Choose a level of each item, so that the values' sum is least and that of the uses in limit.

    Of choices of the same value it is one that uses less.

    Args:
        values: of each item that of each level, [levels of the item], 0 or more.
        uses: of each item what each level uses, of the same shapes, 0 or more.
        limit: largest sum of uses, above 0.
        avoided: choices, [items] each, that must not be made.

    Returns:
        Number of the chosen level of each item, [items]; None if no choice is within the limit.
    """
    sizes = [len(one) for one in values]
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    value = np.concatenate([np.asarray(one, dtype=np.float64) for one in values])
    use = np.concatenate([np.asarray(one, dtype=np.float64) for one in uses]) / limit
    fits = use <= 1
    one_each = np.zeros((len(sizes), len(value)))
    one_each[np.repeat(np.arange(len(sizes)), sizes), np.arange(len(value))] = 1
    if not (one_each @ fits).all():
        return None
    # a sum is above these, and so far above the solver's absolute gap
    least = np.where(one_each * fits > 0, value, np.inf).min(axis=1).sum() or 1.0
    scaled, use = SCALE * value / least, np.minimum(use, 2.0)
    constraints = [LinearConstraint(one_each, 1, 1), LinearConstraint(use[None], 0, 1)]
    for choice in avoided:
        same = np.zeros(len(value))
        same[first + choice] = 1
        constraints.append(LinearConstraint(same[None], 0, len(sizes) - 1))
    found = milp(
        scaled + TIE * SCALE * use,
        constraints=constraints,
        integrality=np.ones(len(value)),
        bounds=Bounds(0, fits.astype(float)),
        options={"mip_rel_gap": 1e-9},
    )
    if found.x is None:
        return None
    return np.array([int(part.argmax()) for part in np.split(found.x, first[1:])], dtype=np.int64)
