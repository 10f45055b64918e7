"""Levels from the user, and levels found."""

import numpy as np
import pytest

from flow.errors import UserError
from flow.experiments.site_levels import LevelSearch
from flow.statistics.logistic import logistic
from flow.walks.levels import choose_levels
from flow.walks.points.point import NoisePoint, PointRequest
from flow.walks.points.side import Side
from flow.walks.settings import HardwareWalkSettings
from flow.walks.walk import coarse_first


def levels_of(value: object) -> object:
    """What the settings of a walk make of levels."""
    return HardwareWalkSettings(dataset="digits", levels=value).levels


def test_levels_are_read_and_sorted() -> None:
    assert levels_of(" 0.5,0.1, 2e1") == levels_of([0.5, 0.1, 20]) == (0.1, 0.5, 20.0)
    assert levels_of(3) == (3.0,)
    assert levels_of("AUTO ") == "auto"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("", "levels is empty"),
        ("  ", "give noise levels"),
        ([], "give noise levels"),
        (None, "give noise levels"),
        ("0.1,,0.2", "not a number"),
        ("0.1 0.2", "not a number"),
        ("a", "'a' is not a number"),
        (["a"], "'a' is not a number"),
        ([True], "finite"),
        ([[1]], "not a number"),
        ("-1,2", "negative"),
        ("-inf", "finite"),
        ("nan", "finite"),
        ("1,inf", "finite"),
        ("0,1", "leave 0 out"),
        ("1,2,1.0", "twice"),
    ],
)
def test_bad_levels_are_the_users_error(given: object, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        levels_of(given)
    assert str(caught.value).startswith("levels is ")


@pytest.mark.parametrize(
    ("crossing", "outer"),
    [(3.5, [1, 6]), (1.5, [4, 5, 6]), (5.5, [1, 2, 3]), (0.5, []), (7.0, []), (None, [])],
)
def test_levels_beyond_two_on_each_side_of_half_way_are_outer(crossing, outer) -> None:
    assert LevelSearch([1, 2, 3, 4, 5, 6], [], crossing=crossing).outer == outer


@pytest.mark.parametrize("mu", [1e-2, 0.5, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("k", [0.9, 2.0, 5.0])
def test_levels_enclose_the_fall(mu: float, k: float) -> None:
    asked = []

    def accuracy(sigma: float) -> float:
        asked.append(sigma)
        return float(logistic(sigma, mu, k, 0.88, 0.1))

    levels = choose_levels(accuracy, 0.88, 0.1)
    found = logistic(levels, mu, k, 0.88, 0.1)
    assert len(levels) == 9 and np.all(np.diff(levels) > 0)
    assert found[0] >= 0.86 - 1e-3 or levels[0] == 0.000244  # the end of the search
    assert found[-1] <= 0.121 or levels[-1] == 4100
    inside = np.count_nonzero((found > 0.14) & (found < 0.84))
    assert inside >= 4
    assert len(asked) == len(set(asked)) <= 18


def test_noisy_accuracy_still_encloses_the_fall() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        mu = float(np.exp(rng.uniform(-4, 4)))
        levels = choose_levels(
            lambda s, mu=mu: rng.binomial(500, float(logistic(s, mu, 2.0, 0.88, 0.1))) / 500,
            0.88,
            0.1,
            tolerance=0.03,
        )
        assert levels[0] < mu / 2 and levels[-1] > mu * 2 and levels[-1] / levels[0] < 1e4


def test_curve_that_never_falls_gives_a_ladder() -> None:
    assert choose_levels(lambda _: 0.87, 0.88, 0.1, hint=2.0, count=3) == [2.0, 128.0, 8190.0]


def test_curve_that_has_fallen_everywhere_gives_a_ladder_down() -> None:
    levels = choose_levels(lambda _: 0.1, 0.88, 0.1, count=5)
    assert levels[-1] == 1.0 and levels[0] == pytest.approx(1 / 4096, rel=1e-2)


def test_curve_that_levels_off_above_guessing() -> None:
    """Multiplicative noise leaves zeros alone: the fall may end early."""
    levels = choose_levels(lambda s: float(logistic(s, 1.0, 3.0, 0.88, 0.3)), 0.88, 0.1)
    assert levels[0] < 0.5 and 2 < levels[-1] < 100


def test_step_gives_levels_that_differ() -> None:
    levels = choose_levels(lambda s: 0.88 if s < 1.0 else 0.1, 0.88, 0.1)
    assert len(set(levels)) == 9 and levels[0] < 1.0 <= levels[-1] < 4


def test_levels_are_limited() -> None:
    with pytest.raises(ValueError, match="two levels"):
        choose_levels(lambda _: 0.5, 0.9, 0.1, count=1)


def test_every_site_has_a_coarse_curve_before_any_has_a_fine_one() -> None:
    clean = PointRequest(Side.RTL, NoisePoint("", 0.0), 8)
    levels = [float(level) for level in range(1, 10)]
    places = [NoisePoint(site, level) for site in ("a", "b") for level in levels]
    points = [clean, *(PointRequest(Side.RTL, place, 8) for place in places)]
    found = coarse_first(points)
    assert found[0] == clean and sorted(map(hash, found)) == sorted(map(hash, points))
    order = [8, 4, 2, 6, 1, 3, 5, 7, 9]
    assert [one.place.sigma for one in found[1:] if one.place.site == "b"] == order
    assert [(one.place.site, one.place.sigma) for one in found[1:5]] == [
        ("a", 8), ("b", 8), ("a", 4), ("b", 4),
    ]  # fmt: skip


def test_edges_of_a_fall_of_less_than_two_tolerances_may_cross() -> None:
    # a noisy curve, at quarters of a coarse step of 4
    seen = {-4: 0.5, -3: 0.483, -2: 0.483, -1: 0.5, 0: 0.454, 4: 0.459, 8: 0.433, 12: 0.469}

    def accuracy(sigma: float) -> float:
        return seen[round(2 * np.log2(sigma))]

    levels = choose_levels(accuracy, 0.5, 0.4, tolerance=0.02)
    assert len(levels) == 9 and sorted(set(levels)) == levels
