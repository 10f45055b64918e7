"""Dividers of the PLL."""

import pytest

from flow.errors import UserError
from flow.fpga.pll import Pll


@pytest.mark.parametrize("wanted", [3.125, 12.5, 37.5, 50, 60, 62.5, 400])
def test_dividers_of_a_frequency(wanted):
    pll = Pll.of(25.0, wanted)
    assert 25 * pll.feedback / pll.reference == wanted
    assert 400 <= wanted * pll.post <= 800 and 25 / pll.reference >= 3.125


def test_the_dividers_of_ecppll():
    assert Pll.of(25.0, 60.0) == Pll(reference=5, feedback=12, post=10)


@pytest.mark.parametrize(
    ("wanted", "near"),
    [(47.7, "46.875 or 50"), (2.9, "3.125"), (401.0, "400"), (33, r"32\.1429 or 33\.3333")],
)
def test_a_frequency_that_no_dividers_make(wanted, near):
    with pytest.raises(UserError, match=f"does not make {wanted:g} MHz from .*: choose {near}$"):
        Pll.of(25.0, wanted)
