"""Maximum-likelihood fit of the accuracy curve's two parameters, for many curves at once."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Float = NDArray[np.float64]

_LOG_K = (np.log(0.1), np.log(60.0))
_REACH = 3.0  # how far the search for log μ goes beyond the levels: far enough to detect a bound
_MAX_STEP = (1.0, 0.7)


def fit(
    accuracy: Float, trials: Float, clean: Float, levels: Float, guess: float, start: Float
) -> tuple[Float, Float]:
    """Fit many curves at once by Fisher scoring with Levenberg's damping, two parameters per row.

    Args:
        accuracy: [B, L], in [0, 1].
        trials: number of binomial trials of each accuracy, [L].
        clean: A₀ of each row, [B], above ``guess``.
        levels: σ, [L], > 0.
        guess: A_r.
        start: initial (log μ, log k), [B, 2].

    Returns:
        (log μ, log k) [B, 2], held within the search range, and the log likelihood [B].
    """
    x = np.log(levels)
    low = np.array([x[0] - _REACH, _LOG_K[0]])
    high = np.array([x[-1] + _REACH, _LOG_K[1]])
    drop = (clean - guess)[:, None]

    def model(theta: Float) -> tuple[Float, Float, Float]:
        share = expit(-np.exp(theta[:, 1:]) * (x - theta[:, :1]))
        p = np.clip(guess + drop * share, 1e-9, 1 - 1e-9)
        return share, p, (trials * (accuracy * np.log(p) + (1 - accuracy) * np.log1p(-p))).sum(1)

    theta = np.clip(start, low, high)
    share, p, likelihood = model(theta)
    damping = np.full(len(theta), 1e-3)
    for _ in range(60):
        slope = drop * share * (1 - share) * np.exp(theta[:, 1:])
        in_mu, in_k = slope, -slope * (x - theta[:, :1])
        weight = trials / (p * (1 - p))
        residual = weight * (accuracy - p)
        score_mu, score_k = (residual * in_mu).sum(1), (residual * in_k).sum(1)
        i_mm, i_kk = (weight * in_mu**2).sum(1), (weight * in_k**2).sum(1)
        i_mk = (weight * in_mu * in_k).sum(1)
        d_mm, d_kk = i_mm * (1 + damping) + 1e-9, i_kk * (1 + damping) + 1e-9
        det = d_mm * d_kk - i_mk**2
        step = np.stack(
            [(d_kk * score_mu - i_mk * score_k) / det, (d_mm * score_k - i_mk * score_mu) / det], 1
        )
        new = np.clip(theta + np.clip(step, np.negative(_MAX_STEP), _MAX_STEP), low, high)
        new_share, new_p, new_likelihood = model(new)
        better = new_likelihood >= likelihood
        moved = np.abs(new - theta).max(axis=1)
        keep = better[:, None]
        theta, share, p = (
            np.where(keep, a, b) for a, b in ((new, theta), (new_share, share), (new_p, p))
        )
        likelihood = np.where(better, new_likelihood, likelihood)
        damping = np.where(better, damping / 5, damping * 8)
        if np.all((moved < 1e-5) | (damping > 1e8)):
            break
    return theta, likelihood
