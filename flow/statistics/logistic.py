"""Maximum-likelihood fit of a logistic accuracy curve, for many curves at once."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

Float = NDArray[np.float64]

REACH = 3.0
"""How far beyond the levels log μ is searched for: far enough to detect a bound."""
_LOG_K = (np.log(0.1), np.log(60.0))
_GAIN = 1e-8
"""Gain in log likelihood at which a fit ends: a ten-thousandth of a standard error from its end."""
_MAX_STEP = np.array([1.0, 0.7, 0.2])


def logistic(sigma: ArrayLike, mu: float, k: float, clean: float, floor: float) -> Float:
    """Return the accuracy that falls from `clean` to `floor`, half way at μ; σ ≥ 0, any shape."""
    with np.errstate(divide="ignore"):
        fall = k * (np.log(np.asarray(sigma, dtype=np.float64)) - np.log(mu))
    return np.asarray(floor + (clean - floor) * expit(-fall))


def fit(
    accuracy: Float, trials: Float, clean: Float, levels: Float, guess: float, start: Float
) -> tuple[Float, Float]:
    """Fit many curves at once by Fisher scoring with Levenberg's damping, one curve per row.

    Args:
        accuracy: [B, L], in [0, 1].
        trials: number of binomial trials of each accuracy, [L].
        clean: A₀ of each row, [B], above ``guess``.
        levels: σ, [L], > 0.
        guess: A_r, where the curve ends if its floor is not fitted.
        start: initial (log μ, log k), [B, 2], or (log μ, log k, floor), [B, 3], to fit the floor.

    Returns:
        The parameters, as in `start`, held within the search range, and the log likelihood [B].
        With a floor, μ is where half of the fall to the *floor* has happened.
    """
    x = np.log(levels)
    low, high = _range(x, clean, start.shape[1])

    def model(theta: Float, accuracy: Float, clean: Float) -> tuple[Float, Float, Float]:
        floor = theta[:, 2:] if theta.shape[1] > 2 else guess
        share = expit(-np.exp(theta[:, 1:2]) * (x - theta[:, :1]))
        p = np.clip(floor + (clean[:, None] - floor) * share, 1e-9, 1 - 1e-9)
        return share, p, (trials * (accuracy * np.log(p) + (1 - accuracy) * np.log1p(-p))).sum(1)

    found = np.clip(start, low, high)
    share, p, likelihoods = model(found, accuracy, clean)
    # the rows that are not at their end yet; most need few of the steps
    rows: NDArray[np.intp] = np.arange(len(found))
    theta, likelihood, damping = found, likelihoods, np.full(len(found), 1e-3)
    for _ in range(60):
        step = _step(theta, x, clean, guess, share, trials / (p * (1 - p)), accuracy - p, damping)
        new = np.clip(theta + step, low, high)
        new_share, new_p, new_likelihood = model(new, accuracy, clean)
        better = new_likelihood >= likelihood
        settled = np.abs(new_likelihood - likelihood) < _GAIN
        keep = better[:, None]
        theta, share, p = (
            np.where(keep, a, b) for a, b in ((new, theta), (new_share, share), (new_p, p))
        )
        likelihood = np.where(better, new_likelihood, likelihood)
        damping = np.where(better, damping / 5, damping * 8)
        found[rows], likelihoods[rows] = theta, likelihood
        left = ~(settled | (damping > 1e8))
        if not left.any():
            break
        rows = rows[left]
        theta, share, p, likelihood, damping, accuracy, clean, low, high = (
            values[left]
            for values in (theta, share, p, likelihood, damping, accuracy, clean, low, high)
        )
    return found, likelihoods


def _range(x: Float, clean: Float, parameters: int) -> tuple[Float, Float]:
    """Return the lowest and highest parameters of each row, [B, parameters] each."""
    low = np.tile([x[0] - REACH, _LOG_K[0], 0.0], (len(clean), 1))
    high = np.tile([x[-1] + REACH, _LOG_K[1], 1.0], (len(clean), 1))
    high[:, 2] = clean
    return low[:, :parameters], high[:, :parameters]


def _step(
    theta: Float, x: Float, clean: Float, guess: float, share: Float, weight: Float,
    residual: Float, damping: Float,
) -> Float:  # fmt: skip
    """Return the damped scoring step of each row, limited in size."""
    parameters = theta.shape[1]
    floor = theta[:, 2:] if parameters > 2 else guess
    slope = (clean[:, None] - floor) * share * (1 - share) * np.exp(theta[:, 1:2])
    columns = [slope, -slope * (x - theta[:, :1]), 1 - share][:parameters]
    gradient = np.stack(columns, axis=2)
    weighted = weight[:, :, None] * gradient
    score = (weighted * residual[:, :, None]).sum(1)
    information = weighted.transpose(0, 2, 1) @ gradient
    diagonal = np.arange(parameters)
    information[:, diagonal, diagonal] *= 1 + damping[:, None]
    information[:, diagonal, diagonal] += 1e-9
    step: Float = np.linalg.solve(information, score[:, :, None])[:, :, 0]
    return np.clip(step, -_MAX_STEP[:parameters], _MAX_STEP[:parameters])
