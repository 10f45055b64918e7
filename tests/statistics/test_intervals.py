"""Bounds of proportions."""

import pytest
from scipy.stats import binom

from flow.report.wording import bound_text
from flow.statistics.intervals import upper_bound


@pytest.mark.parametrize(("count", "trials"), [(0, 1), (0, 64), (0, 5248), (3, 100), (99, 100)])
def test_the_upper_bound_is_where_so_few_have_a_chance_of_5_percent(count, trials):
    bound = upper_bound(count, trials)
    assert count / trials < bound < 1
    assert binom.cdf(count, trials, bound) == pytest.approx(0.05)


def test_all_of_all_have_no_bound():
    assert upper_bound(7, 7) == 1.0


@pytest.mark.parametrize(
    ("share", "text"),
    [(1 - 0.05 ** (1 / 5248), "0.058 %"), (0.0457, "4.6 %"), (0.5, "50 %"), (1.0, "100 %")],
)
def test_a_bound_is_rounded_up(share, text):
    assert bound_text(share) == text
