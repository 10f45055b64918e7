"""μ of curves of any shape: where half of the accuracy above guessing is lost."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq, isotonic_regression
from scipy.special import expit

from flow.statistics.curve_models import Method, Rows, Shape, fit_logistic
from flow.statistics.isotonic import crossing, falling
from flow.statistics.level_search import Search
from flow.statistics.midpoint import Curve, midpoint
from flow.statistics.ratio import log_ratio
from flow.walks.levels import choose_levels
from tests.helpers.synthetic import CLEAN, GUESS, right

HALF_WAY = (CLEAN + GUESS) / 2
SHAPES: dict[str, Callable[[NDArray], NDArray]] = {
    "logistic": lambda x: expit(-2 * x),
    "steep": lambda x: expit(-10 * x),
    "floor 25 %": lambda x: 0.25 + 0.75 * expit(-2 * x),
    "floor 45 %": lambda x: 0.45 + 0.55 * expit(-2 * x),
    "shoulder": lambda x: 0.4 * expit(-4 * (x + 1.2)) + 0.6 * expit(-4 * (x - 0.7)),
    "bump": lambda x: expit(-3 * x) - 0.15 * np.exp(-8 * (x + 1.4) ** 2),
}
"""Share of the accuracy above guessing that is left, by log σ."""
FLOOR = 0.65
"""A floor above half way, as a share of the accuracy above guessing."""


def truth(shape: str) -> float:
    return float(np.exp(brentq(lambda x: SHAPES[shape](x) - 0.5, -1, 20)))


def levels_of(shape: str, count: int = 9) -> NDArray:
    """Levels over the middle 96 % of the fall."""
    x = np.linspace(-6, 8, 4001)
    left = SHAPES[shape](x) - SHAPES[shape](np.array(30.0))
    inside = x[(left > 0.02 * left[0]) & (left < 0.98 * left[0])]
    return np.exp(np.linspace(inside[0], inside[-1], count))


def measured(
    rng: np.random.Generator, share: NDArray, levels: NDArray, images: int, draws: int = 1
) -> Curve:
    accuracy = GUESS + (CLEAN - GUESS) * share
    points = np.concatenate([[CLEAN], np.tile(accuracy, draws)])
    rows = right(rng, images, points, 0.5).astype(np.float32)
    correct = rows[1:].reshape(draws, len(levels), images).mean(axis=0)
    return Curve(levels, correct, rows[0], np.full(len(levels), draws))


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_intervals_hold_the_crossing_whatever_the_shape(shape: str) -> None:
    """95 % of 100 intervals; fewer than 88 would come in 0.1 % of cases."""
    rng, mu, held = np.random.default_rng(0), truth(shape), 0
    for number in range(100):
        levels = levels_of(shape) * rng.uniform(0.85, 1.18)
        images, draws = ((500, 1), (400, 2))[number % 2]
        curve = measured(rng, SHAPES[shape](np.log(levels)), levels, images, draws)
        found = midpoint(curve, GUESS, resamples=99)
        held += found.lo <= mu <= found.hi
    assert held >= 88


@pytest.mark.parametrize(
    ("shape", "method"),
    [
        ("logistic", "logistic"),
        ("steep", "logistic"),
        ("floor 25 %", "logistic with a floor"),
        ("shoulder", "monotone"),
        ("bump", "monotone"),
    ],
)
def test_the_simplest_model_that_fits_is_taken(shape: str, method: Method) -> None:
    rng, levels = np.random.default_rng(1), levels_of(shape)
    share = SHAPES[shape](np.log(levels))
    found = [midpoint(measured(rng, share, levels, 3000), GUESS, resamples=99) for _ in range(10)]
    assert sum(one.method == method for one in found) >= 7
    assert all(one.mu == pytest.approx(truth(shape), rel=0.2) for one in found)
    usual = next(one for one in found if one.method == method)
    assert (usual.floor is not None) == (method == "logistic with a floor")
    assert (usual.k is None) == (method == "monotone")
    assert usual.misfit is not None and usual.misfit < 0.05


def test_a_floor_above_half_way_is_a_bound() -> None:
    rng, levels = np.random.default_rng(2), np.geomspace(0.1, 30, 9)
    share = FLOOR + (1 - FLOOR) * expit(-2 * np.log(levels))
    found = midpoint(measured(rng, share, levels, 2000), GUESS)
    assert found.bound == "above" and found.estimate == (None, 30.0, None)
    assert found.method == "logistic with a floor"


def test_drawn_curves_are_the_fitted_ones() -> None:
    """At its levels, a shape gives the accuracies that were fitted, and half way at μ."""
    rng = np.random.default_rng(3)
    for shape in ("logistic", "floor 25 %", "shoulder"):
        levels = levels_of(shape)
        curve = measured(rng, SHAPES[shape](np.log(levels)), levels, 3000)
        found = midpoint(curve, GUESS, resamples=99)
        assert found.mu is not None and found.method is not None
        drawn = Shape(found.method, found.mu, found.k, found.floor)
        points = curve.levels, curve.accuracy, curve.trials
        clean = float(curve.clean.mean())
        assert drawn.accuracy(np.array([found.mu]), clean, GUESS, points) == pytest.approx(
            (clean + GUESS) / 2, abs=2e-3
        )
        misfit = np.abs(drawn.accuracy(levels, clean, GUESS, points) - curve.accuracy).max()
        assert misfit == pytest.approx(found.misfit, abs=2e-3)


def test_exact_floor_is_recovered() -> None:
    levels = np.geomspace(0.1, 20, 9)
    accuracy = 0.3 + 0.58 * expit(-2 * np.log(levels))
    rows = Rows(accuracy[None], np.array([0.88]), levels, np.full(9, 1000.0), GUESS, devices=0)
    fitted = fit_logistic(rows, floor=True)
    assert fitted.floor == pytest.approx(0.3, abs=1e-3)
    assert fitted.centre == pytest.approx(1.0, rel=2e-3)
    at = np.interp(-0.49, -accuracy, np.log(levels))
    assert fitted.log_mu == pytest.approx(at, abs=0.03)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_monotone_regression_is_that_of_scipy(count: int) -> None:
    rng = np.random.default_rng(count)
    rows, weights = rng.random((50, count)), rng.random(count) + 0.1
    theirs = [isotonic_regression(row, weights=weights, increasing=False).x for row in rows]
    assert falling(rows, weights) == pytest.approx(np.array(theirs), abs=1e-12)


def test_monotone_crossing() -> None:
    x = np.arange(4.0)
    rows = np.array([[0.9, 0.7, 0.8, 0.1], [0.9, 0.9, 0.9, 0.9], [0.2, 0.1, 0.1, 0.1]])
    fallen = falling(rows, np.ones(4))
    assert fallen[0] == pytest.approx([0.9, 0.75, 0.75, 0.1])
    found = crossing(fallen, x, np.full(3, 0.5))
    assert 2 < found[0] < 3 and found[1] == np.inf and found[2] == -np.inf
    assert crossing(np.array([[0.9]]), x[:1], np.array([0.5])) == np.inf


@pytest.mark.slow
def test_ratios_of_curves_with_a_floor_cover() -> None:
    """One model for both sides on the same resamples; 95 % of 40; fewer than 34 come in 0.3 %."""
    rng, held = np.random.default_rng(4), 0
    levels = levels_of("floor 25 %")
    for number in range(40):
        shift = float(np.log((0.9, 1.1)[number % 2]))
        shares = [SHAPES["floor 25 %"](np.log(levels) - by) for by in (shift, 0.0)]
        accuracy = GUESS + (CLEAN - GUESS) * np.concatenate([[1.0], *shares])
        rows = right(rng, 500, accuracy, 0.5).astype(np.float32)
        sides = [Curve(levels, side, rows[0], np.ones(9, int)) for side in (rows[1:10], rows[10:])]
        ratio = log_ratio(sides[0], sides[1], GUESS, resamples=99)
        assert ratio is not None and ratio.number
        held += ratio.lo <= shift <= ratio.hi
    assert held >= 34


@pytest.mark.parametrize("floor", [0.0, 0.25, 0.4, FLOOR])
def test_search_brackets_half_way(floor: float) -> None:
    """A floor below half way ends with μ in the middle of levels; one above ends as a bound."""
    rng = np.random.default_rng(5)
    search = Search(GUESS, [1000, 2000, 4000, 8000], draws=2, precision=0.1, hint=3.0)
    rounds = 0
    while search.state == "running":
        wanted, rounds = search.wanted, rounds + 1
        levels = np.array(wanted.levels)
        share = floor + (1 - floor) * expit(-2 * np.log(levels))
        search.tell(measured(rng, share, levels, wanted.images, wanted.draws))
    found = search.midpoint
    assert found is not None and rounds < 20
    if floor > 0.5:
        assert search.state == "bound" and search.images_used == 1000
        assert len(search.wanted.levels) < 12
    else:
        mu = np.sqrt((1 - floor) / (0.5 - floor) - 1)
        assert found.lo / 1.03 <= mu <= found.hi * 1.03
        assert search.wanted.levels[1] < mu < search.wanted.levels[-2]


@pytest.mark.parametrize("floor", [0.25, 0.45, FLOOR])
def test_levels_of_hardware_span_the_fall_to_the_floor(floor: float) -> None:
    levels = choose_levels(
        lambda s: GUESS + (CLEAN - GUESS) * (floor + (1 - floor) * expit(-2 * np.log(s))),
        CLEAN, GUESS,
    )  # fmt: skip
    left = expit(-2 * np.log(levels))
    assert left[0] > 0.9 and left[-1] < 0.1 and levels[-1] < 100
    assert np.count_nonzero((left > 0.05) & (left < 0.95)) >= 4
