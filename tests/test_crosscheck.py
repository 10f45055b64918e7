"""Verdicts on made-up walks whose truth is known."""

import dataclasses
import json

import numpy as np
import pytest
from synthetic import walk

from flow.crosscheck import cross_check, judge, paired_difference
from flow.midpoint import Midpoint
from flow.store import Point

SITES = {"conv0.acc": (0.7, 2.0), "fc0.acc": (20.0, 3.0)}


def test_equal_sides_agree() -> None:
    check = cross_check(*walk(SITES), 10)
    assert [site.verdict for site in check.sites] == ["agree", "agree"]
    assert check.verdict == "agree"
    for site in check.sites:
        assert site.ratio is not None and 0.9 < site.ratio[1] < 1 < site.ratio[2] < 1.1
        assert site.backed and site.rtl_images == 128 and site.rtl_runs == 9 * 128
        assert site.software.mu == pytest.approx(SITES[site.site][0], rel=0.1)


@pytest.mark.parametrize("shift", [0.7, 0.8, 1.25, 1.3])
def test_a_planted_shift_disagrees(shift: float) -> None:
    for seed in range(5):
        check = cross_check(*walk(SITES, shift={"fc0.acc": shift}, seed=seed), 10)
        assert [site.verdict for site in check.sites] == ["agree", "disagree"]
        assert check.verdict == "disagree"
        ratio = check.sites[1].ratio
        assert ratio is not None and ratio[1] < shift * 1.03 and ratio[2] > shift * 0.97


def test_fifteen_percent_disagrees_with_enough_images() -> None:
    """The shift that must be found: 15 %, at 10,000 images."""
    for seed, shift in enumerate((0.85, 1.15, 0.85, 1.15)):
        points, labels = walk({"a": (1.0, 2.0)}, shift={"a": shift}, images=10_000, seed=seed)
        assert cross_check(points, labels, 10).verdict == "disagree"


def test_error_rates() -> None:
    """Equal sides hardly ever disagree; sides at the margin rarely are said to agree or disagree.

    Both one-sided at 2.5 %: of 60 walks, at most 5 (chance of more: below 0.3 %).
    """

    def verdict(shift: float, seed: int) -> str:
        points, labels = walk({"a": (1.0, 2.0)}, shift={"a": shift}, images=600, rtl=8, seed=seed)
        two = [p for p in points if p.side != "software-hwdraws"]
        return cross_check(two, labels, 10, resamples=200).verdict

    verdicts = {shift: [verdict(shift, seed) for seed in range(60)] for shift in (1.0, 1.1)}
    assert verdicts[1.0].count("disagree") <= 1
    assert verdicts[1.1].count("disagree") <= 5 and verdicts[1.1].count("agree") <= 5


def test_few_images_are_undecided() -> None:
    check = cross_check(*walk(SITES, images=100, rtl=20), 10)
    assert check.verdict == "undecided" and "straddles" in check.sites[0].reason


def test_common_draws_narrow_the_ratio() -> None:
    site = cross_check(*walk(SITES), 10).sites[0]
    assert site.ratio is not None and site.ratio_crn is not None
    assert site.ratio_crn == pytest.approx((1.0, 1.0, 1.0))


def test_a_bit_mismatch_disagrees_and_takes_golden_off() -> None:
    points, labels = walk(SITES)
    at = next(i for i, p in enumerate(points) if p.side == "rtl" and p.site == "fc0.acc")
    points[at] = dataclasses.replace(points[at], bit_mismatches=2)
    good, bad = cross_check(points, labels, 10).sites
    assert (good.verdict, bad.verdict) == ("agree", "disagree")
    assert "RTL differs from golden on 2 images" in bad.reason
    entry = bad.to_json()
    assert entry["mu_hw"] is None and entry["ratio"] is None and entry["mu_golden"] is not None


def test_labels_that_differ_are_mismatches_whatever_the_count_says() -> None:
    points, labels = walk(SITES)
    at = next(i for i, p in enumerate(points) if p.side == "rtl" and p.site == "conv0.acc")
    changed = points[at].predictions.copy()
    changed[7] ^= 1
    points[at] = dataclasses.replace(points[at], predictions=changed)
    site = cross_check(points, labels, 10).sites[0]
    assert site.verdict == "disagree" and site.bit_mismatches == 1


def test_a_mismatch_without_noise_concerns_every_site() -> None:
    points, labels = walk(SITES)
    at = next(i for i, p in enumerate(points) if p.side == "rtl" and not p.site)
    points[at] = dataclasses.replace(points[at], bit_mismatches=1)
    assert {s.verdict for s in cross_check(points, labels, 10).sites} == {"disagree"}


def test_golden_alone_is_no_statement_on_hardware() -> None:
    points, labels = walk(SITES)
    without = [p for p in points if not (p.side == "rtl" and p.site == "fc0.acc")]
    check = cross_check(without, labels, 10)
    site = check.sites[1]
    assert check.verdict == site.verdict == "undecided" and not site.backed
    assert site.to_json()["mu_hw"] is None and site.to_json()["mu_rtl"] is None
    unchecked = [dataclasses.replace(p, bit_mismatches=None) for p in points]
    check = cross_check(unchecked, labels, 10)
    assert check.verdict == "undecided" and "not compared" in check.sites[0].reason
    assert check.sites[0].to_json()["bit_mismatches"] is None and not check.sites[0].backed


def test_curves_that_never_fall_are_undecided() -> None:
    points, labels = walk({"a": (1e6, 3.0)}, levels=np.geomspace(0.1, 10, 9))
    site = cross_check(points, labels, 10).sites[0]
    assert site.verdict == "undecided" and site.ratio is None
    assert site.to_json()["mu_hw"] == {"bound": "above", "level": 10.0}


def test_only_one_side_falling_disagrees() -> None:
    points, labels = walk({"a": (1.0, 3.0)}, shift={"a": 1e4}, levels=np.geomspace(0.1, 10, 9))
    site = cross_check(points, labels, 10).sites[0]
    assert site.verdict == "disagree" and site.golden.bound == "above"


def test_judge_at_the_margin() -> None:
    mu = Midpoint(1.0, 0.9, 1.1, 2.0)
    for ratio, verdict in {
        (1.0, 0.91, 1.09): "agree",
        (1.05, 1.02, 1.08): "agree",  # surely different, but not by enough to matter
        (1.0, 0.89, 1.09): "undecided",
        (1.12, 1.05, 1.2): "undecided",
        (1.2, 1.11, 1.3): "disagree",
        (0.8, 0.7, 0.89): "disagree",
    }.items():
        assert judge(ratio, mu, mu, 0.1)[0] == verdict
    below, above = (
        Midpoint(None, 0.0, 0.5, None, "below"),
        Midpoint(None, 8.0, np.inf, None, "above"),
    )
    assert judge(None, below, above, 0.1)[0] == judge(None, above, below, 0.1)[0] == "disagree"
    assert judge(None, below, below, 0.1)[0] == "undecided"
    assert judge(None, mu, Midpoint(None, 1.0, np.inf, None, "above"), 0.1)[0] == "undecided"


def test_paired_difference_covers() -> None:
    """Agresti and Min's interval holds the true difference in about 95 %, down to 60 images."""
    rng = np.random.default_rng(0)
    for images, p_both, p_gain, p_loss in ((60, 0.6, 0.1, 0.05), (2000, 0.8, 0.02, 0.05)):
        cells = rng.choice(4, p=[p_both, p_gain, p_loss, 1 - p_both - p_gain - p_loss],
                           size=(2000, images))  # fmt: skip
        held = 0
        for row in cells:
            d, lo, hi = paired_difference((row == 0) | (row == 2), row <= 1)
            assert lo <= d <= hi
            held += lo <= p_gain - p_loss <= hi
        assert 0.935 <= held / 2000 <= 0.975


def test_differences_are_listed_by_level() -> None:
    site = cross_check(*walk(SITES), 10).sites[0]
    assert [d.sigma for d in site.differences] == sorted(d.sigma for d in site.differences)
    assert len(site.differences) == 9
    for d in site.differences:
        assert d.images == 2000 and d.lo <= d.difference <= d.hi
        assert d.difference == pytest.approx(d.golden - d.software)


def test_json_has_what_the_summary_needs() -> None:
    entry = json.loads(json.dumps(cross_check(*walk(SITES), 10).to_json(), allow_nan=False))
    assert entry["verdict"] == "agree" and entry["margin"] == 0.1
    site = entry["sites"]["conv0.acc"]
    for name in ("mu_sw", "mu_hw", "mu_rtl", "mu_crn", "ratio"):
        assert len(site[name]) == 3 and site[name][1] <= site[name][0] <= site[name][2]
    assert site["rtl_images"] == 128 and site["bit_mismatches"] == 0


def test_incomplete_walks_are_refused() -> None:
    points, labels = walk(SITES)
    with pytest.raises(ValueError, match="one kind"):
        cross_check([p for p in points if not p.site], labels, 10)
    with pytest.raises(ValueError, match="both need points"):
        cross_check([p for p in points if p.site or p.side != "golden"], labels, 10)
    mixed = Point("fc0.acc", "mixed", 1.0, 0, "golden", points[0].predictions)
    with pytest.raises(ValueError, match="one kind"):
        cross_check([*points, mixed], labels, 10)
