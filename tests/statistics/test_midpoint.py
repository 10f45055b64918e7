"""The midpoint fit: right on average, intervals that cover, bounds where there is no midpoint."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from flow.statistics.intervals import wilson
from flow.statistics.logistic import logistic
from flow.statistics.midpoint import Curve, midpoint
from flow.statistics.ratio import midpoint_ratio
from tests.helpers.synthetic import CLEAN, GUESS, curve, levels_around, right


@pytest.mark.parametrize(("mu", "k"), [(0.02, 1.2), (1.0, 3.0), (900.0, 6.0)])
def test_known_midpoint_is_recovered(mu: float, k: float) -> None:
    rng = np.random.default_rng(0)
    found = midpoint(curve(rng, mu, k, levels_around(mu, k), images=20_000), GUESS)
    assert found.mu == pytest.approx(mu, rel=0.06 / k)
    assert found.k == pytest.approx(k, rel=0.05)
    assert found.lo < found.mu < found.hi and found.bound is None


def test_exact_curve_gives_exact_midpoint() -> None:
    """Accuracies without sampling error: the maximum of the likelihood is the truth."""
    levels = levels_around(3.0, 2.0)
    n = 10_000
    accuracy = np.concatenate([[CLEAN], logistic(levels, 3.0, 2.0, CLEAN, GUESS)])
    rows = (np.arange(n) < np.round(accuracy * n)[:, None]).astype(np.float32)
    found = midpoint(Curve(levels, rows[1:], rows[0], np.ones(9, dtype=np.int64)), GUESS)
    assert found.mu == pytest.approx(3.0, rel=1e-3) and found.k == pytest.approx(2.0, rel=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shared", "draws"), [(0.0, 1), (0.5, 1), (0.5, 3)], ids=["independent", "shared", "draws"]
)
def test_interval_covers_the_truth(shared: float, draws: int) -> None:
    """95 % of 100 intervals hold μ; fewer than 88 would come in 0.15 % of cases.

    Independent binomial counts; images shared by the levels and by A₀, as in a walk; and several
    noise draws a level, which share an image's difficulty.
    """
    rng = np.random.default_rng(1)
    held, total = 0, 100
    for _ in range(total):
        k = rng.uniform(1, 6)
        levels = levels_around(rng.uniform(0.8, 1.25), k)
        found = midpoint(
            curve(rng, 1.0, k, levels, shared=shared, images=500, draws=draws), GUESS, resamples=99
        )
        assert found.bound is None
        held += found.lo <= 1.0 <= found.hi
    assert held >= 88


@pytest.mark.slow
def test_outer_levels_need_few_images() -> None:
    """With images at the two levels around half way alone, intervals cover, and are as narrow."""
    rng, held, ratios, total = np.random.default_rng(2), 0, [], 150
    for _ in range(total):
        k = rng.uniform(1, 6)
        levels = levels_around(rng.uniform(0.8, 1.25), k)
        whole = curve(rng, 1.0, k, levels, shared=0.8, images=1000)
        rows, after = whole.correct.copy(), int(np.searchsorted(levels, 1.0))
        outer = np.setdiff1d(np.arange(len(levels)), [after - 1, after])
        rows[outer, 200:] = np.nan
        part = replace(whole, correct=rows)
        assert part.images == 1000
        assert part.trials.tolist() == [200.0 if n in outer else 1000.0 for n in range(9)]
        found, usual = (midpoint(one, GUESS, resamples=99) for one in (part, whole))
        held += found.lo <= 1.0 <= found.hi
        ratios.append(np.log(found.hi / found.lo) / np.log(usual.hi / usual.lo))
    assert held / total >= 0.90
    assert np.median(ratios) < 1.15


@pytest.mark.slow
def test_independent_counts_would_mislead() -> None:
    """Where points share their images, μ varies more than independent counts would have it."""
    rng = np.random.default_rng(2)
    levels = levels_around(1.0, 2.0)
    width = {}
    for shared in (0.0, 1.0):
        found = [
            midpoint(curve(rng, 1.0, 2.0, levels, shared=shared), GUESS, resamples=99)
            for _ in range(60)
        ]
        width[shared] = np.median([np.log(m.hi / m.lo) for m in found])
    assert width[1.0] > 1.06 * width[0.0]


def test_curve_that_never_falls_is_a_bound() -> None:
    rng = np.random.default_rng(3)
    found = midpoint(curve(rng, 1e6, 3.0, np.geomspace(0.1, 10, 9)), GUESS)
    assert found.bound == "above" and found.mu is None and found.k is None
    assert found.estimate == (None, 10.0, None) and str(found) == "> 10"
    json.dumps(found.estimate, allow_nan=False)


def test_curve_fallen_at_the_first_level_is_a_bound() -> None:
    rng = np.random.default_rng(4)
    found = midpoint(curve(rng, 1e-3, 3.0, np.geomspace(0.1, 10, 9)), GUESS)
    assert found.bound == "below" and found.estimate == (None, None, 0.1)


@pytest.mark.slow
def test_bound_never_claims_more_than_the_data() -> None:
    """μ just inside or outside the last level: a bound holds for the true μ."""
    rng = np.random.default_rng(5)
    for mu in np.linspace(9, 11, 80):
        found = midpoint(
            curve(rng, mu, 3.0, np.geomspace(0.5, 10, 9), images=500), GUESS, resamples=99
        )
        if found.bound:
            assert found.bound == "above"
            assert found.estimate.level <= mu * 1.05


def test_guessing_network_says_nothing() -> None:
    rng = np.random.default_rng(6)
    rows = right(rng, 2000, np.full(6, GUESS), 0.5).astype(np.float32)
    found = midpoint(Curve(np.arange(1.0, 6), rows[1:], rows[0], np.ones(5, dtype=int)), GUESS)
    assert found.estimate == (None, 0.0, None) and str(found) == "–"


def test_fall_between_two_levels_is_as_wide_as_they_are() -> None:
    rng = np.random.default_rng(7)
    found = midpoint(curve(rng, 3.0, 50.0, np.array([0.5, 1.0, 2.0, 4.0, 8.0])), GUESS)
    assert found.step and found.lo <= 2.0 and found.hi >= 4.0 and found.bound is None


def test_seeds_of_a_point_are_pooled() -> None:
    """Four seeds that share their images narrow the interval, but by less than half."""
    rng = np.random.default_rng(8)
    levels = levels_around(1.0, 2.0)
    one = curve(rng, 1.0, 2.0, levels, shared=0.0)
    more = [curve(rng, 1.0, 2.0, levels, shared=0.0).correct for _ in range(4)]
    four = Curve(levels, np.mean(more, axis=0), one.clean, np.full(9, 4))
    narrow, wide = (midpoint(c, GUESS) for c in (four, one))
    assert np.log(narrow.hi / narrow.lo) < 0.8 * np.log(wide.hi / wide.lo)


def test_ratio_is_paired_by_image() -> None:
    """A curve against itself has ratio 1 exactly; different images are refused."""
    rng = np.random.default_rng(9)
    levels = levels_around(1.0, 2.0)
    a = curve(rng, 1.0, 2.0, levels)
    assert midpoint_ratio(a, a, GUESS) == pytest.approx((1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="same images"):
        midpoint_ratio(a, curve(rng, 1.0, 2.0, levels, images=500), GUESS)


def test_a_walk_is_fitted_in_seconds() -> None:
    rng = np.random.default_rng(10)
    curves = [curve(rng, 1.0, 2.0, levels_around(1.0, 2.0)) for _ in range(12)]
    started = time.process_time()
    for one in curves:
        midpoint(one, GUESS)
    assert time.process_time() - started < 10  # 0.2 s on an idle core


def test_wilson() -> None:
    """Against the closed form at the ends and a published value (Newcombe 1998: 81 of 263)."""
    lo, hi = wilson([81, 0, 20], [263, 20, 20])
    assert (lo[0], hi[0]) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert (lo[1], hi[2]) == (0.0, 1.0) and hi[1] == pytest.approx(0.1611, abs=5e-5)
