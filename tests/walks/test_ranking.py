"""Which layer breaks first."""

import math

import pytest

from flow.noise import Mixed
from flow.statistics.estimate import Estimate
from flow.walks.points.noise_setting import NoiseSetting
from flow.walks.summaries.ranking import breaks_first, ranked

SITES = [
    ("wide", Estimate(8.0, 7.0, 9.0), 1 / 16),
    ("narrow", Estimate(4.0, 3.5, 4.5), 1 / 4),
    ("steady", Estimate(None, 20.0, None), 1 / 10),
    ("unknown", None, 1.0),
    ("old", Estimate(1.0, 0.9, 1.1), None),
]


def told(sites):
    return breaks_first(ranked(sites), "accuracy")


def test_sites_are_ranked_by_noise_relative_to_their_values():
    order = ranked(SITES)
    assert [one.site for one in order] == ["wide", "narrow", "steady"]
    assert order[0].relative == (0.5, 7 / 16, 9 / 16)
    assert order[0].snr == pytest.approx(20 * math.log10(2))


def test_the_answer_names_both_ends():
    said = told(SITES)
    assert said == (
        "wide breaks first: half of the accuracy above guessing is lost at noise of "
        "0.5 [0.438, 0.562] standard deviations of its values (6.0 dB). The most robust "
        "site, steady, tolerates more than 4 times as much."
    )


def test_sites_that_cannot_be_told_apart_are_named():
    near = ("near", Estimate(9.0, 8.0, 10.0), 1 / 16)
    assert "near cannot be distinguished from it." in breaks_first(
        ranked([near, *SITES]), "accuracy"
    )


def test_a_site_with_a_lower_bound_may_break_earlier():
    bound = ("bound", Estimate(None, 2.0, None), 1 / 16)
    said = told([bound, *SITES])
    assert said == (
        "wide breaks first of the sites with a midpoint: half of the accuracy above guessing is "
        "lost at noise of 0.5 [0.438, 0.562] standard deviations of its values (6.0 dB). "
        "bound may break earlier: only a lower bound on its midpoint is known. The most robust "
        "site, steady, tolerates more than 4 times as much."
    )
    other = ("other", Estimate(None, 4.0, None), 1 / 16)
    said = told([bound, other, *SITES])
    assert "bound and other may break earlier: only a lower bound on their midpoints is" in said


def test_a_site_with_an_upper_bound_breaks_first():
    bound = ("bound", Estimate(None, None, 2.0), 1 / 16)
    assert told([bound, *SITES]) == (
        "bound breaks first: half of the accuracy above guessing is lost at noise below 0.125 "
        "standard deviations of its values (above 18.1 dB). The most robust site, steady, "
        "tolerates more than 16 times as much."
    )


def test_a_site_with_an_upper_bound_is_not_the_most_robust():
    bound = ("bound", Estimate(None, None, 90.0), 1 / 16)
    assert "The most robust site, steady, tolerates" in breaks_first(
        ranked([bound, *SITES]), "accuracy"
    )


def test_one_site_has_no_answer():
    assert told(SITES[:1]) == ""


def test_the_share_of_noise_adds_both_parts():
    setting = NoiseSetting.of(Mixed(sigma_add=3.0, sigma_mul=1.0))
    assert setting.share_of(0.5) == pytest.approx(math.hypot(0.75 / 0.5, 0.25))
    assert NoiseSetting("additive").share_of(4.0) == 0.25
    assert NoiseSetting("multiplicative").share_of(4.0) == 1.0
