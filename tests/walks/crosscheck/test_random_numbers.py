"""The verdict in two parts: arithmetic at each site, random numbers over all sites together."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from flow.statistics.ratio import log_ratio, pooled_ratio
from flow.walks.crosscheck.check import CrossCheck, cross_check
from flow.walks.crosscheck.random_numbers import NAME
from flow.walks.points.curves import curve_of
from flow.walks.points.point import Point
from flow.walks.points.side import Side
from tests.helpers.synthetic import GUESS, curve, device_walk, levels_around, walk

SITES = {f"fc{number}.acc": (2.0**number, 2.0) for number in range(9)}


def moved_numbers(by: float, **options: object) -> tuple[list[Point], NDArray[np.int64]]:
    """A walk whose random numbers are larger: golden and software with them break sooner."""
    points, labels = walk(SITES, shift=dict.fromkeys(SITES, by), **options)
    golden = {(p.site, p.sigma): p for p in points if p.side is Side.GOLDEN}
    same = [
        replace(golden[p.site, p.sigma], side=p.side)
        if p.side is Side.SOFTWARE_HARDWARE_RNG and p.site
        else p
        for p in points
    ]
    return same, labels


def judge(points: list[Point], labels: NDArray[np.int64], **options: object) -> CrossCheck:
    return cross_check(points, labels, GUESS, resamples=99, **options)


@pytest.mark.slow
def test_equal_sides_agree_within_five_percent_on_one_draw() -> None:
    check = judge(*walk(SITES))
    assert check.verdict == "agree" and check.margin == 0.05
    numbers = check.random_numbers
    assert numbers is not None and numbers.judgement.verdict == "agree"
    assert numbers.sites == tuple(SITES)
    told = check.to_json()
    assert told["design"] == "common" and told["random_numbers"]["verdict"] == "agree"
    assert told["random_numbers"]["need"] is None
    for site in told["sites"].values():
        assert site["ratio"] == site["ratio_crn"] == pytest.approx((1, 1, 1))
        assert site["ratio_golden"][2] - site["ratio_golden"][1] > 0.02
        assert "same noise" in site["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("by", [0.87, 1.15])
def test_a_fault_of_the_arithmetic_fails_its_site_alone(by: float) -> None:
    check = judge(*walk(SITES, shift={"fc3.acc": by}))
    verdicts = {site.site: site.verdict for site in check.sites}
    assert verdicts == dict.fromkeys(SITES, "agree") | {"fc3.acc": "disagree"}
    assert check.verdict == "disagree"
    assert check.random_numbers is not None
    assert check.random_numbers.judgement.verdict == "agree"


@pytest.mark.slow
@pytest.mark.parametrize("by", [0.87, 1.15])
def test_a_fault_of_the_random_numbers_fails_no_site_but_the_walk(by: float) -> None:
    check = judge(*moved_numbers(by))
    assert {site.verdict for site in check.sites} == {"agree"}
    numbers = check.random_numbers
    assert numbers is not None and numbers.judgement.verdict == check.verdict == "disagree"
    assert numbers.ratio is not None
    assert numbers.ratio.low == pytest.approx(np.log(by), abs=0.03)
    assert f"{len(SITES)} sites" in numbers.reason and "beyond ± 5 %" in numbers.reason


@pytest.mark.slow
def test_the_independent_design_sees_the_same_fault_at_sites() -> None:
    """With less power: 15 % are undecided at some sites on these images."""
    check = judge(*moved_numbers(0.7), design="independent")
    assert check.random_numbers is None and check.verdict == "disagree"
    assert NAME not in check.judgements


@pytest.mark.slow
def test_few_images_leave_the_random_numbers_open() -> None:
    check = judge(*walk(SITES, images=150, rtl=20))
    numbers = check.random_numbers
    assert numbers is not None and numbers.judgement.verdict == check.verdict == "undecided"
    assert numbers.need is not None
    told = check.to_json()["random_numbers"]
    assert told["need"]["images"] is None or told["need"]["images"] > 150
    assert "neither shown" in told["reason"]


@pytest.mark.slow
def test_the_pooled_ratio_is_narrower_than_that_of_a_site() -> None:
    points, labels = walk(SITES)

    def pair(site: str) -> tuple:
        sides = (Side.SOFTWARE_HARDWARE_RNG, Side.SOFTWARE)
        return tuple(curve_of(points, labels, site, side) for side in sides)

    alone = [log_ratio(*pair(site), GUESS, resamples=199) for site in SITES]
    pooled = pooled_ratio({site: pair(site) for site in SITES}, GUESS, resamples=199)
    assert pooled is not None
    assert pooled.ratio.spread == pytest.approx(
        1 / np.sqrt(sum(1 / one.spread**2 for one in alone)), rel=0.35
    )
    weights = [1 / one.spread**2 for one in alone]
    assert pooled.ratio.low == pytest.approx(
        np.average([one.low for one in alone], weights=weights), abs=0.1 * pooled.ratio.spread
    )


@pytest.mark.slow
def test_the_pooled_ratio_covers() -> None:
    """95 % of 80 intervals hold the common ratio; fewer than 70 would come in 0.2 % of cases."""
    rng, held = np.random.default_rng(7), 0
    for number in range(80):
        by = (0.95, 1.05)[number % 2]
        pairs = {}
        for site, k in enumerate((1.5, 4.0)):
            levels = levels_around(1.0, k)
            sides = (curve(rng, by, k, levels, images=500), curve(rng, 1.0, k, levels, images=500))
            pairs[str(site)] = sides
        found = pooled_ratio(pairs, GUESS, resamples=99)
        assert found is not None
        held += found.ratio.lo <= np.log(by) <= found.ratio.hi
    assert held >= 70


def test_one_device_decides_the_arithmetic_and_too_few_the_random_numbers() -> None:
    """Both sides have the same devices; random numbers need devices of their own."""
    check = judge(*device_walk(1, rtl=64))
    assert [site.verdict for site in check.sites] == ["agree"]
    numbers = check.random_numbers
    assert numbers is not None and numbers.pooled is None and check.verdict == "undecided"
    assert "fewer than 4 devices" in numbers.reason
    assert check.to_json()["random_numbers"]["ratio"] is None
    many = judge(*device_walk(8, rtl=64)).random_numbers
    assert many is not None and many.ratio is not None and many.ratio.dof < 20
