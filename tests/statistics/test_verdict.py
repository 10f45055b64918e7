"""Statistics of the verdicts: p-values, Holm, looks, power, what would decide."""

import numpy as np
import pytest
from scipy.special import ndtr

from flow.experiments.benchmarks import error_rates
from flow.statistics.ratio import LogRatio
from flow.statistics.verdict import (
    LEVEL,
    decide,
    detectable,
    holm,
    look_levels,
    need,
    overall,
)

MARGIN = 0.1
UPPER = float(np.log(1.1))
LOWER = float(np.log(0.9))
SITES = [f"site{number}" for number in range(9)]


def estimate(log_r: float, spread: float) -> LogRatio:
    return LogRatio(log_r, log_r, log_r - 1.959964 * spread, log_r + 1.959964 * spread)


def words(ratios: dict[str, LogRatio | None], level: float = LEVEL) -> list[str]:
    return [judgement.verdict for judgement in decide(ratios, level, MARGIN).values()]


def test_p_values_are_those_of_the_interval() -> None:
    """An end at the margin is 2.5 %; the centre of the margin is as far from both."""
    assert estimate(UPPER - 1.959964 * 0.01, 0.01).p_agree(0.1) == pytest.approx(0.025)
    assert estimate(UPPER + 1.959964 * 0.01, 0.01).p_disagree(0.1) == pytest.approx(0.025)
    assert estimate(LOWER - 1.959964 * 0.01, 0.01).p_disagree(0.1) == pytest.approx(0.025)
    assert estimate((UPPER + LOWER) / 2, 10.0).p_disagree(0.1) == pytest.approx(1.0, abs=0.01)
    assert estimate(0.0, 0.01).p_disagree(0.1) > 0.99999
    assert estimate(0.3, 0.01).p_agree(0.1) > 0.99999
    same = LogRatio(0.0, 0.0, 0.0, 0.0)  # common random numbers: nothing varies
    assert (same.p_agree(0.1), same.p_disagree(0.1)) == (0.0, 1.0)


@pytest.mark.parametrize("spread", [0.01, 0.06, 0.3])
@pytest.mark.parametrize("log_r", [LOWER, UPPER])
def test_tests_hold_their_level_at_the_margin(spread: float, log_r: float) -> None:
    """At most 5 % there, the worst place for either, however wide the interval is."""
    rng = np.random.default_rng(0)
    draws = [estimate(float(d), spread) for d in rng.normal(log_r, spread, 4000)]
    limit = LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / 4000)
    assert np.mean([d.p_agree(0.1) <= LEVEL for d in draws]) < limit
    disagree = np.mean([d.p_disagree(0.1) <= LEVEL for d in draws])
    assert LEVEL - 0.015 < disagree < limit


def test_ranges_take_the_end_that_says_least() -> None:
    above = LogRatio(0.5, 50.0, 0.4, 50.0)
    assert above.p_disagree(0.1) < 1e-6 and above.p_agree(0.1) == 1.0
    assert LogRatio(-50.0, 50.0, -50.0, 50.0).p_disagree(0.1) == 1.0
    assert LogRatio(0.0, 50.0, -0.1, 50.0).p_disagree(0.1) > 0.5
    assert above.to_json() is None and str(above) == "above 1.5"


def test_holm_against_the_published_rule() -> None:
    """The example of Holm's procedure by hand: sorted p times what is left, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([0.2]) == [0.2] and holm([]) == []


def test_levels_of_the_looks_add_up() -> None:
    assert sum(look_levels()) == pytest.approx(LEVEL) and len(look_levels()) == 4
    assert look_levels()[0] == LEVEL / 2 and look_levels(1) == (LEVEL,)


def test_each_word_comes_out() -> None:
    ratios = {"a": estimate(0.0, 0.01), "b": estimate(0.2, 0.01), "c": estimate(0.09, 0.02)}
    assert words(ratios) == ["agree", "disagree", "undecided"]
    assert words(ratios | {"d": None}) == ["agree", "disagree", "undecided", "undecided"]
    assert overall(["agree", "undecided"]) == "undecided" and overall(["agree"] * 2) == "agree"
    assert overall(["agree", "undecided", "disagree"]) == "disagree"


def test_a_walk_agrees_when_each_site_passes_alone() -> None:
    """No correction for the claim that all agree; the same sites beside a worse one need it."""
    border = estimate(UPPER - 1.8 * 0.01, 0.01)  # p = 3.6 %
    assert words(dict.fromkeys(SITES, border)) == ["agree"] * 9
    worse = dict.fromkeys(SITES, border) | {"last": estimate(UPPER, 0.01)}
    assert words(worse) == ["undecided"] * 10


@pytest.mark.slow
@pytest.mark.parametrize("looks", [(LEVEL,), look_levels()], ids=["one look", "four looks"])
@pytest.mark.parametrize(
    "log_r",
    [[UPPER] * 9, [UPPER] * 5 + [LOWER] * 4, [0.0] * 8 + [UPPER], [0.3] * 4 + [UPPER] * 5],
    ids=["all at the margin", "at both ends", "one at the margin", "some beyond"],
)
def test_family_wise_error_of_nine_sites(log_r: list[float], looks: tuple[float, ...]) -> None:
    """At most 5 % of walks hold a false word, at the least favourable truths; 3.5 errors allowed.

    Sites at the margin itself are neither within nor beyond: both words are false there.
    """
    limit = LEVEL + 3.5 * np.sqrt(LEVEL * (1 - LEVEL) / 400)
    for spread, correlation in ((0.015, 0.0), (0.04, 0.5)):
        found = error_rates.simulate(
            log_r, spread, looks, margin=MARGIN, correlation=correlation, walks=400
        )
        assert max(found.false_disagree, found.false_agree) < limit, found
        at_margin = abs(np.array(log_r) - UPPER).min() < 1e-9
        assert found.agree < limit or not at_margin, found


def test_without_holm_it_would_not_hold() -> None:
    """What the correction is for: nine sites at the margin, each at 5 %."""
    rng = np.random.default_rng(2)
    wrong = [
        any(estimate(float(d), 0.02).p_disagree(0.1) <= LEVEL for d in rng.normal(UPPER, 0.02, 9))
        for _ in range(300)
    ]
    assert np.mean(wrong) > 0.25


def test_a_verdict_stands_at_later_looks() -> None:
    ratios = {"a": estimate(UPPER + 2.0 * 0.02, 0.02)}  # p = 2.3 %
    first = decide(ratios, 0.025, MARGIN)
    assert first["a"].verdict == "disagree"
    assert decide(ratios, 0.0125, MARGIN)["a"].verdict == "undecided"
    assert decide(ratios, 0.0125, MARGIN, earlier=first)["a"].verdict == "disagree"


def test_the_detectable_difference_is_found_in_80_percent() -> None:
    spread, level = 0.02, LEVEL / 9
    rng = np.random.default_rng(3)
    beyond = np.log1p(detectable(spread, level, 0.1))
    draws = [estimate(float(d), spread) for d in rng.normal(beyond, spread, 4000)]
    assert np.mean([d.p_disagree(0.1) <= level for d in draws]) == pytest.approx(0.8, abs=0.025)
    differ = np.log1p(detectable(spread, level))
    shown = 2 * ndtr(-np.abs(rng.normal(differ, spread, 4000)) / spread) <= level
    assert np.mean(shown) == pytest.approx(0.8, abs=0.025)
    assert 0 < differ < beyond


@pytest.mark.parametrize("log_r", [0.0, 0.05, -0.07, 0.13, -0.2])
def test_what_would_decide_does_in_80_percent(log_r: float) -> None:
    spread = 0.05
    wanted = need(estimate(log_r, spread), LEVEL, LEVEL / 9, 0.1, None)
    assert wanted is not None and wanted.images is not None
    assert wanted.draws == pytest.approx(wanted.images)
    rng = np.random.default_rng(4)
    less = spread / np.sqrt(wanted.images)
    draws = [estimate(float(d), less) for d in rng.normal(log_r, less, 4000)]
    inside = LOWER < log_r < UPPER
    done = [d.p_agree(0.1) <= LEVEL if inside else d.p_disagree(0.1) <= LEVEL / 9 for d in draws]
    # an estimate in the middle has both ends to pass, so it is somewhat harder
    assert np.mean(done) == pytest.approx(0.8, abs=0.25 if abs(log_r) < 0.02 else 0.03)


def test_images_at_the_margin_do_not_decide_and_draws_not_what_images_add() -> None:
    at_margin = need(estimate(UPPER - 1e-4, 0.02), LEVEL, LEVEL, 0.1, 0.5)
    assert at_margin is not None and at_margin.images is None and at_margin.draws is None
    ratio = estimate(0.05, 0.03)
    times = (0.03 / ((UPPER - 0.05) / (1.644854 + 0.841621))) ** 2
    for noise, draws in ((1.0, times), (0.9, 0.9 / (1 / times - 0.1)), (0.2, None)):
        wanted = need(ratio, LEVEL, LEVEL, 0.1, noise)
        assert wanted is not None and wanted.images == pytest.approx(times, rel=1e-4)
        assert wanted.draws == (None if draws is None else pytest.approx(draws, rel=1e-4))
    assert need(LogRatio(-1.0, 50.0, -1.1, 50.0), LEVEL, LEVEL, 0.1, None) is None
